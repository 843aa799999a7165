//! The files a spec is put together from: itself and those it extends, each once, lowest first.

use std::path::{Path, PathBuf};

use genair_archetype::models::is_name;
use genair_files::spec_text;
use genair_toml::{Document, Problem, SpecError, nearest};
use toml::{Table, Value};

use super::check::listed;
use super::data_path::fill_in_variables;

/// Files that extend each other in a row at most, and files of a spec in all.
const MAX_DEPTH: usize = 32;
const MAX_FILES: usize = 256;

/// The spec whose text is `text` and all files it extends, each once, lowest first.
///
/// # Errors
/// All files that are missing, unreadable, not TOML, or extend themselves.
pub(crate) fn read_files(path: &Path, text: &str) -> Result<Vec<Document>, SpecError> {
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
    files: Vec<Document>,
    /// Files that are in, or on their way, by their true path.
    known: Vec<PathBuf>,
    /// From the spec to the file at hand, as named and by its true path.
    chain: Vec<(PathBuf, PathBuf)>,
    problems: Vec<Problem>,
}

impl Reader {
    fn enter(&mut self, path: &Path, text: &str) {
        let mut file = match Document::parse(path, text) {
            Ok(file) => file,
            Err(error) => return self.problems.extend(error.problems),
        };
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.known.push(identity.clone());
        self.chain.push((path.to_owned(), identity));
        if let Some(extends) = file.tree.remove("extends") {
            let names = listed(&extends).iter().map(Value::as_str);
            match names.collect::<Option<Vec<_>>>() {
                Some(names) => names.into_iter().for_each(|name| self.extend(&file, name)),
                None => {
                    let message =
                        format!("`extends` is {extends}; it must be a spec file or a list of them");
                    let hint = "write it as in `extends = [\"base.toml\"]`".to_owned();
                    self.problems.push(problem(&file, message, Some(hint)));
                }
            }
        }
        self.chain.pop();
        if !self.chain.is_empty() {
            let folder = std::path::absolute(folder_of(&file)).unwrap_or_default();
            make_paths_absolute(&mut file.tree, &folder, Paths::Keep);
        }
        self.files.push(file);
    }

    /// Reads the file that `from` extends under this name.
    fn extend(&mut self, from: &Document, name: &str) {
        let problem = |message, hint| problem(from, message, hint);
        let path = match fill_in_variables(name) {
            Ok(name) => folder_of(from).join(name),
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

fn folder_of(file: &Document) -> &Path {
    file.path.parent().unwrap_or(Path::new(""))
}

/// A problem of what a file extends.
fn problem(file: &Document, message: String, hint: Option<String>) -> Problem {
    Problem {
        place: file.place(&["extends"]),
        key: "extends".to_owned(),
        message,
        hint,
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
