//! From a merged spec to the runs it describes, or to everything that is wrong with it.

use std::collections::BTreeSet;

use genair_protocol::{BackboneSpec, EvalSpec, Labels, RunSpec, TrainSpec, builtin_needs_vectors};
use genair_toml::{KeyPath, SpecError};
use indexmap::IndexSet;
use toml::Value;

use super::axes::{Axis, AxisKind, combinations, labelled};
use super::check::{Backbones, Cell, Checker, is_builtin};
use super::condition::Condition;
use super::load::SpecFile;
use super::meant;
use super::names::check_names;
use super::representation::{Representation, VectorsStage};
use super::search::{Search, borrowed};
use super::sweep::SweepSection;
use super::{Draft, PluginFile, Schedule, Sweep, SweepRun};

/// More runs than this are taken for a slip in an axis.
pub(crate) const MAX_RUNS: usize = 20_000;

/// Combinations of a table's values that are checked by themselves, before the runs are.
const ENOUGH: usize = 1_000;

/// Values that are checked at once, and mistakes after which the rest of a table's values are not.
const AT_ONCE: usize = 64;
const MANY: usize = 100;

/// What a spec has at its top level.
const SECTIONS: [&str; 14] = [
    "extends",
    "profile",
    "sweep",
    "dataset",
    "archetype",
    "backbone",
    "representation",
    "ensemble",
    "rerank",
    "train",
    "eval",
    "search",
    "schedule",
    "prune",
];

impl SpecFile {
    /// Checks everything and lists the runs. Reads no data; only that the folders are there.
    ///
    /// # Errors
    /// Every problem of the spec at once.
    pub fn expand(&self, backbones: &Backbones<'_>) -> Result<Sweep, SpecError> {
        let mut checker = Checker::new(self, backbones);
        let (section, searched, runs, schedule) = checker.run();
        let pruning = checker.prune(&section.backbone, &runs);
        let warnings = checker.problems.finish()?;
        Ok(Sweep {
            name: section.name,
            description: section.description,
            spec_path: self.sources.path().to_owned(),
            spec_text: self.text(),
            checkpoint_seconds: section.checkpoint_seconds,
            searched,
            runs,
            schedule,
            pruning,
            warnings,
        })
    }
}

/// Names a sweep uses, those that are known.
struct Names {
    datasets: Vec<String>,
    backbones: Vec<String>,
    /// Each with the one that has its settings (see [`Cell::settings`]), and whether it has vectors before training.
    representations: Vec<(String, String, bool)>,
}

/// What makes the runs of each cell.
struct Combining<'s> {
    axes: &'s [Axis],
    search: &'s Search,
    excludes: &'s [Condition],
    first: &'s [Condition],
    eval: &'s EvalSpec,
    seeds: &'s [u64],
}

impl Names {
    /// All cells. A built-in backbone has one per dataset, whatever the representations, unless it needs vectors: then it
    /// has one for each that has some.
    fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        let pairs = self.datasets.iter().flat_map(|dataset| {
            self.backbones
                .iter()
                .map(move |backbone| (dataset, backbone))
        });
        pairs.flat_map(|(dataset, backbone)| {
            let of_vectors = builtin_needs_vectors(backbone);
            let representations = if is_builtin(backbone) && !of_vectors {
                vec![("none", "none")]
            } else {
                let names = self.representations.iter();
                let names = names.filter(|(.., has_vectors)| *has_vectors || !of_vectors);
                names
                    .map(|(name, settings, _)| (name.as_str(), settings.as_str()))
                    .collect()
            };
            let cell = move |(representation, settings)| Cell {
                dataset,
                backbone,
                representation,
                settings,
            };
            representations.into_iter().map(cell)
        })
    }
}

impl Cell<'_> {
    /// Whether an axis varies this cell's runs.
    fn has(&self, axis: &Axis) -> bool {
        let trains = !is_builtin(self.backbone);
        let path = &axis.path;
        // A built-in backbone without vectors has the representation `none`.
        path.starts_with(&["dataset", self.dataset])
            || path.starts_with(&["backbone", self.backbone])
            || path.starts_with(&["representation", self.representation])
            || path.starts_with(&["representation", self.settings])
            || trains && path.starts_with(&["train"])
    }
}

impl Combining<'_> {
    /// Runs the sweep comes to at the most, `None` above [`MAX_RUNS`].
    fn count(&self, names: &Names) -> Option<usize> {
        names.cells().try_fold(0_usize, |total, cell| {
            let own: Vec<&Axis> = self.axes.iter().filter(|axis| cell.has(axis)).collect();
            let points = self
                .search
                .most_points(&own)
                .saturating_mul(self.seeds.len());
            let lists = own.iter().filter(|axis| axis.is_list());
            let runs = lists.fold(points, |runs, axis| runs.saturating_mul(axis.values.len()));
            Some(total.saturating_add(runs)).filter(|total| *total <= MAX_RUNS)
        })
    }
}

impl Checker<'_> {
    fn run(&mut self) -> (SweepSection, Vec<String>, Vec<SweepRun>, Schedule) {
        let unknown: Vec<String> = self
            .tree
            .keys()
            .filter(|name| !SECTIONS.contains(&name.as_str()))
            .cloned()
            .collect();
        for name in unknown {
            let key = KeyPath::new([&name]);
            let hint = meant::hint(&KeyPath::default(), &name, &SECTIONS);
            let message = format!("unknown table or key `{key}`");
            self.problems.report(&key, message, hint);
        }
        check_names(&self.tree, &mut self.problems);
        let section = self.sweep_section();
        let names = Names {
            datasets: self.datasets(&section),
            backbones: self.known_backbones(&section),
            representations: self
                .known_representations(&section)
                .into_iter()
                .map(|name| {
                    let settings = self.settings_of(&name).to_owned();
                    let at = KeyPath::new(["representation", &settings, "kind"]);
                    let kind = at.get(&self.tree).and_then(Value::as_str);
                    let has_vectors = kind.is_some_and(|kind| kind != "id");
                    (name, settings, has_vectors)
                })
                .collect(),
        };
        self.require_vectors(&names);
        self.warn_of_unused("backbone", &section.backbone);
        let shuffled = section
            .representation
            .iter()
            .map(|name| self.settings_of(name).to_owned());
        let used: Vec<String> = section
            .representation
            .iter()
            .cloned()
            .chain(shuffled)
            .collect();
        self.warn_of_unused("representation", &used);
        let search = self.search();
        let axes = self.axes(search.settings());
        self.check_ranges(&search, &axes);
        let excludes = self.excludes(&search);
        let (schedule, first) = self.schedule();
        let eval = self.eval();
        let combining = Combining {
            axes: &axes,
            search: &search,
            excludes: &excludes,
            first: &first,
            eval: &eval,
            seeds: &section.seeds,
        };
        self.check_sections(&names, &axes, &excludes);
        let runs = match combining.count(&names) {
            // Of a large spec with mistakes, the tables have told them.
            Some(runs) if runs > ENOUGH && !self.problems.is_empty() => Vec::new(),
            Some(_) => self.runs(&names, &combining),
            None => {
                let message =
                    format!("the axes multiply to more than {MAX_RUNS} runs; shorten some");
                self.problems
                    .report(&KeyPath::new(["sweep"]), message, None);
                Vec::new()
            }
        };
        let searched = axes.iter().filter(|axis| !axis.is_list());
        let searched: IndexSet<String> = searched.map(|axis| axis.label.clone()).collect();
        (section, searched.into_iter().collect(), runs, schedule)
    }

    /// Checks each table by itself, so that a mistake in one hides none in another.
    fn check_sections(&mut self, names: &Names, axes: &[Axis], excludes: &[Condition]) {
        self.check_table(&["train"], axes, |checker, all| {
            all.iter().for_each(|chosen| drop(checker.train(chosen)));
        });
        self.archetype_section();
        for name in &names.datasets {
            self.check_table(&["dataset", name], axes, |checker, all| {
                for chosen in all {
                    checker.dataset(name, chosen);
                    checker.dataset_prompt(name, chosen);
                }
            });
        }
        for name in &names.backbones {
            let cell = Cell {
                backbone: name,
                ..Cell::default()
            };
            self.check_table(&["backbone", name], axes, |checker, all| {
                // An exclude may be there to keep from the plugin what it refuses.
                let stays = |chosen: &&Vec<_>| {
                    let mut excludes = excludes.iter();
                    !excludes.any(|exclude| checker.holds(exclude, &cell, chosen))
                };
                let all: Vec<_> = all.iter().filter(stays).cloned().collect();
                checker.ask_plugin(name, &all);
                all.iter()
                    .for_each(|chosen| drop(checker.backbone(name, chosen)));
            });
        }
        for (name, ..) in &names.representations {
            self.check_table(&["representation", name], axes, |checker, all| {
                for chosen in all {
                    checker.representation(name, None, chosen);
                }
            });
        }
    }

    /// Checks one table with each value of each of its axes, the other axes at their first value. Where nothing is
    /// wrong with these, checks combinations of its lists: [`ENOUGH`] of them, as the runs show the rest.
    fn check_table<'a>(
        &mut self,
        keys: &[&str],
        axes: &'a [Axis],
        check: impl Fn(&mut Self, &[Vec<(&'a Axis, &'a Value)>]),
    ) {
        let own = axes.iter().filter(|axis| axis.path.starts_with(keys));
        let own: Vec<&Axis> = own.collect();
        let first = |wanted: &dyn Fn(&Axis) -> bool| {
            // A point has no value but its own.
            let own = own.iter().filter(|axis| axis.kind != AxisKind::Points);
            let own = own.filter(|axis| wanted(axis));
            own.map(|axis| (*axis, &axis.values[0])).collect::<Vec<_>>()
        };
        let one_by_one = own.iter().flat_map(|axis| {
            let others = first(&|other| other != *axis);
            let values = axis.values.iter();
            values.map(move |value| [others.clone(), vec![(*axis, value)]].concat())
        });
        let before = self.problems.len();
        for some in one_by_one.collect::<Vec<_>>().chunks(AT_ONCE) {
            check(self, some);
            if self.problems.len() > before + MANY {
                return;
            }
        }
        if self.problems.len() > before {
            return;
        }
        let lists: Vec<&Axis> = own.iter().copied().filter(|axis| axis.is_list()).collect();
        let others = first(&|axis| !axis.is_list());
        let together = combinations(&lists).take(ENOUGH);
        let together = together.map(|chosen| [chosen, others.clone()].concat());
        check(self, &together.collect::<Vec<_>>());
    }

    /// A built-in backbone that needs vectors, where no representation has some, would have no run.
    fn require_vectors(&mut self, names: &Names) {
        let mut backbones = names.backbones.iter();
        let needing = backbones.find(|name| builtin_needs_vectors(name));
        let has_vectors = names.representations.iter().any(|(.., has)| *has);
        if let (Some(name), false) = (needing, has_vectors) {
            let key = KeyPath::new(["sweep", "representation"]);
            let message = format!(
                "`{name}` compares item vectors, and no representation of the sweep has some"
            );
            let hint = "add one of kind archetype, text or vectors".to_owned();
            self.problems.report(&key, message, Some(hint));
        }
    }

    fn runs(&mut self, names: &Names, combining: &Combining<'_>) -> Vec<SweepRun> {
        let axes = combining.axes;
        let mut runs = Vec::new();
        for cell in names.cells() {
            let own: Vec<&Axis> = axes.iter().filter(|axis| cell.has(axis)).collect();
            let all = self.choose(combining.search, combining.excludes, &cell, &own, axes);
            let all: Vec<_> = all.iter().map(borrowed).collect();
            self.ask_plugin(cell.backbone, &all);
            for chosen in all {
                let Some((spec, plugin, vectors)) = self.run_of(&cell, combining.eval, &chosen)
                else {
                    continue;
                };
                let priority = self.priority(combining.first, &cell, &chosen);
                runs.extend(combining.seeds.iter().map(|&seed| SweepRun {
                    labels: Labels {
                        dataset: cell.dataset.to_owned(),
                        backbone: cell.backbone.to_owned(),
                        representation: cell.representation.to_owned(),
                        axes: labelled(&chosen),
                        seed,
                    },
                    spec: Draft(RunSpec {
                        seed,
                        ..spec.clone()
                    }),
                    plugin: plugin.clone(),
                    vectors: vectors.clone(),
                    priority,
                    members: Vec::new(),
                }));
            }
        }
        self.warn_of_unequal(axes, &runs);
        let representations = names.representations.iter();
        let representations: Vec<String> = representations.map(|(name, ..)| name.clone()).collect();
        self.add_combinations(&mut runs, &representations);
        self.refuse_equal_labels(&runs);
        runs
    }

    /// A cell's run but for its seed; `None` if there was anything to report.
    fn run_of(
        &mut self,
        cell: &Cell<'_>,
        eval: &EvalSpec,
        chosen: &[(&Axis, &Value)],
    ) -> Option<(RunSpec, Option<PluginFile>, Option<VectorsStage>)> {
        let dataset = self.dataset(cell.dataset, chosen)?;
        let mut train = TrainSpec::default();
        let mut representation = Representation::none();
        let trains = !is_builtin(cell.backbone);
        if trains || builtin_needs_vectors(cell.backbone) {
            representation =
                self.representation(cell.representation, Some(cell.dataset), chosen)?;
        }
        if trains {
            train = self.train(chosen)?;
        } else {
            representation.spec.calibration = None;
        }
        if representation.spec.imputed.is_some() && !dataset.split.has_cold_items() {
            let key = KeyPath::new(["representation", cell.representation, "impute"]);
            let own = cell.dataset;
            let message =
                format!("has no effect on dataset `{own}`, whose split has no cold items");
            let hint = format!("set `dataset.{own}.split.cold_items`, or remove `impute`");
            self.problems.about(&key, message, Some(hint));
            return None;
        }
        let (params, plugin) = self.backbone(cell.backbone, chosen)?;
        let spec = RunSpec {
            dataset_name: cell.dataset.to_owned(),
            dataset,
            backbone: BackboneSpec {
                name: cell.backbone.to_owned(),
                params,
            },
            representation: representation.spec,
            combination: None,
            train,
            eval: eval.clone(),
            seed: 0,
        };
        Some((spec, plugin, representation.vectors))
    }

    /// A safety net: results are told apart by labels, so no two runs may share them.
    fn refuse_equal_labels(&mut self, runs: &[SweepRun]) {
        let mut seen = BTreeSet::new();
        for run in runs {
            if !seen.insert(&run.labels) {
                let message = format!("two runs have the same labels: {}", run.labels);
                self.problems
                    .report(&KeyPath::new(["sweep"]), message, None);
            }
        }
    }
}

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod representations;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod texts;
