//! `genair plan --graph`: what is made once, and which runs need it.

use std::fmt::Write;

use genair_protocol::Labels;
use genair_runner::Plan;
use genair_store::RunState;
use serde::Serialize;

/// A plan as a graph. Stages are called `s1`, `s2` and so on, runs `r1`, `r2`.
#[derive(Serialize)]
pub(super) struct Graph<'p> {
    stages: Vec<StageNode<'p>>,
    runs: Vec<RunNode<'p>>,
    edges: Vec<Edge>,
}

#[derive(Serialize)]
struct StageNode<'p> {
    id: String,
    stage: &'static str,
    dataset: &'p str,
    /// `ready` or `to make`.
    state: &'static str,
    recipe: &'p str,
    path: String,
}

#[derive(Serialize)]
struct RunNode<'p> {
    id: String,
    state: &'static str,
    priority: usize,
    #[serde(flatten)]
    labels: &'p Labels,
}

#[derive(PartialEq, Eq, Serialize)]
struct Edge {
    from: String,
    to: String,
}

impl<'p> Graph<'p> {
    /// The graph of a plan whose runs stand as `states` says.
    pub(super) fn new(plan: &'p Plan, states: &[Option<RunState>]) -> Self {
        let stage_id = |at: usize| format!("s{}", at + 1);
        let run_id = |at: usize| format!("r{}", at + 1);
        let stages = plan.stages.iter().enumerate().map(|(at, stage)| StageNode {
            id: stage_id(at),
            stage: stage.name().as_str(),
            dataset: &stage.dataset,
            state: if stage.is_ready() { "ready" } else { "to make" },
            recipe: &stage.recipe_sha256,
            path: stage.path.display().to_string(),
        });
        let runs = plan.sweep.runs.iter().zip(states).enumerate();
        let runs = runs.map(|(at, (run, state))| RunNode {
            id: run_id(at),
            state: state.map_or("new", RunState::as_str),
            priority: run.priority,
            labels: &run.labels,
        });
        let edges = |needs: Vec<usize>, to: String| {
            let edge = move |stage| Edge {
                from: stage_id(stage),
                to: to.clone(),
            };
            needs.into_iter().map(edge)
        };
        let of_stages = plan.stages.iter().enumerate();
        let of_stages = of_stages.flat_map(|(at, own)| edges(own.needs.clone(), stage_id(at)));
        let of_runs = plan.sweep.runs.iter().enumerate();
        let of_runs = of_runs.flat_map(|(at, own)| edges(own.stages().collect(), run_id(at)));
        Self {
            stages: stages.collect(),
            runs: runs.collect(),
            edges: of_stages.chain(of_runs).collect(),
        }
    }

    /// As a tree: each stage with the runs that need it, then the runs that need none.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for own in &self.stages {
            let (name, state, recipe) = (own.name(), own.state, &own.recipe[..12]);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} {name} ({state}, recipe {recipe})", own.id);
            let mut needing = self.needing(&own.id).peekable();
            while let Some(run) = needing.next() {
                let branch = if needing.peek().is_some() {
                    "├─"
                } else {
                    "└─"
                };
                let _ = writeln!(text, "{branch} {}", run.line());
            }
        }
        for run in &self.runs {
            if !self.edges.iter().any(|edge| edge.to == run.id) {
                let _ = writeln!(text, "{}", run.line());
            }
        }
        text.trim_end().to_owned()
    }

    fn needing<'g>(&'g self, stage: &'g str) -> impl Iterator<Item = &'g RunNode<'p>> {
        let edges = self.edges.iter().filter(move |edge| edge.from == stage);
        edges.filter_map(|edge| self.runs.iter().find(|run| run.id == edge.to))
    }

    /// In the language of Graphviz.
    pub(super) fn dot(&self) -> String {
        let mut text = "digraph plan {\n  rankdir = LR\n  node [shape = box]\n".to_owned();
        for own in &self.stages {
            let label = quoted(&format!("{}\n{}", own.name(), own.state));
            let _ = writeln!(text, "  {} [label = {label}, style = rounded]", own.id);
        }
        for run in &self.runs {
            let label = quoted(&format!("{}\n{}", run.labels, run.state));
            let _ = writeln!(text, "  {} [label = {label}]", run.id);
        }
        for Edge { from, to } in &self.edges {
            let _ = writeln!(text, "  {from} -> {to}");
        }
        text + "}"
    }
}

impl StageNode<'_> {
    fn name(&self) -> String {
        format!("{} of {}", self.stage, self.dataset)
    }
}

impl RunNode<'_> {
    fn line(&self) -> String {
        format!("{} {} ({})", self.id, self.labels, self.state)
    }
}

/// A string of Graphviz's language.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}
