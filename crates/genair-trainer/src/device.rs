//! Which device a run uses, and what libtorch this process has loaded.

#![expect(
    unsafe_code,
    reason = "symbols of the loaded libtorch are looked up by name"
)]

use std::path::{Path, PathBuf};
use std::sync::Once;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use serde::Serialize;
use tch::{Cuda, Device};

use crate::RunErrorKind;

/// The libtorch of this process.
#[derive(Clone, Debug, Serialize)]
pub struct LibtorchFacts {
    /// Version, such as `2.13.0`, where the library tells.
    pub version: Option<String>,
    /// Folder it was loaded from.
    pub folder: Option<PathBuf>,
    /// Whether CUDA can be used.
    pub cuda: bool,
    /// Number of CUDA devices.
    pub cuda_devices: i64,
}

/// Looks at the libtorch that is loaded, not at the one that was compiled against.
pub fn libtorch_facts() -> LibtorchFacts {
    load_cuda();
    LibtorchFacts {
        version: loaded_version(),
        folder: loaded_folder(),
        cuda: Cuda::is_available(),
        cuda_devices: Cuda::device_count(),
    }
}

/// The version of the loaded libtorch, as it tells itself.
pub(crate) fn loaded_version() -> Option<String> {
    // SAFETY: the symbol, where it exists, is `uint64_t aoti_torch_abi_version()` since libtorch
    // 2.3: the version's parts in the top bytes, no side effect.
    let packed = unsafe {
        let this = Library::this();
        let version = this.get::<unsafe extern "C" fn() -> u64>(b"aoti_torch_abi_version\0");
        version.ok().map(|version| version())
    }?;
    let [major, minor, patch, ..] = packed.to_be_bytes();
    Some(format!("{major}.{minor}.{patch}"))
}

/// Resolves `train.device`.
///
/// # Errors
/// [`RunErrorKind::Device`] for a device that is not there or not a device's name.
pub(crate) fn choose(device: &str) -> Result<Device, RunErrorKind> {
    let refuse = |reason: String| RunErrorKind::Device {
        device: device.to_owned(),
        reason,
    };
    match device {
        "cpu" => Ok(Device::Cpu),
        "auto" => {
            load_cuda();
            Ok(Device::cuda_if_available())
        }
        _ => {
            let number: usize = device
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| refuse("it is none of `auto`, `cpu`, `cuda:N`".to_owned()))?;
            load_cuda();
            let devices = Cuda::device_count();
            if !Cuda::is_available() || number as i64 >= devices {
                return Err(refuse(format!(
                    "this machine has {devices} usable CUDA devices"
                )));
            }
            Ok(Device::Cuda(number))
        }
    }
}

/// `cpu` or `cuda:N`.
pub(crate) fn name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".to_owned(),
    }
}

/// Opens libtorch's CUDA half where there is one. Nothing links it, so that one binary serves both
/// kinds of machine; and it must be open before the first question about CUDA, since libtorch
/// remembers a no.
fn load_cuda() {
    static LOAD: Once = Once::new();
    LOAD.call_once(|| {
        let Some(library) = loaded_folder().map(|folder| folder.join("libtorch_cuda.so")) else {
            return;
        };
        if !library.exists() {
            return;
        }
        // SAFETY: libtorch's own library, of the same folder; its initialisers register kernels.
        match unsafe { Library::open(Some(&library), RTLD_NOW | RTLD_GLOBAL) } {
            // Unloading it would leave dangling kernels behind.
            Ok(library) => std::mem::forget(library),
            Err(error) => tracing::warn!("{} does not load: {error}", library.display()),
        }
    });
}

/// Where the dynamic linker found libtorch.
fn loaded_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps
        .lines()
        .find(|line| line.ends_with("/libtorch_cpu.so"))?;
    Path::new(&line[line.find('/')?..])
        .parent()
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_tells_its_version_and_place() {
        let facts = libtorch_facts();
        assert_eq!(facts.version.as_deref(), Some("2.13.0"));
        assert!(facts.folder.unwrap().join("libtorch_cpu.so").exists());
    }

    #[test]
    fn devices_that_are_not_there_are_refused() {
        assert_eq!(choose("cpu").unwrap(), Device::Cpu);
        for device in ["gpu", "cuda", "cuda:x", "cuda:4096", ""] {
            let error = choose(device).unwrap_err().to_string();
            assert!(error.contains("train.device"), "{error}");
        }
    }
}
