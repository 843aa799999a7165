//! One module per command; here what they share.

mod archetype;
mod check;
mod data;
mod doctor;
mod example;
mod export;
mod graph;
mod plan;
mod plugin;
mod recommend;
mod results;
mod shell;
mod spec;
mod sweep;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use genair_protocol::PluginReport;
use genair_runner::{Trainer, TrainerError, plugins};
use genair_spec::{Backbones, Problem, SpecError, SpecFile, SpecOptions, Sweep};
use serde_json::{Map, Value};

use crate::args::{Arguments, Command, Format, PluginArgs, Results, Spec, SpecArgs};
use crate::environment;
use crate::exit::Exit;
use crate::output::{self, Output};
use crate::watch;

pub(crate) fn dispatch(arguments: &Arguments, output: &Output) -> anyhow::Result<Exit> {
    let listing = matches!(
        &arguments.command,
        Command::Results(Results::List(_) | Results::Leaderboard(_) | Results::Sql { .. })
            | Command::Recommend(_)
    );
    anyhow::ensure!(output.format != Format::Csv || listing, output::NO_CSV);
    match &arguments.command {
        Command::Check(arguments) => check::check(output, arguments),
        Command::Plan(arguments) => plan::plan(output, arguments),
        Command::Sweep(arguments) => sweep::sweep(output, arguments),
        Command::Watch(arguments) => watch::watch(output, arguments),
        Command::Recommend(arguments) => recommend::recommend(output, arguments),
        Command::Export(command) => export::export(output, command),
        Command::Results(command) => results::results(output, command),
        Command::Schema(plugins) => spec::schema(output, plugins),
        Command::Spec(Spec::Resolve(arguments)) => spec::resolve(output, arguments),
        Command::Report(arguments) => export::report(output, arguments),
        Command::Plugin(command) => plugin::plugin(output, command),
        Command::Data(command) => data::data(output, command),
        Command::Archetype(command) => archetype::archetype(output, command),
        Command::Example(arguments) => example::example(output, arguments),
        Command::Init(arguments) => example::init(output, arguments),
        Command::Completions { shell } => shell::completions(*shell),
        Command::Man { command } => shell::man(command),
        Command::Doctor(arguments) => doctor::doctor(output, arguments),
        Command::Stage { request } => Ok(match genair_runner::make_stage(request)? {
            true => Exit::Done,
            false => Exit::SomeFailed,
        }),
    }
}

/// A spec with the runs it describes, and what looks at its plugins.
fn read_sweep(spec: &SpecArgs, plugins: &PluginArgs) -> anyhow::Result<(Workshop, Sweep)> {
    let file = SpecFile::read(&spec.spec, &spec.set.options())?;
    let workshop = Workshop::open(plugins)?;
    let sweep = workshop.expand(&file)?;
    Ok((workshop, sweep))
}

/// The worker binary with the plugins it finds.
struct Workshop {
    trainer: Trainer,
    plugins: Vec<PluginReport>,
    /// What plugins said about configurations, by the plugin's file and the configuration as JSON.
    answers: RefCell<HashMap<Question, Result<(), String>>>,
}

type Question = (PathBuf, String);

impl Workshop {
    fn open(arguments: &PluginArgs) -> anyhow::Result<Self> {
        let trainer = Trainer::find(environment::path("GENAIR_TRAINER"))?;
        let binary = std::env::current_exe()?;
        let variable = environment::path("GENAIR_PLUGIN_PATH");
        let variable = variable.as_ref().map(|path| path.as_os_str());
        let folders = plugins::search_path(&arguments.folders, variable, binary.parent());
        let plugins = plugins::discover(&trainer, &folders)?;
        Ok(Self {
            trainer,
            plugins,
            answers: RefCell::default(),
        })
    }

    /// Checks a spec and lists its runs. A spec is read before plugins are looked at: it may name variables that
    /// those must not see.
    fn expand(&self, spec: &SpecFile) -> Result<Sweep, SpecError> {
        spec.expand(&Backbones {
            plugins: &self.plugins,
            accepts: &|report, all| self.ask(&report.path, all),
        })
    }

    /// Asks each plugin at once about all that the specs, each with what is said beside it, will ask of it: a
    /// question takes a process.
    fn ask_ahead(&self, specs: &[(&Path, SpecOptions)]) {
        let questions: RefCell<HashMap<PathBuf, Vec<Map<String, Value>>>> = RefCell::default();
        for (path, options) in specs {
            let asked = SpecFile::read(path, options).map(|file| {
                file.expand(&Backbones {
                    plugins: &self.plugins,
                    accepts: &|report, all| {
                        let mut questions = questions.borrow_mut();
                        let known = questions.entry(report.path.clone()).or_default();
                        known.extend_from_slice(all);
                        vec![Ok(()); all.len()]
                    },
                })
            });
            drop(asked); // What is wrong is told when the spec is checked.
        }
        for (plugin, all) in questions.into_inner() {
            // Where the plugin dies of one of them, each spec asks for itself.
            let _ = self.learn(&plugin, &all);
        }
    }

    /// A plugin's judgement of configurations, of each once.
    fn ask(&self, plugin: &Path, all: &[Map<String, Value>]) -> Vec<Result<(), String>> {
        if let Err(error) = self.learn(plugin, all) {
            return vec![Err(error.to_string()); all.len()];
        }
        let answers = self.answers.borrow();
        let answer = |params| answers.get(&question(plugin, params)).cloned();
        all.iter()
            .map(|params| answer(params).unwrap_or(Ok(())))
            .collect()
    }

    /// Asks for the judgements that are not known yet.
    fn learn(&self, plugin: &Path, all: &[Map<String, Value>]) -> Result<(), TrainerError> {
        let mut answers = self.answers.borrow_mut();
        let all = all
            .iter()
            .map(|params| (question(plugin, params), params.clone()));
        let new: HashMap<_, _> = all.filter(|(own, _)| !answers.contains_key(own)).collect();
        if !new.is_empty() {
            let (questions, params): (Vec<_>, Vec<_>) = new.into_iter().unzip();
            let verdicts = self.trainer.capabilities(plugin, &params)?;
            let verdicts = verdicts.into_iter().map(|verdict| verdict.map(drop));
            answers.extend(questions.into_iter().zip(verdicts));
        }
        Ok(())
    }
}

fn question(plugin: &Path, params: &Map<String, Value>) -> Question {
    // A map with text keys cannot fail to serialise.
    let text = serde_json::to_string(params).unwrap_or_default();
    (plugin.to_owned(), text)
}

fn warn(output: &Output, warnings: &[Problem]) {
    for warning in warnings {
        output.note(format!("warning: {warning}"));
    }
}
