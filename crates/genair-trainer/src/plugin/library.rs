//! Opening one plugin file. Nothing of it is called before its handshake matches.

#![expect(unsafe_code, reason = "plugin boundary")]

use std::path::{Path, PathBuf};

use genair_abi::{
    ABI_VERSION, BackboneDescriptor, Capabilities, HANDSHAKE_MAGIC, HANDSHAKE_SYMBOL, Handshake,
    OwnedStr, Status, StatusCode, Str, VTable,
};
use libloading::Library;
use serde::de::DeserializeOwned;

use crate::error::io;
use crate::patience::{LOAD_LIMIT, within};
use crate::{RunErrorKind, device};

/// A plugin that speaks this trainer's language.
pub struct Plugin {
    pub(super) vtable: VTable,
    descriptor: BackboneDescriptor,
}

/// What the handshake says, matching or not.
#[derive(Clone, Debug, Default)]
pub(super) struct HandshakeFacts {
    pub(super) abi: Option<u32>,
    pub(super) libtorch: Option<String>,
    pub(super) rustc: Option<String>,
}

impl Plugin {
    /// Opens a plugin whose file must have the given SHA-256 (lower-case hex), if one is given. Takes
    /// ten seconds at the most.
    ///
    /// # Errors
    /// [`RunErrorKind::PluginRejected`] where the file is not the one that was planned, is no regular file,
    /// does not load in time, or was built against another ABI or libtorch; [`RunErrorKind::PluginFailed`]
    /// where it cannot describe itself; [`RunErrorKind::Thread`] where the system refuses a thread.
    pub fn open(path: &Path, sha256: Option<&str>) -> Result<Self, RunErrorKind> {
        let (file, expected) = (path.to_owned(), sha256.map(str::to_owned));
        let opened = within(LOAD_LIMIT, move || {
            Self::open_reporting(&file, expected.as_deref(), &mut HandshakeFacts::default())
        })?;
        opened.unwrap_or_else(|| Err(rejected(path, too_slow())))
    }

    /// A plugin that is linked into this program, such as the one under test: the same checks and
    /// the same function table as one that is opened from a file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_handshake(handshake: &'static Handshake) -> Result<Self, RunErrorKind> {
        let path = Path::new("(linked into this program)");
        Self::accept(path, handshake, &mut HandshakeFacts::default())
    }

    /// [`Self::open`] without its limit, leaving behind what the handshake said even where it does not match.
    pub(super) fn open_reporting(
        path: &Path,
        sha256: Option<&str>,
        facts: &mut HandshakeFacts,
    ) -> Result<Self, RunErrorKind> {
        require_regular(path).map_err(|reason| rejected(path, reason))?;
        if let Some(expected) = sha256 {
            let found = genair_files::sha256_of_file(path).map_err(io(path))?;
            if found != expected {
                let reason = format!(
                    "the file has changed since the sweep was planned (SHA-256 {found}, planned \
                     {expected}); start the sweep again"
                );
                return Err(rejected(path, reason));
            }
        }
        let handshake = exported_handshake(path).map_err(|reason| rejected(path, reason))?;
        Self::accept(path, handshake, facts)
    }

    fn accept(
        path: &Path,
        handshake: *const Handshake,
        facts: &mut HandshakeFacts,
    ) -> Result<Self, RunErrorKind> {
        let vtable = compare(handshake, facts).map_err(|reason| rejected(path, reason))?;
        let mut plugin = Self {
            vtable,
            descriptor: unnamed(),
        };
        plugin.descriptor = plugin.ask("describe", |out| {
            // SAFETY: `out` is writable; the function comes from a matching handshake.
            unsafe { (vtable.describe)(out) }
        })?;
        Ok(plugin)
    }

    /// What the plugin says of itself.
    pub fn descriptor(&self) -> &BackboneDescriptor {
        &self.descriptor
    }

    /// What one configuration needs and gives.
    ///
    /// # Errors
    /// [`RunErrorKind::PluginFailed`], where the plugin refuses the parameters.
    pub fn capabilities(
        &self,
        params: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Capabilities, RunErrorKind> {
        let params = json(params);
        self.ask("capabilities", |out| {
            // SAFETY: `out` is writable and the text outlives the call.
            unsafe { (self.vtable.capabilities)(Str::new(&params), out) }
        })
    }

    /// A failed call of this plugin, as an error of the run.
    pub(super) fn failed(
        &self,
        call: &'static str,
        (code, message): (StatusCode, String),
    ) -> RunErrorKind {
        let how = match code {
            StatusCode::Panic => "panicked",
            StatusCode::Ok | StatusCode::Error => "returned an error",
        };
        RunErrorKind::PluginFailed {
            plugin: self.descriptor.name.clone(),
            call,
            how,
            message,
        }
    }

    fn ask<T: DeserializeOwned>(
        &self,
        call: &'static str,
        function: impl FnOnce(*mut OwnedStr) -> Status,
    ) -> Result<T, RunErrorKind> {
        let mut out = OwnedStr::empty();
        function(&mut out)
            .into_result()
            .map_err(|failure| self.failed(call, failure))?;
        serde_json::from_str(&out.to_string_lossy())
            .map_err(|error| self.failed(call, (StatusCode::Error, error.to_string())))
    }
}

/// Why a plugin that does not come back is not used.
pub(super) fn too_slow() -> String {
    format!(
        "it does not come back while it loads: given up after {} s; build it again with `just build`, or remove it",
        LOAD_LIMIT.as_secs()
    )
}

fn rejected(path: &Path, reason: String) -> RunErrorKind {
    RunErrorKind::PluginRejected {
        path: path.to_owned(),
        reason,
    }
}

/// Fails on what must not be opened at all: a named pipe waits for ever, a device is anything.
fn require_regular(path: &Path) -> Result<(), String> {
    let kind = match std::fs::metadata(path) {
        Ok(file) if file.is_file() => return Ok(()),
        Ok(file) => kind(file.file_type()),
        Err(error) if is_link(path) => {
            return Err(format!(
                "it is a link that leads nowhere: {error}; remove it"
            ));
        }
        Err(error) => return Err(format!("it cannot be looked at: {error}")),
    };
    let link = if is_link(path) { "leads to" } else { "is" };
    Err(format!("it {link} {kind}, not a file; remove it"))
}

fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.is_symlink())
}

fn kind(file: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if file.is_dir() {
        "a folder"
    } else if file.is_fifo() {
        "a named pipe"
    } else if file.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Parameters as the JSON text that crosses the boundary.
pub(super) fn json(params: &serde_json::Map<String, serde_json::Value>) -> String {
    serde_json::Value::Object(params.clone()).to_string()
}

/// Stands in until a plugin has told its name.
fn unnamed() -> BackboneDescriptor {
    BackboneDescriptor {
        name: "(not yet described)".to_owned(),
        version: String::new(),
        summary: String::new(),
        reference: String::new(),
        parameters: serde_json::Value::Null,
    }
}

/// Opens the library for good and finds its handshake.
fn exported_handshake(path: &Path) -> Result<*const Handshake, String> {
    let absolute: PathBuf = std::path::absolute(path).map_err(|error| error.to_string())?;
    // SAFETY: opening a library runs its initialisers; that is what loading a plugin means. A file
    // that crashes here takes one worker process with it and no more.
    let library = unsafe { Library::new(&absolute) }.map_err(|error| {
        let reason = std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), ToString::to_string);
        format!("it does not load: {reason}; build it again with `just build`, or remove it")
    })?;
    // A library whose threads or tensors may be alive must never be unloaded.
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: the symbol is read as a pointer to memory of the library, which stays loaded.
    let symbol = unsafe { library.get::<*const Handshake>(HANDSHAKE_SYMBOL.as_bytes()) };
    let Ok(symbol) = symbol else {
        return Err(format!(
            "it exports no {HANDSHAKE_SYMBOL}, so it is no backbone plugin"
        ));
    };
    Ok(*symbol)
}

/// Compares a handshake, of whatever version, with what this process is.
fn compare(handshake: *const Handshake, facts: &mut HandshakeFacts) -> Result<VTable, String> {
    // SAFETY: magic, ABI version and size come first in every version of the structure.
    let (magic, abi, size) = unsafe {
        (
            (*handshake).magic,
            (*handshake).abi,
            (*handshake).size as usize,
        )
    };
    if magic != HANDSHAKE_MAGIC {
        return Err(format!(
            "its {HANDSHAKE_SYMBOL} is no handshake (magic number {magic:#x})"
        ));
    }
    facts.abi = Some(abi);
    if abi != ABI_VERSION || size != size_of::<Handshake>() {
        return Err(format!(
            "it speaks plugin ABI {abi} ({size} bytes), this trainer speaks {ABI_VERSION} ({} \
             bytes); build it against this version's genair-plugin-sdk",
            size_of::<Handshake>()
        ));
    }
    // SAFETY: the ABI version and the size match, so the layout is the one compiled here.
    let handshake = unsafe { &*handshake };
    // SAFETY: texts of a handshake are statics of the library.
    let (libtorch, rustc) = unsafe {
        (
            handshake.libtorch.to_string_lossy(),
            handshake.rustc.to_string_lossy(),
        )
    };
    facts.libtorch = Some(libtorch.clone());
    facts.rustc = Some(rustc);
    let loaded = device::loaded_version().unwrap_or_else(|| "unknown".to_owned());
    if libtorch != loaded {
        return Err(format!(
            "it was built against libtorch {libtorch}, this process has loaded {loaded}; build it \
             again against libtorch {loaded}"
        ));
    }
    Ok(handshake.vtable)
}
