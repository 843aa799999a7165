//! Principal components of rows, computed by the worker `genair-trainer`: libtorch has the linear algebra.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use genair_process::{Heard, Worker};
use genair_protocol::{PcaReply, PcaSummary};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

use crate::engine::end_of_log;
use crate::installation::Installation;

/// The only tensor of the files that are exchanged, `[rows, width]`.
const ROWS: &str = "rows";
/// How often requests to stop are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long the worker may take to end after its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer, in bytes: numbers for each component.
const MAX_ANSWER: usize = 64 << 20;

/// Why there are no principal components.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PcaError {
    /// Rows that do not differ have no direction of greatest variance.
    #[error("the {rows} vectors do not differ, so they have no principal components")]
    NoVariance {
        /// How many rows there are.
        rows: usize,
    },
    /// The solver did not converge.
    #[error("the eigenvalues of {rows} vectors of width {width} did not converge")]
    NotConverged {
        /// Rows.
        rows: usize,
        /// Components of a row.
        width: usize,
    },
    /// The worker cannot be started, or its files cannot be exchanged.
    #[error("cannot compute principal components with `{}`; build it (`just build`) or set GENAIR_TRAINER to its path", path.display())]
    Start {
        /// The binary.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The worker ended without an answer that can be read.
    #[error("`{} pca` {ending}{said}", path.display())]
    Died {
        /// The binary.
        path: PathBuf,
        /// How it ended.
        ending: String,
        /// The end of its log.
        said: String,
    },
    /// There was a request to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Rows on their principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduced {
    /// `[rows, components]`, row by row.
    pub values: Vec<f32>,
    /// How they were reduced.
    pub summary: PcaSummary,
}

/// How rows are reduced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reduction {
    /// Principal components at most, at least 1.
    pub components: usize,
    /// What whitening adds to squared singular values; `None`: no whitening.
    pub ridge: Option<f64>,
    /// So many rows, from the first, decide the components and the scale; the others are transformed alike.
    pub fitted: usize,
}

/// Reduces rows of one width to principal components.
pub type Reduce<'a> = dyn Fn(&[&[f32]], Reduction) -> Result<Reduced, PcaError> + 'a;

/// Reduces in a process of its own, on one thread, so that the numbers do not depend on how many there are.
pub fn in_trainer<'a>(
    installation: &'a Installation,
    interrupted: &'a dyn Fn() -> bool,
) -> impl Fn(&[&[f32]], Reduction) -> Result<Reduced, PcaError> + 'a {
    move |rows, how| {
        let path = &installation.trainer;
        let width = rows.first().map_or(0, |row| row.len());
        let started = |source| PcaError::Start {
            path: path.clone(),
            source,
        };
        let folder = tempfile::tempdir().map_err(started)?;
        write_rows(&folder.path().join("input"), rows, width).map_err(started)?;
        match ask(path, &folder, how, interrupted)? {
            PcaReply::Reduced(summary) => {
                let values = read_rows(&folder.path().join("output")).map_err(started)?;
                Ok(Reduced { values, summary })
            }
            PcaReply::NoVariance => Err(PcaError::NoVariance { rows: how.fitted }),
            PcaReply::NotConverged => Err(PcaError::NotConverged {
                rows: rows.len(),
                width,
            }),
        }
    }
}

fn ask(
    path: &Path,
    folder: &TempDir,
    how: Reduction,
    interrupted: &dyn Fn() -> bool,
) -> Result<PcaReply, PcaError> {
    let start = |source| PcaError::Start {
        path: path.to_owned(),
        source,
    };
    let log = folder.path().join("log");
    let mut command = genair_process::command(path);
    command
        .arg("pca")
        .args(["--components", &how.components.to_string()])
        .args(["--fitted", &how.fitted.to_string()])
        .args(how.ridge.map(|ridge| format!("--ridge={ridge}")))
        .args([folder.path().join("input"), folder.path().join("output")])
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(&log).map_err(start)?)
        .env("OMP_NUM_THREADS", "1")
        .env("MKL_NUM_THREADS", "1");
    let mut worker = Worker::start(&mut command, MAX_ANSWER).map_err(start)?;
    worker.child.yield_processor();
    let answer = loop {
        if interrupted() {
            return Err(PcaError::Interrupted);
        }
        match worker.hear(TICK).map_err(start)? {
            Heard::Line(line) => break Some(line),
            Heard::Nothing => {}
            Heard::End => break None,
        }
    };
    let ending = match answer.map(|line| serde_json::from_str(&line)) {
        Some(Ok(reply)) => return Ok(reply),
        Some(Err(error)) => format!("answered what this program cannot read ({error})"),
        None => match worker.child.wait(PATIENCE) {
            Some(status) => format!("ended with {status}"),
            None => "was lost".to_owned(),
        },
    };
    let said =
        end_of_log(&log).map_or_else(|_| String::new(), |said| format!("; it last said:\n{said}"));
    Err(PcaError::Died {
        path: path.to_owned(),
        ending,
        said,
    })
}

fn write_rows(path: &Path, rows: &[&[f32]], width: usize) -> io::Result<()> {
    let bytes: Vec<u8> = rows
        .iter()
        .flat_map(|row| row.iter().flat_map(|value| value.to_le_bytes()))
        .collect();
    let tensor = TensorView::new(Dtype::F32, vec![rows.len(), width], &bytes);
    let tensor = tensor.map_err(io::Error::other)?;
    safetensors::serialize_to_file([(ROWS, tensor)], None, path).map_err(io::Error::other)
}

fn read_rows(path: &Path) -> io::Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(io::Error::other)?;
    let tensor = tensors.tensor(ROWS).map_err(io::Error::other)?;
    let (numbers, _) = tensor.data().as_chunks::<4>();
    Ok(numbers.iter().copied().map(f32::from_le_bytes).collect())
}

/// The first components as they are, for tests of what is done with them: no principal components.
#[cfg(test)]
pub(crate) fn truncate(rows: &[&[f32]], how: Reduction) -> Result<Reduced, PcaError> {
    let asked = how.components;
    let components = asked.min(rows.first().map_or(0, |row| row.len()));
    if rows.len() < 2 || rows.iter().all(|row| row == &rows[0]) {
        return Err(PcaError::NoVariance { rows: rows.len() });
    }
    Ok(Reduced {
        values: rows
            .iter()
            .flat_map(|row| &row[..components])
            .copied()
            .collect(),
        summary: PcaSummary {
            asked,
            components,
            rank: components,
            explained_variance: vec![1.0; components],
            explained_variance_ratio: vec![1.0 / components as f64; components],
        },
    })
}
