//! Layers of a spec: defaults, preset, files, profiles, environment, `--set`. Reads and merges; judges
//! no value.

use std::path::{Path, PathBuf};

use figment::providers::Env;
use figment::value::{Dict, Map, Value as FigmentValue};
use figment::{Figment, Metadata, Profile, Provider};
use genair_files::spec_text;
use genair_toml::{Document, KeyPath, Place, Problem, Sources, SpecError, Spot, suggestion};
use indexmap::IndexSet;
use toml::Table;

use super::compose::read_files;
use super::meant;
use super::names::refusal;
use super::recipes;

/// All keys and their defaults, commented: the reference of the format.
pub const DEFAULT_SPEC: &str = include_str!("default.toml");

/// The variable that may say where training happens.
const DEVICE_VARIABLE: &str = "GENAIR_DEVICE";

/// Named layers between the defaults and the file, by the name that `sweep.preset` gives.
const PRESETS: [(&str, &str); 2] = [
    (
        "genair-reference",
        include_str!("presets/genair-reference.toml"),
    ),
    ("recbole", include_str!("presets/recbole.toml")),
];

/// What `sweep.preset` can be.
pub(crate) fn preset_names() -> [&'static str; PRESETS.len()] {
    PRESETS.map(|(name, _)| name)
}

/// A spec with all layers merged, not yet checked.
#[derive(Debug)]
pub struct SpecFile {
    pub(crate) sources: Sources,
    pub(crate) tree: Table,
    /// What was written: the tree without defaults, preset and environment.
    written: Table,
    /// Datasets that are public ones, with the names that their `kind` had.
    pub(crate) public: Vec<(String, String)>,
}

/// What the command line says about a spec beside its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecOptions {
    /// Profiles of the spec to put above its files, later ones above earlier ones; as of `--profile`.
    pub profiles: Vec<String>,
    /// `path=value`, as of `--set`.
    pub overrides: Vec<String>,
}

impl SpecFile {
    /// Reads a spec file with those it extends, and puts `options` on top.
    ///
    /// # Errors
    /// Files that cannot be read or extend themselves, text that is not TOML, a profile that is not
    /// there, an override that is not `path=value`; all of them at once.
    pub fn read(path: &Path, options: &SpecOptions) -> Result<Self, SpecError> {
        let text = spec_text::read(path)
            .map_err(|error| Problem::of_file(path, format!("cannot read the spec: {error}")))?;
        let environment = Env::raw()
            .filter(|name| name == DEVICE_VARIABLE)
            .map(|_| "train.device".into());
        Self::parse(path, &text, options, environment)
    }

    pub(crate) fn parse(
        path: &Path,
        text: &str,
        options: &SpecOptions,
        environment: Env,
    ) -> Result<Self, SpecError> {
        let (mut set, mut wrong) = (Vec::new(), Vec::new());
        for text in &options.overrides {
            match parse_override(text) {
                Ok(entry) => set.push(entry),
                Err(error) => wrong.extend(error.problems),
            }
        }
        let mut files = match read_files(path, text) {
            Ok(files) => files,
            Err(error) => {
                wrong.extend(error.problems);
                return Err(SpecError::of(wrong));
            }
        };
        for tree in files.iter().map(|file| &file.tree) {
            keep_keys_from_children(tree);
        }
        let profiles = Profiles::take(&mut files);
        let sources = Sources::new(files, options.profiles.clone());
        wrong.extend(profiles.problems(&sources));
        if !wrong.is_empty() {
            return Err(SpecError::of(wrong));
        }
        let device = environment.iter().next();
        let device = device.map(|_| (KeyPath::new(["train", "device"]), DEVICE_VARIABLE));
        let paths = set.iter().map(|(path, _)| path.clone()).collect();
        let sources = sources.with(paths, device).with_hints(meant::hint);

        let mut top = Table::new();
        for (path, value) in set {
            path.set(&mut top, value);
        }
        keep_keys_from_children(&top);
        let mut written = Figment::new();
        for file in sources.files() {
            written = written.merge(Layer::new(file.path.display().to_string(), &file.tree));
        }
        for name in sources.profiles() {
            for tree in profiles.of(name) {
                written = written.merge(Layer::new(name, tree));
            }
        }
        let failed = |error: figment::Error| Problem::of_file(path, error.to_string());
        let below: Table = written.extract().map_err(failed)?;
        let preset = preset(&[&top, &below], &sources)?;
        let sources = sources.with_preset(preset.clone());
        let defaults = Layer::new("defaults", &parse_own("defaults", DEFAULT_SPEC)?);
        let preset = preset.map(|(name, tree)| Layer::new(name, &tree));
        let mut tree: Table = Figment::from(defaults)
            .merge(preset.unwrap_or_else(|| Layer::new("no preset", &Table::new())))
            .merge(written.clone())
            .merge(environment)
            .merge(Layer::new("--set", &top))
            .extract()
            .map_err(failed)?;
        let public = recipes::apply(&mut tree);
        let written = written.merge(Layer::new("--set", &top));
        let written = written.extract().map_err(failed)?;
        Ok(Self {
            sources,
            tree,
            written,
            public,
        })
    }

    /// Folder that relative paths of the spec start from; those of files it extends are absolute by now.
    pub(crate) fn folder(&self) -> PathBuf {
        self.sources
            .path()
            .parent()
            .map(Path::to_owned)
            .unwrap_or_default()
    }

    /// Names of the profiles that the spec and the files it extends have.
    pub fn profiles(&self) -> Vec<String> {
        let mut names = IndexSet::new();
        for file in self.sources.files() {
            let profiles = file.root().get("profile").into_iter();
            names.extend(profiles.flat_map(Spot::names).map(str::to_owned));
        }
        names.into_iter().collect()
    }

    /// The spec as one text: the file itself, or where it is put together from several files, profiles
    /// and overrides, all that these say.
    pub fn text(&self) -> String {
        if self.sources.is_one_file() {
            let file = self.sources.files().last();
            return file.map(|file| file.text.clone()).unwrap_or_default();
        }
        let files = self.sources.files().iter().rev();
        let mut parts: Vec<String> = files.map(|file| file.path.display().to_string()).collect();
        let profiles = self.sources.profiles().iter();
        parts.extend(profiles.map(|profile| format!("--profile {profile}")));
        parts.extend(self.sources.overrides().map(|path| format!("--set {path}")));
        format!(
            "# Put together from {}.\n{}",
            parts.join(", "),
            super::resolve::to_toml(&self.sources, &self.written, &|_| None)
        )
    }
}

/// The profiles of a spec's files, lowest file first.
struct Profiles(Vec<Table>);

impl Profiles {
    /// Takes them out of the files.
    fn take(files: &mut [Document]) -> Self {
        let tables = files
            .iter_mut()
            .map(|file| match file.tree.remove("profile") {
                Some(toml::Value::Table(profiles)) => profiles,
                Some(other) => Table::from_iter([(String::new(), other)]),
                None => Table::new(),
            });
        Self(tables.collect())
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Table> {
        self.0
            .iter()
            .filter_map(move |profiles| profiles.get(name)?.as_table())
    }

    /// Profiles that are no tables or have no name, and chosen ones that are not there.
    fn problems(&self, sources: &Sources) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (file, profiles) in sources.files().iter().zip(&self.0) {
            for (name, value) in profiles {
                let key = match name.as_str() {
                    "" => KeyPath::new(["profile"]),
                    name => KeyPath::new(["profile", name]),
                };
                let (message, hint) = match refusal(&key, "the name", name) {
                    Some((message, hint)) => (message, Some(hint)),
                    None if value.is_table() => continue,
                    None => (
                        format!("`{key}` is {value}; it must be a table, [profile.NAME]"),
                        None,
                    ),
                };
                problems.push(Problem {
                    place: file.place(&["profile", name]),
                    key: key.to_string(),
                    message,
                    hint,
                });
            }
        }
        let mut known: Vec<&str> = self
            .0
            .iter()
            .flat_map(Table::keys)
            .map(String::as_str)
            .collect();
        known.sort_unstable();
        known.dedup();
        for name in sources
            .profiles()
            .iter()
            .filter(|name| !known.contains(&name.as_str()))
        {
            let hint = suggestion(name, &known)
                .unwrap_or_else(|| "the spec has no [profile.NAME] at all".to_owned());
            problems.push(Problem {
                place: Place::Profile,
                key: String::new(),
                message: format!("the spec has no profile `{name}`"),
                hint: Some(hint),
            });
        }
        problems
    }
}

/// Keeps the variables that hold the keys of servers from every child: plugins run in some of them. Those of a
/// profile that was not chosen, too.
fn keep_keys_from_children(tree: &Table) {
    for (key, value) in tree {
        match value {
            toml::Value::String(variable) if key == "api_key_env" => {
                genair_process::keep_from_children(variable);
            }
            toml::Value::Table(inner) => keep_keys_from_children(inner),
            _ => {}
        }
    }
}

/// The preset that `sweep.preset` names in the first of the given layers that has it.
fn preset(
    layers: &[&Table],
    sources: &Sources,
) -> Result<Option<(&'static str, Table)>, SpecError> {
    let key = KeyPath::new(["sweep", "preset"]);
    let Some(value) = layers.iter().find_map(|layer| key.get(layer)) else {
        return Ok(None);
    };
    let name = value.as_str().unwrap_or_default();
    match PRESETS.iter().find(|(known, _)| *known == name) {
        Some((name, text)) => Ok(Some((name, parse_own(name, text)?))),
        None => Err(SpecError::from(Problem {
            place: sources.place(&key),
            key: key.to_string(),
            message: format!("`{key}` is {value}, which is no preset"),
            hint: suggestion(name, preset_names()),
        })),
    }
}

/// A text that comes with the program.
fn parse_own(name: &str, text: &str) -> Result<Table, SpecError> {
    Document::parse(Path::new(name), text).map(|document| document.tree)
}

/// One TOML tree as a layer for figment.
struct Layer {
    name: String,
    tree: Table,
}

impl Layer {
    fn new(name: impl Into<String>, tree: &Table) -> Self {
        Self {
            name: name.into(),
            tree: tree.clone(),
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = FigmentValue::serialize(&self.tree)?;
        Ok(Profile::Default.collect(value.into_dict().unwrap_or_default()))
    }
}

/// Parts of a dotted key that is overridden.
const MAX_KEYS: usize = 32;

/// Splits `path=value`; the value is TOML, or else a bare string.
fn parse_override(text: &str) -> Result<(KeyPath, toml::Value), SpecError> {
    let problem = |key: &str, message: String, hint: &str| {
        SpecError::from(Problem {
            place: Place::CommandLine,
            key: key.to_owned(),
            message,
            hint: Some(hint.to_owned()),
        })
    };
    let example = "write it as in `--set train.optimizer.lr=1e-4`";
    let Some((path, value)) = text.split_once('=') else {
        return Err(problem("", format!("`{text}` has no `=`"), example));
    };
    let Some(key) = parse_key(path.trim()) else {
        return Err(problem(
            path,
            format!("`{path}` is not a dotted key"),
            example,
        ));
    };
    let parts = key.keys().len();
    if parts > MAX_KEYS {
        let message = format!("a key has at most {MAX_KEYS} parts, and this one {parts}");
        return Err(problem("", message, example));
    }
    let value = value.trim();
    if let Err(error) = spec_text::check(value) {
        return Err(problem(
            path,
            format!("the value of `{path}`: {error}"),
            example,
        ));
    }
    let parsed = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| {
            let parsed = table.remove("value")?;
            table.is_empty().then_some(parsed)
        });
    let value = match parsed {
        Some(value) => value,
        None if value.starts_with(['[', '{', '"', '\'']) => {
            let message = format!("the value of `{path}` is not TOML: {value}");
            return Err(problem(
                path,
                message,
                "strings in a list need quotes: --set 'sweep.backbone=[\"sasrec\"]'",
            ));
        }
        None => toml::Value::String(value.to_owned()),
    };
    Ok((key, value))
}

/// A dotted key as TOML writes it; none if the text is something else.
fn parse_key(text: &str) -> Option<KeyPath> {
    if text.contains(['\n', '\r']) {
        return None; // The rest would be another line of TOML.
    }
    let document = Document::parse(Path::new("--set"), &format!("{text} = 0")).ok()?;
    let mut spot = document.root();
    let mut key = KeyPath::default();
    while let Some(name) = spot.names().next() {
        key = key.child(name);
        spot = spot.get(name)?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use genair_protocol::EvalSpec;
    use genair_protocol::TrainSpec;

    use super::*;

    fn load(text: &str, overrides: &[&str], environment: Env) -> Result<Table, SpecError> {
        let options = SpecOptions {
            overrides: overrides.iter().map(|&text| text.to_owned()).collect(),
            ..SpecOptions::default()
        };
        SpecFile::parse(Path::new("s.toml"), text, &options, environment).map(|file| file.tree)
    }

    fn no_environment() -> Env {
        Env::raw().filter(|_| false)
    }

    #[test]
    fn a_preset_stands_between_the_defaults_and_the_file() {
        let text = "[sweep]\npreset = \"recbole\"\n[train]\nbatch_size = 7\n";
        let tree = load(text, &["train.stop.patience=3"], no_environment()).unwrap();
        let train = &tree["train"];
        assert_eq!(train["batch_size"].as_integer(), Some(7));
        assert_eq!(train["stop"]["patience"].as_integer(), Some(3));
        assert_eq!(train["stop"]["max_epochs"].as_integer(), Some(300));
        assert_eq!(train["optimizer"]["weight_decay"].as_float(), Some(0.0));
        assert_eq!(
            tree["backbone"]["sasrec"]["num_heads"].as_integer(),
            Some(2)
        );
        let error = load(text, &["sweep.preset=recbol"], no_environment()).unwrap_err();
        assert!(error.to_string().contains("recbole"), "{error}");
    }

    #[test]
    fn the_default_spec_says_what_the_types_default_to() {
        let tree = load("", &[], no_environment()).unwrap();
        assert_eq!(
            tree["train"],
            toml::Value::try_from(TrainSpec::default()).unwrap()
        );
        assert_eq!(
            tree["eval"],
            toml::Value::try_from(EvalSpec::default()).unwrap()
        );
    }

    #[test]
    fn the_default_spec_names_every_key_of_a_dataset() {
        let unknown = figment::value::Value::serialize(toml::toml! { "?" = 1 }).unwrap();
        let error = unknown
            .deserialize::<genair_protocol::DatasetSpec>()
            .unwrap_err();
        let figment::error::Kind::UnknownField(_, keys) = error.kind else {
            panic!("{error}")
        };
        for key in keys {
            assert!(
                DEFAULT_SPEC.contains(&format!("\n# {key} = ")),
                "default.toml lacks `{key}`"
            );
        }
    }

    #[test]
    fn later_layers_win() {
        let text = "[train]\nthreads = 2\nstop.patience = 5";
        let overrides = [
            "train.optimizer.lr=[1e-2, 1e-3]",
            "train.init=xavier-normal",
            "dataset.\"a.b\".path=/x",
        ];
        let tree = load(text, &overrides, no_environment()).unwrap();
        let at = |key: &[&str]| {
            KeyPath::new(key.iter().copied())
                .get(&tree)
                .unwrap()
                .to_string()
        };
        assert_eq!(at(&["train", "threads"]), "2");
        assert_eq!(at(&["train", "stop", "patience"]), "5");
        assert_eq!(at(&["train", "stop", "max_epochs"]), "50");
        assert_eq!(at(&["train", "optimizer", "lr"]), "[0.01, 0.001]");
        assert_eq!(at(&["train", "init"]), "\"xavier-normal\"");
        assert_eq!(at(&["dataset", "a.b", "path"]), "\"/x\"");
    }

    #[test]
    fn overrides_that_are_none_are_refused_together() {
        let error = load(
            "",
            &[
                "train.threads",
                "a b=1",
                "[a]\nb=1",
                "=1",
                "sweep.backbone=[sasrec]",
            ],
            no_environment(),
        )
        .unwrap_err();
        insta::assert_snapshot!(error, @r#"
        --set: `train.threads` has no `=`
        hint: write it as in `--set train.optimizer.lr=1e-4`
        --set: `a b` is not a dotted key
        hint: write it as in `--set train.optimizer.lr=1e-4`
        --set: `[a]
        b` is not a dotted key
        hint: write it as in `--set train.optimizer.lr=1e-4`
        --set: `` is not a dotted key
        hint: write it as in `--set train.optimizer.lr=1e-4`
        --set: the value of `sweep.backbone` is not TOML: [sasrec]
        hint: strings in a list need quotes: --set 'sweep.backbone=["sasrec"]'
        "#);
    }
}
