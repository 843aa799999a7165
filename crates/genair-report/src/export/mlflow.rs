//! Runs in MLflow's own layout of files, which every MLflow reads and `mlflow migrate-filestore` turns
//! into its database.
//!
//! A sweep becomes an experiment. A run's resolved spec becomes parameters with dotted names, its
//! provenance tags, its results and cost metrics, its epochs metrics with a step each.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use genair_store::{RunDetails, RunFilter, RunState, RunSummary, Store};
use serde::Serialize;
use serde_json::{Value, json};

use super::{milliseconds, stop_metric};
use crate::ReportError;
use crate::write::failed;

/// Longest value of a parameter, in characters: `MAX_PARAM_VAL_LENGTH` in MLflow 3.
const LONGEST_PARAMETER: usize = 6000;
/// Longest value of a tag, in characters: `MAX_TAG_VAL_LENGTH`.
const LONGEST_TAG: usize = 8000;
/// Longest name of a parameter, tag or metric: `MAX_ENTITY_KEY_LENGTH`.
const LONGEST_NAME: usize = 250;

/// How much was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExportedRuns {
    /// Experiments, one for each sweep.
    pub experiments: usize,
    /// Runs; a run of two sweeps is one in each.
    pub runs: usize,
}

/// Writes the runs of a sweep, or of all, that have begun and that no newer one has replaced, to a
/// folder that is empty or not there yet. `progress` hears how many are done, of how many.
///
/// # Errors
/// An unknown sweep; a folder with something in it; a file that cannot be written, after which the
/// folder is as it was.
pub fn export_mlflow(
    store: &mut Store,
    sweep: Option<&str>,
    folder: &Path,
    mut progress: impl FnMut(usize, usize),
) -> Result<ExportedRuns, ReportError> {
    store.require_sweep(sweep)?;
    let occupied = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(ReportError::Occupied {
            path: folder.to_owned(),
        });
    }
    let folder = std::path::absolute(folder).map_err(|source| failed(folder, source))?;
    let parent = folder.parent().unwrap_or(&folder);
    let create = || {
        std::fs::create_dir_all(parent)?;
        let mut builder = tempfile::Builder::new();
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        builder.tempdir_in(parent)
    };
    let unfinished = create().map_err(|source| failed(&folder, source))?;

    let mut runs = store.list_runs(&RunFilter {
        sweep: sweep.map(str::to_owned),
        ..RunFilter::default()
    })?;
    runs.retain(|run| run.state != RunState::Pending);
    let mut exported = ExportedRuns::default();
    let mut last_sweep = None;
    for run in &runs {
        if last_sweep != Some(&run.sweep) {
            last_sweep = Some(&run.sweep);
            exported.experiments += 1;
            let (id, sweep) = (exported.experiments, &run.sweep);
            write_experiment(unfinished.path(), &folder, id, sweep)?;
        }
        let details = store.show_run(run.run_id)?;
        Run {
            root: unfinished.path(),
            named: &folder,
            experiment: exported.experiments,
            summary: run,
            details: &details,
            start: details.run.started_at.as_deref().and_then(milliseconds),
            end: details.run.finished_at.as_deref().and_then(milliseconds),
        }
        .write()?;
        exported.runs += 1;
        progress(exported.runs, runs.len());
    }

    // An empty folder of that name gives way.
    let renamed = std::fs::rename(unfinished.path(), &folder);
    renamed.map_err(|source| failed(&folder, source))?;
    // It has another name by now, so there is nothing to remove.
    let _ = unfinished.keep();
    Ok(exported)
}

fn write_experiment(root: &Path, named: &Path, id: usize, name: &str) -> Result<(), ReportError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_millis() as u64);
    let meta = json!({
        "artifact_location": uri(&named.join(id.to_string())),
        "creation_time": now,
        "experiment_id": id.to_string(),
        "last_update_time": now,
        "lifecycle_stage": "active",
        "name": name,
    });
    write_yaml(&root.join(id.to_string()).join("meta.yaml"), &meta)
}

struct Run<'a> {
    /// The folder being written, and the one it will be.
    root: &'a Path,
    named: &'a Path,
    experiment: usize,
    summary: &'a RunSummary,
    details: &'a RunDetails,
    /// When it began and ended, in milliseconds since 1970.
    start: Option<i64>,
    end: Option<i64>,
}

impl Run<'_> {
    fn write(&self) -> Result<(), ReportError> {
        let id = self.id();
        let place = Path::new(&self.experiment.to_string()).join(&id);
        let folder = self.root.join(&place);
        let run = &self.details.run;
        // Integers of mlflow.entities.RunStatus and SourceType.
        let status = match run.state {
            RunState::Pending | RunState::Running => 1,
            RunState::Finished => 3,
            RunState::Failed => 4,
            RunState::Pruned => 5,
        };
        let meta = json!({
            "artifact_uri": self.artefacts(&place),
            "end_time": self.end,
            "entry_point_name": "",
            "experiment_id": self.experiment.to_string(),
            "lifecycle_stage": "active",
            "run_id": id,
            "run_name": self.name(),
            "run_uuid": id,
            "source_name": "genair",
            "source_type": 4,
            "source_version": run.code_revision.clone().unwrap_or_default(),
            "start_time": self.start,
            "status": status,
            "tags": [],
            "user_id": "",
        });
        // MLflow takes a folder without all of these for no run.
        for part in ["artifacts", "metrics", "params", "tags"] {
            let part = folder.join(part);
            std::fs::create_dir_all(&part).map_err(|source| failed(&part, source))?;
        }
        write_yaml(&folder.join("meta.yaml"), &meta)?;
        for (name, value) in self.parameters() {
            let value = shortened(&value, LONGEST_PARAMETER);
            write_text(&folder.join("params").join(name), &value)?;
        }
        for (name, value) in self.tags() {
            let value = shortened(&value, LONGEST_TAG);
            write_text(&folder.join("tags").join(name), &value)?;
        }
        for (name, lines) in self.metrics() {
            write_text(&folder.join("metrics").join(name), &lines)?;
        }
        Ok(())
    }

    /// The same for the same run of the same sweep, whenever it is exported.
    fn id(&self) -> String {
        let of = format!("{}\n{}", self.summary.sweep, self.details.run.identity);
        let mut id = genair_files::sha256(of);
        id.truncate(32);
        id
    }

    fn name(&self) -> String {
        let run = &self.details.run;
        let labels = [&run.dataset, &run.backbone, &run.representation];
        let mut name = labels.map(String::as_str).join(" ");
        let axes = &self.summary.labels.axes;
        if !axes.is_empty() {
            name += &format!(" {axes}");
        }
        name + &format!(" seed={}", run.seed)
    }

    /// Where the run's own files are, such as its checkpoint, so that MLflow shows them.
    fn artefacts(&self, place: &Path) -> String {
        let own = self.details.artefacts.first();
        let folder = own.and_then(|file| Path::new(&file.path).parent());
        match folder.and_then(|folder| std::path::absolute(folder).ok()) {
            Some(folder) => uri(&folder),
            None => uri(&self.named.join(place).join("artifacts")),
        }
    }

    fn parameters(&self) -> BTreeMap<String, String> {
        let mut parameters = BTreeMap::new();
        let spec = serde_json::from_str(&self.details.run.spec).unwrap_or(Value::Null);
        flatten("", &spec, &mut parameters);
        parameters
    }

    fn tags(&self) -> BTreeMap<String, String> {
        let run = &self.details.run;
        let mut tags = BTreeMap::new();
        let facts = serde_json::to_value(run).unwrap_or(Value::Null);
        for (name, value) in facts.as_object().into_iter().flatten() {
            // The spec is the parameters.
            if name != "spec" && !value.is_null() {
                tags.insert(format!("genair.{name}"), plain(value));
            }
        }
        tags.insert("genair.sweep".to_owned(), self.summary.sweep.clone());
        let axes = &self.summary.labels.axes;
        tags.insert("genair.variant".to_owned(), axes.to_string());
        tags.insert("genair.axes".to_owned(), axes.to_json());
        tags.insert("mlflow.runName".to_owned(), self.name());
        if let Some(revision) = &run.code_revision {
            tags.insert("mlflow.source.git.commit".to_owned(), revision.clone());
        }
        if let Some(machine) = &self.details.machine {
            tags.insert("genair.cpu".to_owned(), machine.cpu.clone());
            tags.insert("genair.system".to_owned(), machine.system.clone());
        }
        for input in &self.details.inputs {
            tags.insert(format!("genair.input.{}", input.kind), input.sha256.clone());
        }
        if let Some(failure) = &self.details.failure {
            let facts = serde_json::to_value(failure).unwrap_or(Value::Null);
            for (name, value) in facts.as_object().into_iter().flatten() {
                tags.insert(format!("genair.failure.{name}"), plain(value));
            }
            tags.insert("mlflow.note.content".to_owned(), failure.message.clone());
        }
        tags
    }

    /// Lines `time value step` by name.
    fn metrics(&self) -> BTreeMap<String, String> {
        let details = self.details;
        let run = &details.run;
        let mut metrics = BTreeMap::<String, String>::new();
        let mut add = |name: String, time: i64, value: f64, step: u64| {
            let lines = metrics.entry(name).or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{time} {value:?} {step}");
        };
        let stop = stop_metric(&run.spec).replace('@', "_at_");
        let monitor = format!("valid/{}", name(&stop));
        let mut time = self.start.unwrap_or_default();
        for epoch in &details.epochs {
            // When an epoch ended is not recorded; how long it trained is.
            time += (epoch.train_seconds * 1000.0) as i64;
            add("train/loss".to_owned(), time, epoch.loss, epoch.epoch);
            if let Some(calibration) = epoch.calibration {
                let name = "train/calibration".to_owned();
                add(name, time, calibration, epoch.epoch);
            }
            if let Some(valid) = epoch.valid {
                add(monitor.clone(), time, valid, epoch.epoch);
            }
        }
        let end = self.end.unwrap_or(time);
        let best = run.best_epoch.unwrap_or_default();
        for row in &details.metrics {
            let key = format!(
                "result/{}/{}/{}/{}_at_{}",
                row.split, row.protocol, row.cohort, row.metric, row.k
            );
            add(key, end, row.value, best);
        }
        for row in &details.diagnostics {
            let name = format!("item space/{}", self::name(&row.name));
            add(name, end, row.value, row.epoch);
        }
        let number = |count: Option<u64>| count.map(|count| count as f64);
        let costs = [
            ("seconds", run.seconds),
            ("train_seconds", run.train_seconds),
            ("cpu_seconds", run.cpu_seconds),
            ("peak_memory_bytes", number(run.peak_memory_bytes)),
            ("parameters", number(run.parameters)),
            ("epochs", number(run.epochs)),
        ];
        for (name, value) in costs {
            if let Some(value) = value {
                add(format!("cost/{name}"), end, value, best);
            }
        }
        metrics
    }
}

/// Every value of a spec by its dotted path; a list is one value.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(entries) => {
            for (key, value) in entries {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{}", name(key)), value, into);
            }
        }
        value => {
            into.insert(path.to_owned(), plain(value));
        }
    }
}

/// A name that MLflow takes and that is one file: letters, digits, `_`, `-`, `.` and spaces.
fn name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    text.chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .take(LONGEST_NAME)
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}

fn uri(path: &Path) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// Each entry a line; JSON's values are YAML's.
fn write_yaml(path: &Path, entries: &Value) -> Result<(), ReportError> {
    let lines = entries.as_object().into_iter().flatten();
    let line = |(key, value)| format!("{key}: {value}\n");
    write_text(path, &lines.map(line).collect::<String>())
}

/// The folder is renamed when all is written, so a file needs no temporary one.
fn write_text(path: &Path, text: &str) -> Result<(), ReportError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|source| failed(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_becomes_parameters_with_dotted_names() {
        let spec = json!({
            "train": {"optimizer": {"kind": "adam", "lr": 1e-3}, "k": [5, 10], "stop": null},
            "dataset": {"a/b <c>": true},
        });
        let mut found = BTreeMap::new();
        flatten("", &spec, &mut found);
        let found: Vec<String> = found.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            found,
            [
                "dataset.a_b _c_=true",
                "train.k=[5,10]",
                "train.optimizer.kind=adam",
                "train.optimizer.lr=0.001",
            ]
        );
    }

    #[test]
    fn a_path_becomes_an_address() {
        assert_eq!(uri(Path::new("/a b/ü#1")), "file:///a%20b/%C3%BC%231");
    }
}
