//! The engine worker that runs a GGUF model by llama.cpp: what of it is plain arithmetic.
//!
//! The binary, behind the feature `llama-cpp`, adds the model (`src/main.rs`).

mod answer;
mod mean;
mod sampler;

pub use answer::Answer;
pub use mean::{Mean, encode_vector};
pub use sampler::{Sampler, SettingError, check_settings};

/// Engine and version, part of a record's provenance.
pub const ENGINE: &str = "llama-cpp-2 0.1.160";

#[cfg(test)]
mod tests {
    #[test]
    fn the_engine_is_the_pinned_one() {
        let (name, version) = super::ENGINE.split_once(' ').unwrap();
        let manifest = include_str!("../../../Cargo.toml");
        for crate_name in [name, "llama-cpp-sys-2"] {
            let pin = format!("{crate_name} = {{ version = \"={version}\"");
            assert!(manifest.contains(&pin), "no `{pin}` in Cargo.toml");
        }
    }
}
