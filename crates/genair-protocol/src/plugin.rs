//! One plugin file, as the worker found it on disk.

use std::path::{Path, PathBuf};

use genair_abi::{BackboneDescriptor, Capabilities, PLUGIN_FILE_PREFIX};
use serde::{Deserialize, Serialize};

/// A plugin that can be used, or the reason why it cannot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginReport {
    /// Name taken from the file name, which must be the name in the descriptor too.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file, lower-case hex; empty where it was not read.
    pub sha256: String,
    /// ABI version in the handshake, where it could be read.
    pub abi: Option<u32>,
    /// libtorch the plugin was compiled against.
    pub libtorch: Option<String>,
    /// Compiler it was built with.
    pub rustc: Option<String>,
    /// What it says of itself.
    pub descriptor: Option<BackboneDescriptor>,
    /// Capabilities with default parameters.
    pub capabilities: Option<Capabilities>,
    /// Why it cannot be used.
    pub error: Option<String>,
}

impl PluginReport {
    /// A report on a plugin of which no more is known than why it cannot be used.
    pub fn broken(name: impl Into<String>, path: impl Into<PathBuf>, error: String) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            error: Some(error),
            ..Self::default()
        }
    }
}

/// What `genair-conformance` says while it tests a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConformanceEvent {
    /// A check of a set of parameters begins.
    Begins {
        /// Name of the set.
        set: String,
        /// Name of the check.
        check: String,
    },
    /// It has ended.
    Ended {
        /// Name of the set.
        set: String,
        /// Name of the check.
        check: String,
        /// Why the plugin does not pass; none where it does.
        error: Option<String>,
    },
}

/// The name in a plugin's file name: `sasrec` for `libgenair_backbone_sasrec.so`.
pub fn plugin_name(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?;
    let stem = path.file_stem()?.to_str()?;
    let name = stem.strip_prefix(PLUGIN_FILE_PREFIX)?;
    (extension == std::env::consts::DLL_EXTENSION && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_of_our_name_are_plugins() {
        let name = |file: &str| plugin_name(Path::new(file));
        let library = format!(
            "/x/libgenair_backbone_a.{}",
            std::env::consts::DLL_EXTENSION
        );
        assert_eq!(name(&library).as_deref(), Some("a"));
        for file in [
            "libother.so",
            "libgenair_backbone_c.txt",
            "libgenair_backbone_.so",
        ] {
            assert_eq!(name(file), None);
        }
    }
}
