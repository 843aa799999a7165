//! What is wrong with a spec, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where a value of a spec was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub enum Place {
    /// The spec file, at a line and column from 1 where they are known.
    File {
        /// The file as the user named it.
        path: PathBuf,
        /// Line, from 1.
        line: Option<usize>,
        /// Column, from 1; for syntax errors.
        column: Option<usize>,
    },
    /// `--set` on the command line.
    CommandLine,
    /// `--profile` on the command line.
    Profile,
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
}

impl Place {
    /// A file, at no line of it.
    pub fn of_file(path: &Path) -> Self {
        Self::File {
            path: path.to_owned(),
            line: None,
            column: None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => {
                write!(f, "{}", path.display())?;
                for number in [line, column].into_iter().flatten() {
                    write!(f, ":{number}")?;
                }
                Ok(())
            }
            Self::CommandLine => f.write_str("--set"),
            Self::Profile => f.write_str("--profile"),
            Self::Environment { variable } => f.write_str(variable),
        }
    }
}

/// One thing that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// Dotted path of the key; empty where no key can be named.
    pub key: String,
    /// What is wrong, naming key and value.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of a whole file.
    pub fn of_file(path: &Path, message: String) -> Self {
        Self {
            place: Place::of_file(path),
            key: String::new(),
            message,
            hint: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A spec that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct SpecError {
    /// At least one, in the order of the file.
    pub problems: Vec<Problem>,
}

impl SpecError {
    /// Of these problems, each told once: a file or an override may be given twice.
    pub fn of(problems: impl IntoIterator<Item = Problem>) -> Self {
        let mut told: Vec<Problem> = Vec::new();
        for problem in problems {
            if !told.contains(&problem) {
                told.push(problem);
            }
        }
        Self { problems: told }
    }
}

impl From<Problem> for SpecError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}
