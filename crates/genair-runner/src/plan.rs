//! The plan of a sweep: its runs with their identities. Reads the data's fingerprints; trains nothing.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use genair_data::DataError;
use genair_protocol::RunSpec;
use serde::Serialize;

use crate::identity::identity;
use crate::spec::{Labels, PluginFile, Problem, Sweep};

/// What a sweep will run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the sweep.
    pub name: String,
    /// The spec file as the user named it.
    pub spec_path: PathBuf,
    /// The spec file's text.
    pub spec_text: String,
    /// Runs in the spec's order, each identity once.
    pub runs: Vec<PlannedRun>,
    /// Oddities of the spec that do no harm.
    pub warnings: Vec<Problem>,
}

/// A run with everything that is known before it runs.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedRun {
    /// What tells it from the sweep's other runs.
    pub labels: Labels,
    /// Every value that decides its numbers.
    pub spec: RunSpec,
    /// The backbone's plugin; none for a built-in backbone.
    pub plugin: Option<PluginFile>,
    /// Fingerprint of its data, lower-case hex.
    pub data_sha256: String,
    /// Hash of all of the above, lower-case hex; see [`identity`].
    pub identity: String,
}

/// Why a plan could not be made.
#[derive(Debug, thiserror::Error)]
#[error("dataset `{dataset}` cannot be used")]
pub struct PlanError {
    /// Name of the dataset in the spec.
    pub dataset: String,
    /// What is wrong with it.
    #[source]
    pub source: DataError,
}

impl Plan {
    /// Identifies every run of a sweep; runs that come to the same are kept once.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn new(sweep: Sweep) -> Result<Self, PlanError> {
        let mut fingerprints: HashMap<String, String> = HashMap::new();
        let mut known = HashSet::new();
        let mut runs = Vec::new();
        for run in sweep.runs {
            // Each distinct dataset is hashed once, however many runs read it.
            let dataset = format!("{:?}", run.spec.dataset);
            let data_sha256 = match fingerprints.get(&dataset) {
                Some(fingerprint) => fingerprint.clone(),
                None => {
                    let fingerprint =
                        genair_data::fingerprint(&run.spec.dataset).map_err(|source| {
                            PlanError {
                                dataset: run.labels.dataset.clone(),
                                source,
                            }
                        })?;
                    fingerprints.insert(dataset, fingerprint.clone());
                    fingerprint
                }
            };
            let plugin_sha256 = run.plugin.as_ref().map(|plugin| plugin.sha256.as_str());
            let identity = identity(&run.spec, &data_sha256, plugin_sha256);
            if known.insert(identity.clone()) {
                let (labels, spec, plugin) = (run.labels, run.spec, run.plugin);
                runs.push(PlannedRun {
                    labels,
                    spec,
                    plugin,
                    data_sha256,
                    identity,
                });
            }
        }
        Ok(Self {
            name: sweep.name,
            spec_path: sweep.spec_path,
            spec_text: sweep.spec_text,
            runs,
            warnings: sweep.warnings,
        })
    }

    /// Runs that fit on this machine at once: cores over the threads of the widest run.
    pub fn default_jobs(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads = self
            .runs
            .iter()
            .map(|run| run.spec.train.threads)
            .max()
            .unwrap_or(1);
        (cores / threads).max(1)
    }
}
