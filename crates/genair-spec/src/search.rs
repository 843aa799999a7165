//! `[search]`: which points of the spec's ranges a sweep has, and which combinations it leaves out.
//!
//! Every point is known before anything runs: it is a function of the spec alone, so that a plan can be
//! read, continued and shared. What a point is drawn from is `range`'s business.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use genair_protocol::Ranges;
use genair_toml::{KeyPath, read_section, suggestion};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::axes::{Axis, OF_RUNS, combinations, value_label};
use super::check::{Cell, Checker};
use super::condition::Condition;
use super::range::Range;

/// The longest Sobol sequence there is (`sobol_burley`).
const SOBOL_POINTS: u32 = 1 << 16;

/// Numbers drawn for each point that is wanted, before a search gives up on finding another one.
const PATIENCE: usize = 1_000;

/// One combination of values, each of its axis.
pub(crate) type Chosen<'a> = Vec<(&'a Axis, Value)>;

/// How the values of ranges are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum SearchKind {
    /// Not at all: lists multiply, and there are no ranges.
    #[default]
    Grid,
    /// As listed.
    Points,
    /// Independently of each other.
    Random,
    /// Evenly spread over the ranges, however many points there are.
    Sobol,
}

/// `[search]`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Section {
    kind: SearchKind,
    #[schemars(range(min = 1))]
    runs: Option<usize>,
    seed: u64,
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    point: Vec<Table>,
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    exclude: Vec<Table>,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            kind: SearchKind::Grid,
            runs: None,
            seed: 1,
            point: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

/// What a spec searches.
pub(crate) struct Search {
    kind: SearchKind,
    /// Whether that is what the spec says, and not what stands for a slip.
    as_written: bool,
    /// Points to draw for each dataset, backbone and representation.
    runs: usize,
    seed: u64,
    points: Vec<Vec<(KeyPath, Value)>>,
    excludes: Vec<Table>,
}

impl Search {
    /// Settings that points set, with the values they have there.
    pub(crate) fn settings(&self) -> Vec<(KeyPath, Vec<Value>)> {
        let mut settings: IndexMap<&KeyPath, (HashSet<String>, Vec<Value>)> = IndexMap::new();
        for (path, value) in self.points.iter().flatten() {
            let (seen, values) = settings.entry(path).or_default();
            // As TOML, so that 1 and 1.0 are two values.
            if seen.insert(value.to_string()) {
                values.push(value.clone());
            }
        }
        let settings = settings.into_iter();
        settings
            .map(|(path, (_, values))| (path.clone(), values))
            .collect()
    }

    /// Points of one cell at the most, of which lists and seeds have a multiple.
    pub(crate) fn most_points(&self, axes: &[&Axis]) -> usize {
        match self.kind {
            SearchKind::Points => self.points.len(),
            _ if axes.iter().any(|axis| axis.range().is_some()) => self.runs,
            _ => 1,
        }
    }

    /// Number `index` of the sequence, in [0, 1), for the axis at `path`, the `dimension`th of the spec.
    /// It depends on nothing else, so a further axis leaves the values of the others as they are.
    fn unit(&self, path: &KeyPath, dimension: usize, index: u32) -> f64 {
        match self.kind {
            SearchKind::Sobol => {
                let seed = (self.seed ^ (self.seed >> 32)) as u32;
                f64::from(sobol_burley::sample(index, dimension as u32, seed))
            }
            _ => {
                let digest = Sha256::digest(format!("genair search {} {path} {index}", self.seed));
                let bits = digest
                    .iter()
                    .take(8)
                    .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
                (bits >> 11) as f64 / (1_u64 << 53) as f64
            }
        }
    }
}

impl Checker<'_> {
    /// Reads `[search]`; its excludes are read once the axes are known.
    pub(crate) fn search(&mut self) -> Search {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<Section>);
        let at = KeyPath::new(["search"]);
        let table = at.table(&self.tree);
        let section: Section = read_section(&at, &table, &mut self.problems).unwrap_or_default();
        self.judge(&at, RANGES.problems(&section));
        let as_written = table
            .get("kind")
            .is_none_or(|kind| kind.clone().try_into::<SearchKind>().is_ok());
        let draws = matches!(section.kind, SearchKind::Random | SearchKind::Sobol);
        match section.runs {
            Some(runs) if runs > 0 && !draws && as_written => {
                let message = "has no meaning for this `search.kind`; remove it";
                self.problems.about(&at.child("runs"), message, None);
            }
            None if draws => {
                let message = "`search.runs` is missing; say how many points to draw";
                self.problems.report(&at, message, None);
            }
            _ => {}
        }
        let lists_points = section.kind == SearchKind::Points;
        if lists_points == section.point.is_empty() && as_written {
            let message = if lists_points {
                "there is no [[search.point]], though `search.kind` is \"points\""
            } else {
                "[[search.point]] needs `search.kind = \"points\"`"
            };
            self.problems.report(&at.child("point"), message, None);
        }
        let mut points = Vec::new();
        for (number, table) in section.point.iter().enumerate() {
            let key = at.child("point").child(&number.to_string());
            let mut values = Vec::new();
            for (name, value) in table {
                if !OF_RUNS.contains(&name.as_str()) {
                    let key = key.child(name);
                    let hint = suggestion(name, OF_RUNS);
                    self.problems
                        .report(&key, format!("unknown key `{key}`"), hint);
                    continue;
                }
                self.settings_of_point(&key.child(name), KeyPath::new([name]), value, &mut values);
            }
            points.push(values);
        }
        Search {
            kind: section.kind,
            as_written,
            runs: section.runs.unwrap_or(1).max(1),
            seed: section.seed,
            points,
            excludes: section.exclude,
        }
    }

    fn settings_of_point(
        &mut self,
        key: &KeyPath,
        path: KeyPath,
        value: &Value,
        values: &mut Vec<(KeyPath, Value)>,
    ) {
        match value {
            Value::Table(table) => {
                for (name, value) in table {
                    self.settings_of_point(&key.child(name), path.child(name), value, values);
                }
            }
            _ => {
                self.problems.written_at(path.clone(), key.clone());
                values.push((path, value.clone()));
            }
        }
    }

    /// Reports ranges that nothing draws from, and a search without ranges.
    pub(crate) fn check_ranges(&mut self, search: &Search, axes: &[Axis]) {
        if !search.as_written {
            return;
        }
        let ranges = axes.iter().filter(|axis| axis.range().is_some());
        let ranges: Vec<&Axis> = ranges.collect();
        let draws = matches!(search.kind, SearchKind::Random | SearchKind::Sobol);
        let hint = || Some("draw from ranges with [search] kind = \"sobol\", runs = 32".to_owned());
        for axis in ranges.iter().filter(|_| !draws) {
            let message = format!("`{}` is a range, but nothing draws from it", axis.path);
            self.problems.report(&axis.path, message, hint());
        }
        let at = KeyPath::new(["search", "kind"]);
        if draws && ranges.is_empty() {
            let message = "draws from ranges, but no setting is one";
            let hint = "write one as in `optimizer.lr = { log_uniform = [1e-4, 1e-2] }`";
            self.problems.about(&at, message, Some(hint.to_owned()));
        }
        if search.kind == SearchKind::Sobol && ranges.len() > sobol_burley::NUM_DIMENSIONS as usize
        {
            let message = format!(
                "a Sobol sequence has at most {} ranges",
                sobol_burley::NUM_DIMENSIONS
            );
            self.problems
                .report(&at, message, Some("use kind = \"random\"".to_owned()));
        }
    }

    /// The excludes of a search.
    pub(crate) fn excludes(&mut self, search: &Search) -> Vec<Condition> {
        self.conditions(&KeyPath::new(["search", "exclude"]), &search.excludes)
    }

    /// Every combination of values of a cell's axes that no exclude holds for, no two alike: points
    /// slowest, lists as in the grid. `dimensions` are the axes of the whole spec.
    pub(crate) fn choose<'a>(
        &mut self,
        search: &Search,
        excludes: &[Condition],
        cell: &Cell<'_>,
        axes: &[&'a Axis],
        dimensions: &[Axis],
    ) -> Vec<Chosen<'a>> {
        let lists: Vec<&Axis> = axes.iter().copied().filter(|axis| axis.is_list()).collect();
        let grid: Vec<_> = combinations(&lists).collect();
        // A point with the grid around it; what is left after the excludes.
        let around = |checker: &Self, point: &Chosen<'a>| -> Vec<Chosen<'a>> {
            let whole = grid.iter().map(|listed| {
                let of = |axis: &&'a Axis| {
                    let listed = listed.iter().find(|(own, _)| own.path == axis.path);
                    let listed = listed.map(|(_, value)| (*value).clone());
                    let drawn = || point.iter().find(|(own, _)| own.path == axis.path);
                    let value = listed.or_else(|| drawn().map(|(_, value)| value.clone()));
                    Some((*axis, value?))
                };
                axes.iter().filter_map(of).collect::<Chosen<'a>>()
            });
            let stays = |chosen: &Chosen<'a>| {
                let chosen = borrowed(chosen);
                !excludes
                    .iter()
                    .any(|exclude| checker.holds(exclude, cell, &chosen))
            };
            whole.filter(stays).collect()
        };
        // Each range with its place among those of the whole spec.
        let all_ranges = dimensions.iter().filter(|axis| axis.range().is_some());
        let all_ranges: Vec<&KeyPath> = all_ranges.map(|axis| &axis.path).collect();
        let ranges = axes.iter().filter_map(|axis| {
            let place = all_ranges.iter().position(|path| **path == axis.path);
            Some((place.unwrap_or_default(), *axis, axis.range()?))
        });
        let ranges: Vec<(usize, &'a Axis, &Range)> = ranges.collect();
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        if ranges.is_empty() {
            let points = match search.kind {
                SearchKind::Points => search.points.as_slice(),
                _ => &[Vec::new()],
            };
            for point in points {
                let of = |(path, value): &(KeyPath, Value)| {
                    let axis = axes.iter().find(|axis| axis.path == *path)?;
                    Some((*axis, value.clone()))
                };
                let point: Chosen<'a> = point.iter().filter_map(of).collect();
                // Points that differ in other backbones' settings alone are one.
                if seen.insert(names(&point)) {
                    all.extend(around(self, &point));
                }
            }
            return all;
        }
        let most = (search.runs * PATIENCE).min(SOBOL_POINTS as usize);
        let mut found = 0;
        for drawn in 0..most {
            if found == search.runs {
                break;
            }
            let value = |&(dimension, axis, range): &(usize, &'a Axis, &Range)| {
                let unit = search.unit(&axis.path, dimension, drawn as u32);
                (axis, range.at(unit))
            };
            let point: Chosen<'a> = ranges.iter().map(value).collect();
            if seen.insert(names(&point)) {
                let around = around(self, &point);
                found += usize::from(!around.is_empty());
                all.extend(around);
            }
        }
        if found == search.runs {
            return all;
        }
        let key = KeyPath::new(["search", "runs"]);
        let message = format!(
            "`{key}` is {}, but {} {} {} has only {found} different points",
            search.runs, cell.dataset, cell.backbone, cell.representation
        );
        self.problems.warn(&key, message, None);
        all
    }
}

/// The values of a point, to tell it from others.
fn names(point: &Chosen<'_>) -> Vec<String> {
    let name = |(axis, value): &(&Axis, Value)| format!("{}={}", axis.path, value_label(value));
    point.iter().map(name).collect()
}

/// A combination as checks take it.
pub(crate) fn borrowed<'b>(chosen: &'b Chosen<'_>) -> Vec<(&'b Axis, &'b Value)> {
    chosen.iter().map(|(axis, value)| (*axis, value)).collect()
}
