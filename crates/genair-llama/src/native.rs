//! What llama.cpp offers and llama-cpp-2 does not wrap: the only unsafe code of the crate.

#![expect(
    unsafe_code,
    reason = "plain calls of C functions that llama-cpp-2 does not wrap"
)]

use std::ffi::{CStr, CString};
use std::path::Path;

use crate::error::WorkerError;

/// What of the processor this build uses, such as `AVX2 AVX512 FMA OPENMP`.
pub(crate) fn features() -> String {
    // SAFETY: takes nothing, and returns a static string that ends in 0.
    let info = unsafe { CStr::from_ptr(llama_cpp_sys_2::llama_print_system_info()) };
    // Such as `CPU : SSE3 = 1 | AVX = 0 | OPENMP = 1 | `.
    info.to_string_lossy()
        .split(['|', ':'])
        .filter_map(|part| part.trim().strip_suffix(" = 1"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Weights {
    /// Eight bits, in blocks of 32 with one scale: nearly the original, and the smallest that is.
    #[value(name = "q8_0")]
    Q8_0,
    /// Sixteen bits.
    F16,
}

/// Writes `input` with such weights to `output`, whatever types it has now. `output` appears complete
/// or not at all.
pub(crate) fn quantize(input: &Path, output: &Path, weights: Weights) -> Result<(), WorkerError> {
    std::fs::File::open(input).map_err(|source| WorkerError::Unreadable {
        path: input.to_owned(),
        source,
    })?;
    let unwritable = |source| WorkerError::Unwritable {
        path: output.to_owned(),
        source,
    };
    let folder = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let temporary = tempfile::tempdir_in(folder).map_err(unwritable)?;
    let unfinished = temporary.path().join("model.gguf");

    let input_path = c_path(input)?;
    let output_path = c_path(&unfinished)?;
    // SAFETY: both strings end in 0 and outlive the call; the parameters are llama.cpp's own
    // defaults, whose pointers are null, with three plain values changed.
    let code = unsafe {
        let mut params = llama_cpp_sys_2::llama_model_quantize_default_params();
        params.ftype = match weights {
            Weights::Q8_0 => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_Q8_0,
            Weights::F16 => llama_cpp_sys_2::LLAMA_FTYPE_MOSTLY_F16,
        };
        params.allow_requantize = true;
        params.nthread = 0;
        llama_cpp_sys_2::llama_model_quantize(input_path.as_ptr(), output_path.as_ptr(), &params)
    };
    if code != 0 {
        return Err(WorkerError::Quantise {
            path: input.to_owned(),
            code,
        });
    }
    std::fs::File::open(&unfinished)
        .and_then(|file| file.sync_all())
        .map_err(unwritable)?;
    std::fs::rename(&unfinished, output).map_err(unwritable)
}

fn c_path(path: &Path) -> Result<CString, WorkerError> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| WorkerError::Unreadable {
        path: path.to_owned(),
        source: error.into(),
    })
}
