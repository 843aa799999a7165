//! What is wrong with a spec, and where: every problem of a spec is collected before any is shown.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::key_path::KeyPath;
use super::sources::Sources;

/// Where a value of a spec was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    pub(crate) fn of(problems: impl IntoIterator<Item = Problem>) -> Self {
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

/// Collects problems and knows where each key was written.
pub(crate) struct Problems<'s> {
    sources: &'s Sources,
    found: Vec<(usize, Problem)>,
    warnings: Vec<Problem>,
    /// Settings that were not written at their own place, and where they were.
    elsewhere: Vec<(KeyPath, KeyPath)>,
}

impl<'s> Problems<'s> {
    pub(crate) fn new(sources: &'s Sources) -> Self {
        Self {
            sources,
            found: Vec::new(),
            warnings: Vec::new(),
            elsewhere: Vec::new(),
        }
    }

    /// From now on problems of `setting` are those of `key`, unless it is set at its own place too.
    pub(crate) fn written_at(&mut self, setting: KeyPath, key: KeyPath) {
        self.elsewhere.push((setting, key));
    }

    /// Takes over what another pass over the same spec has found.
    pub(crate) fn extend(&mut self, other: Self) {
        self.found.extend(other.found);
        self.warnings.extend(other.warnings);
    }

    /// Adds a problem of the value at `key`; the same problem is kept once.
    pub(crate) fn report(
        &mut self,
        key: &KeyPath,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let problem = self.problem(key, message.into(), hint);
        if !self.found.iter().any(|(_, known)| *known == problem) {
            self.found
                .push((self.sources.position(self.place_of(key)), problem));
        }
    }

    /// Adds something that is odd but does no harm; the same is kept once.
    pub(crate) fn warn(&mut self, key: &KeyPath, message: impl Into<String>, hint: Option<String>) {
        let problem = self.problem(key, message.into(), hint);
        if !self.warnings.contains(&problem) {
            self.warnings.push(problem);
        }
    }

    fn problem(&self, key: &KeyPath, message: String, hint: Option<String>) -> Problem {
        Problem {
            place: self.sources.place(self.place_of(key)),
            key: key.to_string(),
            message,
            hint,
        }
    }

    fn place_of<'k>(&'k self, key: &'k KeyPath) -> &'k KeyPath {
        let of_point = self
            .elsewhere
            .iter()
            .find(|(setting, _)| key.keys().starts_with(setting.keys()));
        of_point.map_or(key, |(_, written)| written)
    }

    /// The warnings, or all problems in the order of the file where there are any.
    pub(crate) fn finish(mut self) -> Result<Vec<Problem>, SpecError> {
        if self.found.is_empty() {
            return Ok(self.warnings);
        }
        self.found.sort_by_key(|(position, _)| *position);
        Err(SpecError::of(
            self.found.into_iter().map(|(_, problem)| problem),
        ))
    }
}

/// The candidate that `name` is most likely a misspelling of, if any comes close.
pub(crate) fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(name.len()) / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// All candidates, or where they are many, those nearest to `name` and how many more there are.
pub(crate) fn nearest_few(name: &str, candidates: &[&str]) -> String {
    const FEW: usize = 8;
    if candidates.len() <= FEW {
        return candidates.join(", ");
    }
    let lower = name.to_lowercase();
    let mut nearest = candidates.to_vec();
    nearest.sort_by_key(|candidate| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()));
    nearest.truncate(FEW);
    let more = candidates.len() - FEW;
    format!("{} and {more} more", nearest.join(", "))
}

/// A hint that names the nearest candidate, or else all of them.
pub(crate) fn suggestion(name: &str, candidates: &[&str]) -> Option<String> {
    match nearest(name, candidates.iter().copied()) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if candidates.is_empty() => None,
        None => Some(format!("known here: {}", candidates.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_or_nothing_is_said() {
        let names = ["batch_size", "loss", "optimizer"];
        for (typo, expected) in [
            ("batchsize", Some("batch_size")),
            ("optimiser", Some("optimizer")),
            ("los", Some("loss")),
            ("LOSS", Some("loss")),
            ("warmup", None),
        ] {
            assert_eq!(nearest(typo, names), expected, "{typo}");
        }
    }

    #[test]
    fn of_many_names_the_nearest_are_shown() {
        let names: Vec<String> = (0..20).map(|n| format!("backbone{n}")).collect();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.push("sasrec");
        let few = nearest_few("sasrek", &names);
        assert!(few.starts_with("sasrec, "), "{few}");
        assert!(few.ends_with(" and 13 more"), "{few}");
        assert_eq!(nearest_few("x", &["a", "b"]), "a, b");
    }
}
