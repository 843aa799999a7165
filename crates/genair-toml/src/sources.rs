//! Where each value of a spec was written: a file with its lines, a profile, `--set`, the environment,
//! a preset, or nowhere.

use std::path::Path;

use indexmap::IndexSet;
use serde::Serialize;
use toml::Table;

use crate::document::{Document, Spot};
use crate::key_path::KeyPath;
use crate::problem::Place;
use genair_protocol::suggestion;

/// What the unknown key of a table may stand for: the table, the key, and the keys that are known there.
pub type Hint = fn(&KeyPath, &str, &[&str]) -> Option<String>;

/// The texts a spec was put together from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Lowest first; the last one is the spec itself.
    files: Vec<Document>,
    /// The chosen profiles, lowest first. They lie above all files.
    profiles: Vec<String>,
    overrides: Vec<KeyPath>,
    /// The value that an environment variable sets, and the variable.
    environment: Option<(KeyPath, &'static str)>,
    /// The chosen preset, which lies below all files: its name and content.
    preset: Option<(&'static str, Table)>,
    hint: Hint,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum Origin {
    /// Nobody wrote it.
    Default,
    /// The plugin's own default.
    Plugin {
        /// Its name.
        name: String,
    },
    /// Named settings that come with the program.
    Preset {
        /// Their name.
        name: String,
    },
    /// A spec file.
    File {
        /// The file.
        path: String,
        /// Line, from 1.
        line: Option<usize>,
        /// The profile of the file it stands in.
        profile: Option<String>,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// `--set`.
    CommandLine,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Plugin { name } => write!(f, "default of plugin {name}"),
            Self::Preset { name } => write!(f, "preset {name}"),
            Self::File {
                path,
                line,
                profile,
            } => {
                f.write_str(path)?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                match profile {
                    Some(profile) => write!(f, " (profile {profile})"),
                    None => Ok(()),
                }
            }
            Self::Environment { variable } => f.write_str(variable),
            Self::CommandLine => f.write_str("--set"),
        }
    }
}

/// A file, or one profile of it.
#[derive(Clone, Copy)]
struct Layer<'s> {
    file: &'s Document,
    profile: Option<&'s str>,
    /// Whether it is of the spec itself, not of a file it extends.
    own: bool,
}

/// How far a key can be followed in one layer.
struct Found {
    /// Keys that are there.
    depth: usize,
    /// Byte offset of the deepest of them.
    offset: Option<usize>,
    /// Whether what is there is no table, so that nothing below it can come from elsewhere.
    ends: bool,
}

impl Sources {
    /// Of files and profiles, each lowest first.
    pub fn new(files: Vec<Document>, profiles: Vec<String>) -> Self {
        Self {
            files,
            profiles,
            overrides: Vec::new(),
            environment: None,
            preset: None,
            hint: |_, name, known| suggestion(name, known),
        }
    }

    /// The same with what was said beside the files.
    pub fn with(
        self,
        overrides: Vec<KeyPath>,
        environment: Option<(KeyPath, &'static str)>,
    ) -> Self {
        Self {
            overrides,
            environment,
            ..self
        }
    }

    /// The same with a preset below the files.
    pub fn with_preset(self, preset: Option<(&'static str, Table)>) -> Self {
        Self { preset, ..self }
    }

    /// The same with other hints at unknown keys than the nearest of those that are known.
    pub fn with_hints(self, hint: Hint) -> Self {
        Self { hint, ..self }
    }

    /// A hint at what the unknown key `name` of the table at `section`, which knows `known`, may stand for.
    pub fn hint(&self, section: &KeyPath, name: &str, known: &[&str]) -> Option<String> {
        (self.hint)(section, name, known)
    }

    /// The files, lowest first; the last one is the spec itself.
    pub fn files(&self) -> &[Document] {
        &self.files
    }

    /// The chosen profiles, lowest first.
    pub fn profiles(&self) -> &[String] {
        &self.profiles
    }

    /// What `--set` says something about.
    pub fn overrides(&self) -> impl Iterator<Item = &KeyPath> {
        self.overrides.iter()
    }

    /// The spec file.
    pub fn path(&self) -> &Path {
        self.files.last().map_or(Path::new(""), |file| &file.path)
    }

    /// Whether the spec's own file alone says what the spec is.
    pub fn is_one_file(&self) -> bool {
        self.files.len() == 1 && self.profiles.is_empty() && self.overrides.is_empty()
    }

    /// Files, then profiles, each lowest first.
    fn layers(&self) -> impl DoubleEndedIterator<Item = Layer<'_>> {
        let last = self.files.len().saturating_sub(1);
        let files = move |profile| {
            let layer = move |(at, file)| Layer {
                file,
                profile,
                own: at == last,
            };
            self.files.iter().enumerate().map(layer)
        };
        let profiles = self.profiles.iter();
        files(None).chain(profiles.flat_map(move |profile| files(Some(profile.as_str()))))
    }

    /// The layer that says most about `key`, the higher one of two that say as much.
    fn highest(&self, key: &KeyPath) -> Option<(Layer<'_>, Found)> {
        let mut best: Option<(Layer<'_>, Found)> = None;
        for layer in self.layers().rev() {
            let found = layer.find(key);
            let ends = found.ends;
            if best
                .as_ref()
                .is_none_or(|(_, best)| found.depth > best.depth)
            {
                best = Some((layer, found));
            }
            if ends {
                break;
            }
        }
        best.filter(|(_, found)| found.depth > 0)
    }

    /// Where the value at `key`, or the deepest table around it that exists, was written.
    pub fn place(&self, key: &KeyPath) -> Place {
        let only_there = || {
            self.overrides
                .iter()
                .any(|path| path.keys().starts_with(key.keys()))
        };
        if self.overridden(key).is_some() || !self.in_file(key) && only_there() {
            return Place::CommandLine;
        }
        if let Some(variable) = self.variable(key) {
            return Place::Environment { variable };
        }
        match self.highest(key) {
            Some((layer, found)) => Place::File {
                path: layer.file.path.clone(),
                line: layer.line(found.offset),
                column: None,
            },
            None => Place::of_file(self.path()),
        }
    }

    /// Where the value at `key` comes from.
    pub fn origin(&self, key: &KeyPath) -> Origin {
        if self.overridden(key).is_some() {
            return Origin::CommandLine;
        }
        if let Some(variable) = self.variable(key) {
            return Origin::Environment { variable };
        }
        if let Some((layer, found)) = self.highest(key)
            && found.depth == key.keys().len()
        {
            return Origin::File {
                path: layer.file.path.display().to_string(),
                line: layer.line(found.offset),
                profile: layer.profile.map(str::to_owned),
            };
        }
        match &self.preset {
            Some((name, preset)) if key.get(preset).is_some() => Origin::Preset {
                name: (*name).to_owned(),
            },
            _ => Origin::Default,
        }
    }

    /// Whether the spec itself, a profile or the command line mentions `key`, not only a file that the
    /// spec extends.
    pub fn is_own(&self, key: &KeyPath) -> bool {
        let depth = key.keys().len();
        let mentioned = |path: &KeyPath| path.keys().starts_with(key.keys());
        self.layers()
            .any(|layer| (layer.own || layer.profile.is_some()) && layer.find(key).depth == depth)
            || self.overrides.iter().any(mentioned)
    }

    /// A number to sort keys by: the first place that has them, in the order of the files, then of the
    /// profiles, then of the command line.
    pub fn position(&self, key: &KeyPath) -> usize {
        let depth = key.keys().len();
        let (mut before, mut around) = (0, None);
        for layer in self.layers() {
            let found = layer.find(key);
            let position = found.offset.map(|offset| before + offset);
            match position {
                Some(position) if found.depth == depth => return position,
                _ => around = around.max(position),
            }
            before += layer.file.text.len() + 1;
        }
        match self.overridden(key) {
            Some(at) => before + at,
            None => around.unwrap_or_default(),
        }
    }

    /// Keys of the table at `key`, in the order of [`Sources::position`].
    pub fn names(&self, key: &KeyPath) -> Vec<String> {
        let depth = key.keys().len();
        let mut names = IndexSet::new();
        for layer in self.layers() {
            let table = layer.spot(key).into_iter().flat_map(Spot::names);
            names.extend(table.map(str::to_owned));
        }
        for path in &self.overrides {
            if let Some((around, [name, ..])) = path.keys().split_at_checked(depth)
                && around == key.keys()
            {
                names.insert(name.clone());
            }
        }
        names.into_iter().collect()
    }

    fn variable(&self, key: &KeyPath) -> Option<String> {
        let (path, variable) = self.environment.as_ref()?;
        let is_set = key.keys().starts_with(path.keys());
        is_set.then(|| (*variable).to_owned())
    }

    fn overridden(&self, key: &KeyPath) -> Option<usize> {
        self.overrides
            .iter()
            .rposition(|path| key.keys().starts_with(path.keys()))
    }

    fn in_file(&self, key: &KeyPath) -> bool {
        self.layers().any(|layer| layer.spot(key).is_some())
    }
}

impl<'s> Layer<'s> {
    /// Keys from the root of the document to the layer's own root.
    fn prefix(&self) -> impl Iterator<Item = &'s str> + use<'s> {
        self.profile.into_iter().flat_map(|name| ["profile", name])
    }

    fn root(&self) -> Option<&'s Spot> {
        self.prefix()
            .try_fold(self.file.root(), |spot, name| spot.get(name))
    }

    fn spot(&self, key: &KeyPath) -> Option<&'s Spot> {
        key.keys()
            .iter()
            .try_fold(self.root()?, |spot, name| spot.get(name))
    }

    fn find(&self, key: &KeyPath) -> Found {
        let mut found = Found {
            depth: 0,
            offset: None,
            ends: false,
        };
        let Some(mut spot) = self.root().filter(|root| root.is_table()) else {
            return found;
        };
        for name in key.keys() {
            let Some(inner) = spot.get(name) else { break };
            spot = inner;
            found.depth += 1;
            found.offset = Some(spot.offset);
        }
        found.ends = !spot.is_table();
        found
    }

    fn line(&self, offset: Option<usize>) -> Option<usize> {
        offset.map(|offset| self.file.line_at(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[sweep]\nname = \"x\"\n\n[train]\noptimizer = { lr = 1e-3 }\nstop.patience = 3\n\n[dataset.b]\npath = \"b\"\n[dataset.a]\npath = \"a\"\n";

    fn sources() -> Sources {
        let file = Document::parse(Path::new("s.toml"), TEXT).unwrap();
        Sources::new(vec![file], Vec::new())
    }

    fn line(sources: &Sources, key: &[&str]) -> Option<usize> {
        match sources.place(&KeyPath::new(key.iter().copied())) {
            Place::File { line, .. } => line,
            _ => None,
        }
    }

    #[test]
    fn every_way_to_write_a_key_has_its_line() {
        let sources = sources();
        for (key, expected) in [
            (&["sweep", "name"][..], Some(2)),
            (&["train", "optimizer", "lr"], Some(5)),
            (&["train", "stop", "patience"], Some(6)),
            (&["train", "loss", "kind"], Some(4)), // Not written: the table around it.
            (&["dataset", "a", "path"], Some(11)),
            (&["eval"], None),
        ] {
            assert_eq!(line(&sources, key), expected, "{key:?}");
        }
    }

    #[test]
    fn names_keep_the_order_of_the_file() {
        let extra = KeyPath::new(["dataset", "c", "path"]);
        let sources = sources().with(vec![extra.clone()], None);
        assert_eq!(sources.names(&KeyPath::new(["dataset"])), ["b", "a", "c"]);
        assert_eq!(sources.place(&extra), Place::CommandLine);
        let around = KeyPath::new(["dataset", "c"]);
        assert_eq!(
            sources.place(&around),
            Place::CommandLine,
            "a table that the file lacks"
        );
        assert!(
            sources.position(&extra) > sources.position(&KeyPath::new(["dataset", "a", "path"]))
        );
    }

    #[test]
    fn the_highest_layer_that_has_a_key_is_its_place() {
        let base = "[train]\nthreads = 2\nloss = { kind = \"bce\", negatives = 3 }\n[profile.quick.train]\nthreads = 1\n";
        let own = "[train]\nloss.kind = \"gbce\"\n[profile.quick.train]\nstop.patience = 1\n";
        let files = || {
            [("base.toml", base), ("s.toml", own)]
                .map(|(path, text)| Document::parse(Path::new(path), text).unwrap())
                .into_iter()
                .collect()
        };
        let places = |sources: &Sources| {
            [
                &["train", "threads"][..],
                &["train", "loss", "kind"],
                &["train", "loss", "negatives"],
                &["train", "stop", "patience"],
            ]
            .map(|key| {
                sources
                    .place(&KeyPath::new(key.iter().copied()))
                    .to_string()
            })
        };
        let plain = Sources::new(files(), Vec::new());
        // What nobody wrote has the place of the table around it, in the spec itself.
        assert_eq!(
            places(&plain),
            ["base.toml:2", "s.toml:2", "base.toml:3", "s.toml:1"]
        );
        let quick = Sources::new(files(), vec!["quick".to_owned()]);
        assert_eq!(
            places(&quick),
            ["base.toml:5", "s.toml:2", "base.toml:3", "s.toml:4"]
        );
        let threads = KeyPath::new(["train", "threads"]);
        assert_eq!(
            quick.origin(&threads).to_string(),
            "base.toml:5 (profile quick)"
        );
        assert_eq!(
            quick.origin(&KeyPath::new(["train", "init"])),
            Origin::Default
        );
        // The order is that of the first place, so that a profile changes no labels.
        let lower = KeyPath::new(["train", "loss", "negatives"]);
        assert!(quick.position(&threads) < quick.position(&lower));
        assert_eq!(
            quick.names(&KeyPath::new(["train"])),
            ["threads", "loss", "stop"]
        );
        assert!(!plain.is_own(&threads) && plain.is_own(&KeyPath::new(["train", "loss", "kind"])));
    }
}
