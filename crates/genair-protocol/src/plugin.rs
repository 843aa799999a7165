//! One plugin file, as the worker found it on disk.

use std::path::PathBuf;

use genair_abi::{BackboneDescriptor, Capabilities};
use serde::{Deserialize, Serialize};

/// A plugin that can be used, or the reason why it cannot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginReport {
    /// Name taken from the file name, which must be the name in the descriptor too.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file, lower-case hex.
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
