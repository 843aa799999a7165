//! What is wrong with a spec, and where: every problem of a spec is collected before any is shown.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::key_path::KeyPath;
use super::sources::Sources;

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

/// Problems, and warnings, that are told of one spec; it takes a program to make more.
const MOST: usize = 1_000;

/// Collects problems and knows where each key was written.
pub(crate) struct Problems<'s> {
    sources: &'s Sources,
    /// Each with its position in the spec.
    found: IndexMap<Problem, usize>,
    warnings: IndexSet<Problem>,
    /// Whether more than [`MOST`] were found.
    more: bool,
    /// Settings that were not written at their own place, and where they were.
    elsewhere: HashMap<KeyPath, KeyPath>,
}

impl<'s> Problems<'s> {
    pub(crate) fn new(sources: &'s Sources) -> Self {
        Self {
            sources,
            found: IndexMap::new(),
            warnings: IndexSet::new(),
            more: false,
            elsewhere: HashMap::new(),
        }
    }

    /// From now on problems of `setting` are those of `key`, unless it is set at its own place too.
    pub(crate) fn written_at(&mut self, setting: KeyPath, key: KeyPath) {
        self.elsewhere.entry(setting).or_insert(key);
    }

    /// Takes over what another pass over the same spec has found.
    pub(crate) fn extend(&mut self, other: Self) {
        self.found.extend(other.found);
        self.warnings.extend(other.warnings);
        self.more |= other.more;
    }

    /// Adds a problem of the value at `key`; the same problem is kept once.
    pub(crate) fn report(
        &mut self,
        key: &KeyPath,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if self.is_full() {
            self.more = true;
            return;
        }
        let problem = self.problem(key, message.into(), hint);
        let position = self.sources.position(self.place_of(key));
        self.found.entry(problem).or_insert(position);
    }

    /// Adds something that is odd but does no harm; the same is kept once.
    pub(crate) fn warn(&mut self, key: &KeyPath, message: impl Into<String>, hint: Option<String>) {
        if self.warnings.len() < MOST {
            self.warnings
                .insert(self.problem(key, message.into(), hint));
        }
    }

    /// Whether there is anything to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Problems found so far.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether no more problems are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// Whether no more warnings are taken.
    pub(crate) fn has_all_warnings(&self) -> bool {
        self.warnings.len() >= MOST
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
        if self.elsewhere.is_empty() {
            return key;
        }
        let mut around = (1..=key.keys().len()).rev();
        let of_point =
            around.find_map(|depth| self.elsewhere.get(&KeyPath::new(&key.keys()[..depth])));
        of_point.unwrap_or(key)
    }

    /// The warnings, or all problems in the order of the file where there are any.
    pub(crate) fn finish(mut self) -> Result<Vec<Problem>, SpecError> {
        if self.found.is_empty() {
            return Ok(self.warnings.into_iter().collect());
        }
        let more = self.more.then(|| Problem {
            place: self.sources.place(&KeyPath::default()),
            key: String::new(),
            message: format!("there is more than these {MOST} problems; mend them first"),
            hint: None,
        });
        self.found.sort_by(|_, one, _, other| one.cmp(other));
        Err(SpecError::of(self.found.into_keys().chain(more)))
    }
}

/// Longest name, and most candidates, that a misspelling is looked for in: it takes the product of their lengths.
const LONGEST_NAME: usize = 100;
const MOST_CANDIDATES: usize = 1_000;

/// The candidate that `name` is most likely a misspelling of, if any comes close.
pub(crate) fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST_NAME)
        .take(MOST_CANDIDATES)
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

/// Candidates that a hint names at most.
const MOST_NAMED: usize = 40;

/// A hint that names the nearest candidate, or else all of them, of many the first.
pub(crate) fn suggestion(name: &str, candidates: &[&str]) -> Option<String> {
    match nearest(name, candidates.iter().copied()) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if candidates.is_empty() => None,
        None => match candidates.len().checked_sub(MOST_NAMED) {
            None | Some(0) => Some(format!("known here: {}", candidates.join(", "))),
            Some(more) => {
                let first = candidates[..MOST_NAMED].join(", ");
                Some(format!("known here: {first} and {more} more"))
            }
        },
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
