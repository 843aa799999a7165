//! The files a spec is put together from: itself and those it extends, each once, lowest first.

use std::path::{Path, PathBuf};

use genair_archetype::models::is_name;
use genair_files::spec_text;
use toml::{Table, Value};
use toml_edit::Document;

use super::data_path::fill_in_variables;
use super::problem::{Place, Problem, SpecError, nearest};
use super::sources::line_of;

/// Files that extend each other in a row at most, and files of a spec in all.
const MAX_DEPTH: usize = 32;
const MAX_FILES: usize = 256;

/// One file of a spec.
#[derive(Debug)]
pub(crate) struct SpecText {
    /// The file as the user named it, or as the extending file's folder and name of it.
    pub(crate) path: PathBuf,
    pub(crate) document: Document<String>,
    /// Its content without `extends`; relative paths of an extended file are absolute.
    pub(crate) tree: Table,
    /// Byte offsets of the line ends of its text.
    line_ends: Vec<usize>,
}

impl SpecText {
    /// Parses a file's text; a syntax error names line and column.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, SpecError> {
        let problem = |span: Option<std::ops::Range<usize>>, message: &str| {
            let (line, column) = span.map_or((1, 1), |span| line_and_column(text, span.start));
            SpecError::from(Problem {
                place: Place::File {
                    path: path.to_owned(),
                    line: Some(line),
                    column: Some(column),
                },
                key: String::new(),
                message: format!("not TOML: {}", message.trim().replace('\n', ", ")),
                hint: None,
            })
        };
        let document = Document::parse(text.to_owned())
            .map_err(|error| problem(error.span(), error.message()))?;
        let tree = toml::from_str(text).map_err(|error| problem(error.span(), error.message()))?;
        let line_ends = text.match_indices('\n').map(|(at, _)| at).collect();
        Ok(Self {
            path: path.to_owned(),
            document,
            tree,
            line_ends,
        })
    }

    /// The line, from 1, of a byte offset.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        self.line_ends.partition_point(|end| *end < offset) + 1
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    fn at(&self, key: &str) -> Place {
        Place::File {
            path: self.path.clone(),
            line: line_of(&self.document, &[key]),
            column: None,
        }
    }
}

/// The spec whose text is `text` and all files it extends, each once, lowest first.
///
/// # Errors
/// All files that are missing, unreadable, not TOML, or extend themselves.
pub(crate) fn read_files(path: &Path, text: &str) -> Result<Vec<SpecText>, SpecError> {
    let mut reader = Reader::default();
    reader.enter(path, text);
    if reader.problems.is_empty() {
        Ok(reader.files)
    } else {
        Err(SpecError::of(reader.problems))
    }
}

#[derive(Default)]
struct Reader {
    files: Vec<SpecText>,
    /// Files that are in, or on their way, by their true path.
    known: Vec<PathBuf>,
    /// From the spec to the file at hand, as named and by its true path.
    chain: Vec<(PathBuf, PathBuf)>,
    problems: Vec<Problem>,
}

impl Reader {
    fn enter(&mut self, path: &Path, text: &str) {
        let mut file = match SpecText::parse(path, text) {
            Ok(file) => file,
            Err(error) => return self.problems.extend(error.problems),
        };
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.known.push(identity.clone());
        self.chain.push((path.to_owned(), identity));
        if let Some(extends) = file.tree.remove("extends") {
            match names(&extends) {
                Some(names) => {
                    for name in names {
                        self.extend(&file, &name);
                    }
                }
                None => self.problems.push(Problem {
                    place: file.at("extends"),
                    key: "extends".to_owned(),
                    message: format!(
                        "`extends` is {extends}; it must be a spec file or a list of them"
                    ),
                    hint: Some("write it as in `extends = [\"base.toml\"]`".to_owned()),
                }),
            }
        }
        self.chain.pop();
        if !self.chain.is_empty() {
            let folder = std::path::absolute(file.folder()).unwrap_or_default();
            make_paths_absolute(&mut file.tree, &folder, Paths::Keep);
        }
        self.files.push(file);
    }

    /// Reads the file that `from` extends under this name.
    fn extend(&mut self, from: &SpecText, name: &str) {
        let problem = |message: String, hint: Option<String>| Problem {
            place: from.at("extends"),
            key: "extends".to_owned(),
            message,
            hint,
        };
        let path = match fill_in_variables(name) {
            Ok(name) => from.folder().join(name),
            Err(message) => return self.problems.push(problem(message, None)),
        };
        let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
        let begun = self.chain.iter().position(|(_, known)| *known == identity);
        if let Some(at) = begun {
            let message = format!("`extends` goes in a circle: {}", self.trail(at, &path));
            let hint = "take one of these out of `extends`".to_owned();
            return self.problems.push(problem(message, Some(hint)));
        }
        if self.known.contains(&identity) {
            return;
        }
        if self.chain.len() > MAX_DEPTH || self.known.len() >= MAX_FILES {
            let message = format!(
                "`extends` takes in too many files: at most {MAX_FILES}, and at most {MAX_DEPTH} that extend each other"
            );
            return self.problems.push(problem(message, None));
        }
        match spec_text::read(&path) {
            Ok(text) => self.enter(&path, &text),
            Err(error) => {
                let trail = match self.chain.len() {
                    0 | 1 => String::new(),
                    _ => format!(" ({})", self.trail(0, &path)),
                };
                let message = format!("cannot read `{}`: {error}{trail}", path.display());
                let hint = neighbour(&path).unwrap_or_else(|| {
                    "relative names start from the folder of the file that extends".to_owned()
                });
                self.problems.push(problem(message, Some(hint)));
            }
        }
    }

    /// `a.toml -> b.toml -> last`.
    fn trail(&self, from: usize, last: &Path) -> String {
        let files = self.chain[from..].iter().map(|(path, _)| path.as_path());
        let names = files.chain([last]).map(|path| path.display().to_string());
        names.collect::<Vec<_>>().join(" -> ")
    }
}

fn names(extends: &Value) -> Option<Vec<String>> {
    let name = |value: &Value| value.as_str().map(str::to_owned);
    match extends {
        Value::Array(names) => names.iter().map(name).collect(),
        one => name(one).map(|name| vec![name]),
    }
}

/// A hint at a file that is there and called much alike.
fn neighbour(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = match path.parent()? {
        folder if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    let mut there: Vec<String> = folder
        .read_dir()
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    there.sort();
    nearest(wanted, there.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"))
}

/// What becomes of `${VAR}` in a path that is made absolute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paths {
    /// It stays, to be filled in when the path is used.
    Keep,
    /// It is filled in where the variable is set.
    FillIn,
}

/// Takes relative paths of a spec as relative to `folder`, wherever they end up.
pub(crate) fn make_paths_absolute(tree: &mut Table, folder: &Path, variables: Paths) {
    let path = |text: &str| {
        let filled = match variables {
            Paths::Keep => None,
            Paths::FillIn => fill_in_variables(text).ok(),
        };
        let text = filled.as_deref().unwrap_or(text);
        match text.starts_with("${") {
            true => text.to_owned(),
            false => folder.join(text).to_string_lossy().into_owned(),
        }
    };
    let model = |text: &str| match is_name(text) {
        true => text.to_owned(),
        false => folder.join(text).to_string_lossy().into_owned(),
    };
    for (name, section) in tree {
        let tables = section.as_table_mut().into_iter();
        match name.as_str() {
            "dataset" => tables
                .flat_map(inner)
                .for_each(|dataset| change(dataset, &["path"], path)),
            "representation" => tables.flat_map(inner).for_each(|representation| {
                change(representation, &["path", "items"], path);
                change(representation, &["encoder"], model);
                if let Some(Value::Table(archetype)) = representation.get_mut("archetype") {
                    change(archetype, &MODELS, model);
                }
            }),
            "archetype" => tables.for_each(|archetype| change(archetype, &MODELS, model)),
            "profile" => tables
                .flat_map(inner)
                .for_each(|profile| make_paths_absolute(profile, folder, variables)),
            _ => {}
        }
    }
}

const MODELS: [&str; 2] = ["model", "states_model"];

fn inner(table: &mut Table) -> impl Iterator<Item = &mut Table> {
    table
        .iter_mut()
        .filter_map(|(_, value)| value.as_table_mut())
}

/// Changes the texts at `keys`, of a list all.
fn change(table: &mut Table, keys: &[&str], to: impl Fn(&str) -> String) {
    let set = |value: &mut Value| {
        if let Value::String(text) = value {
            *text = to(text);
        }
    };
    for key in keys {
        match table.get_mut(*key) {
            Some(Value::Array(values)) => values.iter_mut().for_each(set),
            Some(value) => set(value),
            None => {}
        }
    }
}

/// Line and column, both from 1, of a byte offset.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}
