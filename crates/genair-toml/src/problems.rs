//! Collects what is wrong with a spec: every problem is found before any is shown.

use std::collections::HashMap;
use std::fmt::Display;

use indexmap::{IndexMap, IndexSet};

use crate::key_path::KeyPath;
use crate::problem::{Problem, SpecError};
use crate::sources::Sources;

/// Problems, and warnings, that are told of one spec; it takes a program to make more.
const MOST: usize = 1_000;

/// Collects problems and knows where each key was written.
pub struct Problems<'s> {
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
    /// No problem yet of a spec.
    pub fn new(sources: &'s Sources) -> Self {
        Self {
            sources,
            found: IndexMap::new(),
            warnings: IndexSet::new(),
            more: false,
            elsewhere: HashMap::new(),
        }
    }

    /// From now on problems of `setting` are those of `key`, unless it is set at its own place too.
    pub fn written_at(&mut self, setting: KeyPath, key: KeyPath) {
        self.elsewhere.entry(setting).or_insert(key);
    }

    /// Takes over what another pass over the same spec has found.
    pub fn extend(&mut self, other: Self) {
        self.found.extend(other.found);
        self.warnings.extend(other.warnings);
        self.more |= other.more;
    }

    /// Adds a problem of the value at `key`; the same problem is kept once.
    pub fn report(&mut self, key: &KeyPath, message: impl Into<String>, hint: Option<String>) {
        if self.is_full() {
            self.more = true;
            return;
        }
        let problem = self.problem(key, message.into(), hint);
        let position = self.sources.position(self.place_of(key));
        self.found.entry(problem).or_insert(position);
    }

    /// [`Self::report`] of a message that begins with the key.
    pub fn about(&mut self, key: &KeyPath, message: impl Display, hint: Option<String>) {
        self.report(key, format!("`{key}` {message}"), hint);
    }

    /// Adds something that is odd but does no harm; the same is kept once.
    pub fn warn(&mut self, key: &KeyPath, message: impl Into<String>, hint: Option<String>) {
        if self.warnings.len() < MOST {
            self.warnings
                .insert(self.problem(key, message.into(), hint));
        }
    }

    /// A hint at what the unknown key `name` of the table at `section`, which knows `known`, may stand for.
    pub(crate) fn hint(&self, section: &KeyPath, name: &str, known: &[&str]) -> Option<String> {
        self.sources.hint(section, name, known)
    }

    /// Whether there is anything to report.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Problems found so far.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether no more problems are taken.
    pub fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// Whether no more warnings are taken.
    pub fn has_all_warnings(&self) -> bool {
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
    ///
    /// # Errors
    /// There is at least one problem.
    pub fn finish(mut self) -> Result<Vec<Problem>, SpecError> {
        if self.found.is_empty() {
            return Ok(self.warnings.into_iter().collect());
        }
        let more = self.more.then(|| Problem {
            place: self.sources.place(&KeyPath::default()),
            key: String::new(),
            message: format!("there are more than these {MOST} problems; mend them first"),
            hint: None,
        });
        self.found.sort_by(|_, one, _, other| one.cmp(other));
        Err(SpecError::of(self.found.into_keys().chain(more)))
    }
}
