//! The datasets of a spec and the archetypes that it describes, whatever else it says.

use genair_archetype::{ArchetypeSpec, VectorsForm};
use genair_protocol::{Axes, DatasetSpec};
use genair_toml::{KeyPath, SpecError};
use toml::Value;

use super::axes::{Axis, labelled};
use super::check::{Backbones, Cell, Checker};
use super::expand::MAX_RUNS;
use super::load::SpecFile;
use super::names::check_names;
use super::representation::{COMPONENTS, VectorsStage};
use super::search::{Search, borrowed};

/// Nothing of these parts depends on a plugin.
const NO_PLUGINS: Backbones<'static> = Backbones {
    plugins: &[],
    accepts: &|_, all| vec![Ok(()); all.len()],
};

/// How archetypes of one dataset are written, and what becomes of them.
#[derive(Clone, Debug)]
pub struct ArchetypeJob {
    /// Name of the dataset in the spec.
    pub dataset: String,
    /// Where its items are.
    pub data: DatasetSpec,
    /// The representation, of kind `archetype` or `text`, whose settings these are; `archetype` where no table
    /// has them.
    pub representation: String,
    /// Model, prompt and generation.
    pub settings: ArchetypeSpec,
    /// What is made of its item vectors.
    pub form: VectorsForm,
}

impl SpecFile {
    /// The datasets alone, whatever else the spec says: name, values of the axes that vary it, spec.
    ///
    /// # Errors
    /// Every problem of the datasets at once.
    pub fn datasets(&self) -> Result<Vec<(String, Axes, DatasetSpec)>, SpecError> {
        let (mut checker, search, axes) = self.checker_of(&["dataset"]);
        let mut datasets = Vec::new();
        for name in checker.tables("dataset") {
            let at = KeyPath::new(["dataset", &name]);
            let own = axes
                .iter()
                .filter(|axis| axis.path.starts_with(&["dataset", &name]));
            let own: Vec<&Axis> = own.collect();
            let lists = own.iter().filter(|axis| axis.is_list());
            let lengths = lists.map(|axis| axis.values.len());
            if lengths.fold(1, usize::saturating_mul) > MAX_RUNS {
                let message =
                    format!("the axes multiply to more than {MAX_RUNS} variants; shorten some");
                checker.problems.report(&at, message, None);
                continue;
            }
            let cell = Cell {
                dataset: &name,
                ..Cell::default()
            };
            let all = checker.choose(&search, &[], &cell, &own, &axes);
            for chosen in all.iter().take(MAX_RUNS) {
                let chosen = borrowed(chosen);
                let spec = checker.dataset(&name, &chosen);
                datasets.extend(spec.map(|spec| (name.clone(), labelled(&chosen), spec)));
            }
        }
        checker.problems.finish()?;
        Ok(datasets)
    }

    /// Each representation with its kind as it is written, which is `id` where none is, in the order of the spec.
    pub fn representations(&self) -> Vec<(String, String)> {
        let at = KeyPath::new(["representation"]);
        let kind = |name: &str| {
            let kind = at.child(name).child("kind");
            let kind = kind.get(&self.tree).and_then(Value::as_str);
            kind.unwrap_or("id").to_owned()
        };
        let names = self.sources.names(&at).into_iter();
        names.map(|name| (name.clone(), kind(&name))).collect()
    }

    /// The archetypes and texts a spec describes, for each dataset and each representation of kind `archetype`
    /// or `text` (its first variant where an axis varies it; where the axis is `part` and only some of its values
    /// need answers, one with and one without them), or for `[archetype]` alone where there is none.
    ///
    /// # Errors
    /// Every problem of the tables concerned at once.
    pub fn archetypes(&self) -> Result<Vec<ArchetypeJob>, SpecError> {
        let (mut checker, _, axes) = self.checker_of(&["dataset", "representation", "archetype"]);
        let first: Vec<(&Axis, &Value)> = axes.iter().map(|axis| (axis, &axis.values[0])).collect();
        checker.archetype_section();
        let datasets = checker.tables("dataset");
        let representations = checker.tables("representation");
        let mut jobs = Vec::new();
        for dataset in &datasets {
            checker.dataset_prompt(dataset, &first);
            let Some(data) = checker.dataset(dataset, &first) else {
                continue;
            };
            let job = |name: &str, settings, form| ArchetypeJob {
                dataset: dataset.clone(),
                data: data.clone(),
                representation: name.to_owned(),
                settings,
                form,
            };
            let of_dataset = jobs.len();
            for name in &representations {
                for chosen in variants(name, &first, &axes) {
                    let found = checker.representation(name, Some(dataset), &chosen);
                    let vectors = found.and_then(|found| found.vectors);
                    let engine = vectors.as_ref().and_then(VectorsStage::engine);
                    jobs.extend(engine.map(|(own, form)| job(name, own.clone(), form.clone())));
                }
            }
            if jobs.len() == of_dataset {
                let settings = checker.archetype_of(Some(dataset), "archetype", &first);
                let form = VectorsForm::components(COMPONENTS);
                jobs.extend(settings.map(|settings| job("archetype", settings, form)));
            }
        }
        checker.problems.finish()?;
        Ok(jobs)
    }

    /// A pass over these sections and what they are searched by, and no other.
    fn checker_of(&self, sections: &[&str]) -> (Checker<'_>, Search, Vec<Axis>) {
        let mut checker = Checker::new(self, &NO_PLUGINS);
        let concerned = |section: &str| section == "search" || sections.contains(&section);
        checker.tree.retain(|section, _| concerned(section));
        check_names(&checker.tree, &mut checker.problems);
        let search = checker.search();
        let axes = checker.axes(search.settings());
        (checker, search, axes)
    }
}

/// What `first` chooses for a representation, once for each way to read its items: where an axis goes over its
/// parts, first the one that needs answers, then the one that needs none.
fn variants<'a>(
    name: &str,
    first: &[(&'a Axis, &'a Value)],
    axes: &'a [Axis],
) -> Vec<Vec<(&'a Axis, &'a Value)>> {
    let part = KeyPath::new(["representation", name, "part"]);
    let Some(axis) = axes.iter().find(|axis| axis.path == part) else {
        return vec![first.to_vec()];
    };
    let is_context = |value: &&Value| value.as_str() == Some("context");
    let answered = axis.values.iter().find(|value| !is_context(value));
    let prompts = axis.values.iter().find(is_context);
    let with = |value: &'a Value| {
        let own = |&(axis, first): &(&'a Axis, &'a Value)| match axis.path == part {
            true => (axis, value),
            false => (axis, first),
        };
        first.iter().map(own).collect()
    };
    answered.into_iter().chain(prompts).map(with).collect()
}
