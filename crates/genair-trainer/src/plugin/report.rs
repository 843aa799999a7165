//! What one plugin file is.

use std::path::Path;

use genair_process::NoThread;
use genair_protocol::PluginReport;

use super::Plugin;
use super::library::{HandshakeFacts, too_slow};
use crate::patience::{LOAD_LIMIT, within};

/// Opens one plugin and says what it is, or why it cannot be used. Takes ten seconds at the most.
///
/// # Errors
/// The system refuses a thread; nothing is known of the plugin then.
pub fn report(name: &str, path: &Path) -> Result<PluginReport, NoThread> {
    let (own_name, own_path) = (name.to_owned(), path.to_owned());
    let report = within(LOAD_LIMIT, move || look(&own_name, &own_path))?;
    Ok(report.unwrap_or_else(|| PluginReport::broken(name, path, too_slow())))
}

fn look(name: &str, path: &Path) -> PluginReport {
    let mut facts = HandshakeFacts::default();
    let opened = Plugin::open_reporting(path, None, &mut facts).and_then(|plugin| {
        let capabilities = plugin.capabilities(&serde_json::Map::new())?;
        Ok((plugin.descriptor().clone(), capabilities))
    });
    let (described, mut error) = match opened {
        Ok(described) => (Some(described), None),
        Err(error) => (None, Some(error.to_string())),
    };
    if let Some((descriptor, _)) = &described
        && descriptor.name != name
    {
        error = Some(format!(
            "the file is named after `{name}`, but the backbone inside is `{}`; rename the file",
            descriptor.name
        ));
    }
    let (descriptor, capabilities) = described.unzip();
    let sha256 = if path.is_file() {
        genair_files::sha256_of_file(path).unwrap_or_default()
    } else {
        String::new()
    };
    PluginReport {
        name: name.to_owned(),
        path: path.to_owned(),
        sha256,
        abi: facts.abi,
        libtorch: facts.libtorch,
        rustc: facts.rustc,
        descriptor,
        capabilities,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_library_is_reported_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libgenair_backbone_x.so");
        std::fs::write(&path, "not a library").unwrap();
        let report = report("x", &path).unwrap();
        assert!(report.error.unwrap().contains("does not load"));
        assert_eq!(report.sha256.len(), 64);
        assert!(report.descriptor.is_none());
    }
}
