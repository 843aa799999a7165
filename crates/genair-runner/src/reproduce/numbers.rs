//! Everything a run says, as text that is exact to the last bit, and where two runs differ.

use std::collections::BTreeMap;

use genair_protocol::RunEvent;
use genair_store::{RankList, RunDetails};

use super::Comparison;

/// Everything a run has said that has to come out again, by name; numbers to the last bit.
#[derive(Default)]
pub(super) struct Numbers {
    pub(super) facts: BTreeMap<String, String>,
    pub(super) epochs: BTreeMap<String, String>,
    pub(super) metrics: BTreeMap<String, String>,
    pub(super) ranks: BTreeMap<String, String>,
    pub(super) diagnostics: BTreeMap<String, String>,
    pub(super) weights: BTreeMap<String, String>,
}

/// The shortest decimal that is this number and no other.
fn exact(value: f64) -> String {
    format!("{value:?}")
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), exact)
}

impl Numbers {
    fn fact(&mut self, name: &str, value: impl ToString) {
        self.facts.insert(name.to_owned(), value.to_string());
    }

    fn epoch(&mut self, epoch: u64, loss: f64, calibration: Option<f64>, valid: Option<f64>) {
        let name = |what: &str| format!("{what} of epoch {epoch:05}");
        self.epochs.insert(name("loss"), exact(loss));
        self.epochs
            .insert(name("calibration"), optional(calibration));
        self.epochs.insert(name("validation"), optional(valid));
    }

    /// `users` are users, from 1, with the ranks of their targets.
    fn rank_list<'r>(
        &mut self,
        split: &str,
        protocol: &str,
        users: impl Iterator<Item = (u64, &'r [u32])>,
    ) {
        for (user, ranks) in users.filter(|(_, ranks)| !ranks.is_empty()) {
            let name = format!("{split} {protocol}, user {user}");
            let ranks: Vec<String> = ranks.iter().map(u32::to_string).collect();
            self.ranks.insert(name, ranks.join(", "));
        }
    }

    fn diagnostic(&mut self, epoch: u64, name: &str, value: f64) {
        self.diagnostics
            .insert(format!("{name} of epoch {epoch}"), exact(value));
    }

    /// What the database has of a run.
    pub(super) fn stored(details: &RunDetails, ranks: &[RankList]) -> Self {
        let mut own = Self::default();
        let run = &details.run;
        let facts = [
            ("parameters", run.parameters),
            ("users", run.users),
            ("items", run.items),
            ("interactions", run.interactions),
            ("best epoch", run.best_epoch),
            ("epochs", run.epochs),
        ];
        for (name, value) in facts {
            if let Some(value) = value {
                own.fact(name, value);
            }
        }
        if let Some(hash) = &run.sequences_sha256 {
            own.fact("sequences", hash);
        }
        for epoch in &details.epochs {
            own.epoch(epoch.epoch, epoch.loss, epoch.calibration, epoch.valid);
        }
        for row in &details.metrics {
            let name = format!(
                "{} {} {} {}@{}",
                row.split.as_str(),
                row.protocol.as_str(),
                row.cohort.as_str(),
                row.metric.as_str(),
                row.k
            );
            own.metrics.insert(name, exact(row.value));
        }
        for list in ranks {
            own.rank_list(&list.split, &list.protocol, list.by_user());
        }
        for row in &details.diagnostics {
            own.diagnostic(row.epoch, &row.name, row.value);
        }
        for file in &details.artefacts {
            if file.kind == "checkpoint" {
                own.weights.insert("sha256".to_owned(), file.sha256.clone());
            }
        }
        own
    }

    /// What a worker has said of it.
    pub(super) fn told(events: &[RunEvent]) -> Self {
        let mut own = Self::default();
        let best = events.iter().rev().find_map(|event| match event {
            RunEvent::Finished(totals) => Some(totals.best_epoch as u64),
            _ => None,
        });
        for event in events {
            match event {
                RunEvent::Started {
                    data, parameters, ..
                } => {
                    own.fact("parameters", parameters);
                    own.fact("users", data.users);
                    own.fact("items", data.items);
                    own.fact("interactions", data.interactions);
                    own.fact("sequences", &data.sequences_sha256);
                }
                RunEvent::Epoch {
                    epoch,
                    loss,
                    calibration,
                    valid,
                    ..
                } => own.epoch(*epoch as u64, *loss, *calibration, *valid),
                RunEvent::Metrics {
                    epoch: None,
                    split,
                    protocol,
                    rows,
                } => {
                    for row in rows {
                        let (split, protocol) = (split.as_str(), protocol.as_str());
                        let (cohort, metric) = (row.cohort.as_str(), row.metric.as_str());
                        let name = format!("{split} {protocol} {cohort} {metric}@{}", row.k);
                        own.metrics.insert(name, exact(row.value));
                    }
                }
                RunEvent::Ranks {
                    split,
                    protocol,
                    ranks,
                } => {
                    let users = (1..).zip(ranks.iter().map(Vec::as_slice));
                    own.rank_list(split.as_str(), protocol.as_str(), users);
                }
                RunEvent::Diagnostics { epoch, rows } => {
                    let epoch = epoch.map(|epoch| epoch as u64).or(best).unwrap_or_default();
                    for row in rows {
                        own.diagnostic(epoch, &row.name, row.value);
                    }
                }
                RunEvent::Artefact { kind, sha256, .. } if kind.as_str() == "checkpoint" => {
                    own.weights.insert("sha256".to_owned(), sha256.clone());
                }
                RunEvent::Finished(totals) => {
                    own.fact("best epoch", totals.best_epoch);
                    own.fact("epochs", totals.epochs);
                }
                _ => {}
            }
        }
        own
    }
}

/// Compares values by name.
pub(super) fn comparison(
    what: &'static str,
    stored: &BTreeMap<String, String>,
    again: &BTreeMap<String, String>,
) -> Comparison {
    let nothing = "nothing".to_owned();
    let names: std::collections::BTreeSet<&String> = stored.keys().chain(again.keys()).collect();
    let mut differing = names.into_iter().filter_map(|name| {
        let (stored, again) = (stored.get(name), again.get(name));
        (stored != again).then(|| {
            let (stored, again) = (stored.unwrap_or(&nothing), again.unwrap_or(&nothing));
            format!("{name}: {stored} stored, {again} now")
        })
    });
    let first = differing.next();
    let differing = differing.count() + usize::from(first.is_some());
    Comparison {
        what,
        equal: differing == 0,
        values: stored.len(),
        differing,
        first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bit_counts_and_the_first_difference_is_told() {
        let numbers = |values: &[(&str, f64)]| -> BTreeMap<String, String> {
            let entry = |(name, value): &(&str, f64)| ((*name).to_owned(), exact(*value));
            values.iter().map(entry).collect()
        };
        let stored = numbers(&[("a", 0.1), ("b", 0.3), ("c", 1.0)]);
        let same = comparison("metrics", &stored, &stored.clone());
        assert!(
            same.equal && same.values == 3 && same.first.is_none(),
            "{same:?}"
        );
        let again = numbers(&[("a", 0.1), ("b", 0.1 + 0.2), ("d", 1.0)]);
        let other = comparison("metrics", &stored, &again);
        assert_eq!((other.equal, other.differing), (false, 3));
        let first = other.first.as_deref();
        assert_eq!(first, Some("b: 0.3 stored, 0.30000000000000004 now"));
    }
}
