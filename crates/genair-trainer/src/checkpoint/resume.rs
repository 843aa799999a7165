//! Resume checkpoints: what a run needs to go on where its worker was killed, and to end as if it had
//! not been.
//!
//! A safetensors file: weights, the optimiser's moments and the best epoch's weights; in its metadata, as
//! JSON, the rest of the state of training and what was said of each epoch. Random draws need none of it:
//! each depends on seed, epoch and step alone (`random.rs`). The file appears whole or not at all, its last
//! tensor is a digest of all before it, and it names the run and what the run trained on: one that is
//! damaged or of anything else is an error and changes nothing.

use std::collections::HashMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use genair_files::regular_file;
use genair_protocol::{RESUME_FILE, ResumeSpec, RunEvent};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use tch::{Device, Tensor};

use super::{METADATA, broken, read};
use crate::epochs::Progress;
use crate::error::io;
use crate::optimizer::Moments;
use crate::parameters::Parameters;
use crate::{RunErrorKind, machine};

/// Value of `format` in the metadata.
const FORMAT: &str = "genair-resume-2";
/// The last tensor, and its bytes.
const DIGEST: &str = "sha256";
const DIGEST_BYTES: usize = 32;
/// Prefixes of the tensors' names.
const WEIGHTS: &str = "weights/";
const FIRST: &str = "first/";
const SECOND: &str = "second/";
const BEST: &str = "best/";
/// Writing takes at most one part in so many of the time.
const SHARE: u32 = 20;

/// What a resume checkpoint is of. With anything else, going on would not give the run's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// Of the run.
    pub(crate) identity: String,
    /// Of the data as they were read.
    pub(crate) sequences_sha256: String,
    /// Of the item vectors that are not trained, where there are any.
    pub(crate) frozen_sha256: Option<String>,
    /// Of the association scores' file, where there is one.
    pub(crate) associations_sha256: Option<String>,
    pub(crate) device: String,
    pub(crate) libtorch: String,
    pub(crate) trainer: String,
}

/// What a run has taken so far, summed over its workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spent {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) peak_memory_bytes: Option<u64>,
}

impl Spent {
    /// This, and what this process has taken since `started`.
    pub(crate) fn and_since(self, started: Instant) -> Self {
        let cpu = machine::cpu_time().map(|time| time.as_secs_f64());
        Self {
            seconds: self.seconds + started.elapsed().as_secs_f64(),
            cpu_seconds: cpu.map(|cpu| cpu + self.cpu_seconds.unwrap_or(0.0)),
            peak_memory_bytes: machine::peak_memory().max(self.peak_memory_bytes),
        }
    }
}

/// The state of training but for its tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: String,
    origin: Origin,
    epoch: usize,
    ended: bool,
    optimizer_steps: i32,
    best: Option<(usize, f64)>,
    train_seconds: f64,
    spent: Spent,
    /// What was said of each.
    epochs: Vec<RunEvent>,
}

/// What a state of any format says.
#[derive(Deserialize)]
struct Format {
    format: String,
}

/// The resume checkpoint of a run: where it is, and when it is due.
pub(crate) struct Resume {
    path: PathBuf,
    origin: Origin,
    every: Duration,
    /// Epochs after which one is due whatever the time.
    at_epochs: Vec<usize>,
    /// When the worker began.
    started: Instant,
    /// What earlier workers took, up to the checkpoint that this one began with.
    before: Spent,
    last: Instant,
    /// What the last one took to write.
    cost: Duration,
}

impl Resume {
    pub(crate) fn new(folder: &Path, spec: &ResumeSpec, origin: Origin, started: Instant) -> Self {
        Self {
            path: folder.join(RESUME_FILE),
            origin,
            every: Duration::from_secs_f64(spec.every_seconds.clamp(0.0, ResumeSpec::MAX_SECONDS)),
            at_epochs: spec.at_epochs.clone(),
            started,
            before: Spent::default(),
            last: Instant::now(),
            cost: Duration::ZERO,
        }
    }

    /// What earlier workers took.
    pub(crate) fn before(&self) -> Spent {
        self.before
    }

    /// Puts parameters and progress into the state of the checkpoint. Says whether there is one; nothing is
    /// changed where there is none or it cannot be used.
    ///
    /// # Errors
    /// A file that is damaged, or of another run, other data, another device or another version.
    pub(crate) fn load(
        &mut self,
        parameters: &mut Parameters,
        progress: &mut Progress,
    ) -> Result<bool, RunErrorKind> {
        let bytes = match regular_file::read(&self.path, regular_file::MAX_VECTORS) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io(&self.path)(error)),
        };
        let (state, mut tensors) = self.parse(bytes)?;
        let mut take = |prefix: &str| -> Result<Vec<Option<Tensor>>, RunErrorKind> {
            let named = parameters.named().iter();
            let of_parameter = named.map(|(name, parameter)| {
                let Some(found) = tensors.remove(&format!("{prefix}{name}")) else {
                    return Ok(None);
                };
                if found.size() != parameter.size() || found.kind() != parameter.kind() {
                    let reason = format!(
                        "its tensor `{prefix}{name}` {:?} does not fit the model's {:?}",
                        found.size(),
                        parameter.size()
                    );
                    return Err(broken(&self.path, reason));
                }
                Ok(Some(found.f_to_device(parameter.device())?))
            });
            of_parameter.collect()
        };
        let missing = |what: &str| broken(&self.path, format!("it lacks {what}"));
        let all = |tensors: Vec<Option<Tensor>>, what| -> Result<Vec<Tensor>, RunErrorKind> {
            let tensors: Option<_> = tensors.into_iter().collect();
            tensors.ok_or_else(|| missing(what))
        };
        let weights = all(take(WEIGHTS)?, "weights")?;
        let moments = std::iter::zip(take(FIRST)?, take(SECOND)?)
            .map(|both| match both {
                (None, None) => Ok(None),
                (Some(first), Some(second)) => Ok(Some((first, second))),
                _ => Err(missing("one of two moments")),
            })
            .collect::<Result<Vec<Moments>, _>>()?;
        let best = match state.best {
            None => None,
            Some((epoch, _)) if epoch == state.epoch => Some(
                weights
                    .iter()
                    .map(Tensor::f_detach_copy)
                    .collect::<Result<_, _>>()?,
            ),
            Some(_) => Some(all(take(BEST)?, "the best epoch's weights")?),
        };
        if let Some(name) = tensors.keys().next() {
            let reason = format!("its tensor `{name}` has no place in the model");
            return Err(broken(&self.path, reason));
        }
        parameters.restore(&weights)?;
        progress.optimizer.restore(state.optimizer_steps, moments);
        progress.stopping.restore(state.best);
        // Before the first validation the best weights are those of the start.
        if let Some(best) = best {
            progress.best = best;
        }
        progress.epoch = state.epoch;
        progress.ended = state.ended;
        progress.train_seconds = state.train_seconds;
        progress.said = state.epochs;
        self.before = state.spent;
        Ok(true)
    }

    /// The contents of a file, if they are whole and of this run.
    fn parse(&self, bytes: Vec<u8>) -> Result<(State, HashMap<String, Tensor>), RunErrorKind> {
        let broken = |reason: String| broken(&self.path, reason);
        let Some((content, digest)) = bytes.split_last_chunk::<DIGEST_BYTES>() else {
            return Err(broken("it is cut short".to_owned()));
        };
        if Sha256::digest(content).as_slice() != digest {
            return Err(broken(
                "it is damaged: its digest is another one".to_owned(),
            ));
        }
        let file = read(&self.path, &bytes)?;
        let no_state = || broken("it is no resume checkpoint: it has no metadata".to_owned());
        let state = file.metadata.ok_or_else(no_state)?;
        let unreadable = |error| broken(format!("its state cannot be read: {error}"));
        // Of another format, the rest need not be a state.
        let Format { format } = serde_json::from_str(&state).map_err(unreadable)?;
        if format != FORMAT {
            return Err(broken(format!("its format is `{format}`, not `{FORMAT}`")));
        }
        let state: State = serde_json::from_str(&state).map_err(unreadable)?;
        if let Some(difference) = difference(&state.origin, &self.origin) {
            return Err(broken(difference));
        }
        let mut tensors: HashMap<_, _> = file.tensors.into_iter().collect();
        tensors.remove(DIGEST);
        Ok((state, tensors))
    }

    /// Writes a checkpoint if one is due. That it cannot be written costs the run its safety and nothing
    /// else, so it is a warning.
    pub(crate) fn keep(&mut self, parameters: &Parameters, progress: &Progress) {
        let since = self.last.elapsed();
        let due = since >= self.every && (self.every.is_zero() || since >= self.cost * SHARE);
        if !due && !self.at_epochs.contains(&progress.epoch) {
            return;
        }
        let begin = Instant::now();
        match self.write(parameters, progress) {
            Ok(bytes) => tracing::debug!(
                epoch = progress.epoch,
                bytes,
                seconds = begin.elapsed().as_secs_f64(),
                "resume checkpoint"
            ),
            Err(error) => {
                tracing::warn!("no resume checkpoint at epoch {}: {error}", progress.epoch)
            }
        }
        self.last = Instant::now();
        self.cost = self.last - begin;
    }

    /// Writes a checkpoint and returns its size in bytes.
    fn write(&self, parameters: &Parameters, progress: &Progress) -> Result<usize, RunErrorKind> {
        let best = progress.stopping.best();
        let state = State {
            format: FORMAT.to_owned(),
            origin: self.origin.clone(),
            epoch: progress.epoch,
            ended: progress.ended,
            optimizer_steps: progress.optimizer.steps(),
            best,
            train_seconds: progress.train_seconds,
            spent: self.before.and_since(self.started),
            epochs: progress.said.clone(),
        };
        let names = || parameters.named().iter().map(|(name, _)| name);
        let mut tensors: Vec<(String, &Tensor)> = Vec::new();
        for (name, tensor) in parameters.named() {
            tensors.push((format!("{WEIGHTS}{name}"), tensor));
        }
        for (name, moments) in names().zip(progress.optimizer.moments()) {
            if let Some((first, second)) = moments {
                tensors.push((format!("{FIRST}{name}"), first));
                tensors.push((format!("{SECOND}{name}"), second));
            }
        }
        if best.is_some_and(|(epoch, _)| epoch != progress.epoch) {
            let named = names().zip(&progress.best);
            tensors.extend(named.map(|(name, tensor)| (format!("{BEST}{name}"), tensor)));
        }
        let header = header(&state, &tensors).map_err(|error| io(&self.path)(error.into()))?;
        let mut bytes = 0;
        genair_files::write_with(&self.path, |sink| {
            let mut digest = Sha256::new();
            let mut write = |part: &[u8]| {
                digest.update(part);
                bytes += part.len();
                sink.write_all(part)
            };
            write(&(header.len() as u64).to_le_bytes())?;
            write(header.as_bytes())?;
            // One tensor at a time: a catalogue may be large.
            for (_, tensor) in &tensors {
                write(&contents(tensor).map_err(std::io::Error::other)?)?;
            }
            sink.write_all(&digest.finalize())
        })
        .map_err(io(&self.path))?;
        Ok(bytes + DIGEST_BYTES)
    }
}

/// The safetensors header: <https://github.com/huggingface/safetensors#format>.
fn header(state: &State, tensors: &[(String, &Tensor)]) -> serde_json::Result<String> {
    let mut header = serde_json::Map::new();
    let state = serde_json::to_string(state)?;
    header.insert("__metadata__".to_owned(), json!({ METADATA: state }));
    let mut end = 0;
    let mut place = |bytes: usize| {
        let begin = end;
        end += bytes;
        [begin, end]
    };
    for (name, tensor) in tensors {
        let offsets = place(tensor.numel() * size_of::<f32>());
        let entry = json!({ "dtype": "F32", "shape": tensor.size(), "data_offsets": offsets });
        header.insert(name.clone(), entry);
    }
    let offsets = place(DIGEST_BYTES);
    let entry = json!({ "dtype": "U8", "shape": [DIGEST_BYTES], "data_offsets": offsets });
    header.insert(DIGEST.to_owned(), entry);
    let mut text = serde_json::Value::from(header).to_string();
    // Numbers begin at a multiple of their size.
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    Ok(text)
}

/// The bytes of a float tensor, wherever it is.
fn contents(tensor: &Tensor) -> Result<Vec<u8>, tch::TchError> {
    let tensor = tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * size_of::<f32>()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

/// What a checkpoint is of that the run is not.
fn difference(theirs: &Origin, ours: &Origin) -> Option<String> {
    let fields = |origin: &Origin| {
        let Origin {
            identity,
            sequences_sha256,
            frozen_sha256,
            associations_sha256,
            device,
            libtorch,
            trainer,
        } = origin.clone();
        let optional = |sha256: Option<String>| sha256.unwrap_or_else(|| "none".to_owned());
        [
            ("run", identity),
            ("data", sequences_sha256),
            ("item vectors", optional(frozen_sha256)),
            ("association scores", optional(associations_sha256)),
            ("device", device),
            ("libtorch", libtorch),
            ("trainer", trainer),
        ]
    };
    let pairs = std::iter::zip(fields(theirs), fields(ours));
    pairs
        .filter(|(theirs, ours)| theirs != ours)
        .map(|((what, theirs), (_, ours))| {
            format!("it is of another run: its {what} is {theirs}, this run's is {ours}")
        })
        .next()
}
