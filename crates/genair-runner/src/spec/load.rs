//! Layers of a spec: defaults, file, environment, `--set`. Reads and merges; judges no value.

use std::path::{Path, PathBuf};

use figment::providers::Env;
use figment::value::{Dict, Map, Value as FigmentValue};
use figment::{Figment, Metadata, Profile, Provider};
use toml::Table;

use super::key_path::KeyPath;
use super::problem::{Place, Problem, SpecError, suggestion};
use super::sources::{DEVICE_VARIABLE, Sources};

/// All keys and their defaults, commented: the reference of the format.
pub const DEFAULT_SPEC: &str = include_str!("../default.toml");

/// Named layers between the defaults and the file, by the name that `sweep.preset` gives.
const PRESETS: [(&str, &str); 2] = [
    (
        "genair-reference",
        include_str!("../presets/genair-reference.toml"),
    ),
    ("recbole", include_str!("../presets/recbole.toml")),
];

/// A spec file with all layers merged, not yet checked.
#[derive(Debug)]
pub struct SpecFile {
    pub(crate) sources: Sources,
    pub(crate) tree: Table,
}

impl SpecFile {
    /// Reads a spec file and puts `overrides` (`path=value`, as of `--set`) on top.
    ///
    /// # Errors
    /// A file that cannot be read, text that is not TOML, an override that is not `path=value`.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, SpecError> {
        let text = std::fs::read_to_string(path).map_err(|error| Problem {
            place: Place::File {
                path: path.to_owned(),
                line: None,
                column: None,
            },
            key: String::new(),
            message: format!("cannot read the spec: {error}"),
            hint: None,
        })?;
        let environment = Env::raw()
            .filter(|name| name == DEVICE_VARIABLE)
            .map(|_| "train.device".into());
        Self::parse(path, &text, overrides, environment)
    }

    pub(crate) fn parse(
        path: &Path,
        text: &str,
        overrides: &[String],
        environment: Env,
    ) -> Result<Self, SpecError> {
        let (mut set, mut wrong) = (Vec::new(), Vec::new());
        for text in overrides {
            match parse_override(text) {
                Ok(entry) => set.push(entry),
                Err(error) => wrong.extend(error.problems),
            }
        }
        let device_variable = environment.iter().next().is_some();
        let paths = set.iter().map(|(path, _)| path.clone()).collect();
        let sources = Sources::parse(path, text, paths, device_variable)?;
        if !wrong.is_empty() {
            return Err(SpecError { problems: wrong });
        }

        let mut top = Table::new();
        for (path, value) in set {
            path.set(&mut top, value);
        }
        let file = Layer::parse(&path.display().to_string(), text)?;
        let preset = preset(&[&top, &file.tree], &sources)?;
        let tree = Figment::from(Layer::parse("defaults", DEFAULT_SPEC)?)
            .merge(preset)
            .merge(file)
            .merge(environment)
            .merge(Layer {
                name: "--set".to_owned(),
                tree: top,
            })
            .extract()
            .map_err(|error| unplaced(path, error.to_string()))?;
        Ok(Self { sources, tree })
    }

    /// Folder that relative paths of the spec start from.
    pub(crate) fn folder(&self) -> PathBuf {
        self.sources
            .path()
            .parent()
            .map(Path::to_owned)
            .unwrap_or_default()
    }
}

/// The layer that `sweep.preset` names in the first of the given layers that has it; an empty one
/// where none does.
fn preset(layers: &[&Table], sources: &Sources) -> Result<Layer, SpecError> {
    let key = KeyPath::new(["sweep", "preset"]);
    let Some(value) = layers.iter().find_map(|layer| key.get(layer)) else {
        return Layer::parse("no preset", "");
    };
    let name = value.as_str().unwrap_or_default();
    match PRESETS.iter().find(|(known, _)| *known == name) {
        Some((name, text)) => Layer::parse(name, text),
        None => {
            let known: Vec<&str> = PRESETS.iter().map(|&(name, _)| name).collect();
            Err(SpecError::from(Problem {
                place: sources.place(&key),
                key: key.to_string(),
                message: format!("`{key}` is {value}, which is no preset"),
                hint: suggestion(name, &known),
            }))
        }
    }
}

/// One TOML tree as a layer for figment.
struct Layer {
    name: String,
    tree: Table,
}

impl Layer {
    fn parse(name: &str, text: &str) -> Result<Self, SpecError> {
        let tree = toml::from_str(text)
            .map_err(|error| unplaced(Path::new(name), error.message().to_owned()))?;
        Ok(Self {
            name: name.to_owned(),
            tree,
        })
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

fn unplaced(path: &Path, message: String) -> Problem {
    Problem {
        place: Place::File {
            path: path.to_owned(),
            line: None,
            column: None,
        },
        key: String::new(),
        message,
        hint: None,
    }
}

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
    let keys = toml_edit::Key::parse(path.trim())
        .map_err(|_| problem(path, format!("`{path}` is not a dotted key"), example))?;
    let value = value.trim();
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
    Ok((KeyPath::new(keys.iter().map(toml_edit::Key::get)), value))
}

#[cfg(test)]
mod tests {
    use genair_eval::EvalSpec;
    use genair_protocol::TrainSpec;

    use super::*;

    fn load(text: &str, overrides: &[&str], environment: Env) -> Result<Table, SpecError> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        SpecFile::parse(Path::new("s.toml"), text, &overrides, environment).map(|file| file.tree)
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
            .deserialize::<genair_data::DatasetSpec>()
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
            &["train.threads", "a b=1", "sweep.backbone=[sasrec]"],
            no_environment(),
        )
        .unwrap_err();
        insta::assert_snapshot!(error, @r#"
        --set: `train.threads` has no `=`
        hint: write it as in `--set train.optimizer.lr=1e-4`
        --set: `a b` is not a dotted key
        hint: write it as in `--set train.optimizer.lr=1e-4`
        --set: the value of `sweep.backbone` is not TOML: [sasrec]
        hint: strings in a list need quotes: --set 'sweep.backbone=["sasrec"]'
        "#);
    }
}
