//! Which plugins there are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use genair_abi::PLUGIN_FILE_PREFIX;
use genair_protocol::PluginReport;

use super::Plugin;
use super::library::HandshakeFacts;
use crate::digest;

/// Plugin files of the given folders by name, in alphabetical order; where two folders hold a
/// plugin of one name, the earlier folder wins. A folder that is not there holds none.
pub fn find(folders: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let mut found = BTreeMap::new();
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if let Some(name) = self::name(&path) {
                found.entry(name).or_insert(path);
            }
        }
    }
    found.into_iter().collect()
}

/// Opens one plugin and says what it is, or why it cannot be used.
pub fn report(name: &str, path: &Path) -> PluginReport {
    let mut facts = HandshakeFacts::default();
    let opened = Plugin::open_reporting(path, &mut facts).and_then(|plugin| {
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
    PluginReport {
        name: name.to_owned(),
        path: path.to_owned(),
        sha256: digest::of_file(path).unwrap_or_default(),
        abi: facts.abi,
        libtorch: facts.libtorch,
        rustc: facts.rustc,
        descriptor,
        capabilities,
        error,
    }
}

/// The name in a plugin's file name: `sasrec` for `libgenair_backbone_sasrec.so`.
pub fn name(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?;
    let stem = path.file_stem()?.to_str()?;
    let name = stem.strip_prefix(PLUGIN_FILE_PREFIX)?;
    (extension == std::env::consts::DLL_EXTENSION && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_folder_wins_and_other_files_are_no_plugins() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = |name: &str| {
            format!(
                "{PLUGIN_FILE_PREFIX}{name}.{}",
                std::env::consts::DLL_EXTENSION
            )
        };
        for (folder, name) in [
            (&first, file("a")),
            (&second, file("a")),
            (&second, file("b")),
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        for name in [
            "libother.so",
            "libgenair_backbone_c.txt",
            "libgenair_backbone_.so",
        ] {
            std::fs::write(first.path().join(name), "").unwrap();
        }
        let missing = first.path().join("missing");
        let found = find(&[missing, first.path().to_owned(), second.path().to_owned()]);
        let expected = [
            ("a".to_owned(), first.path().join(file("a"))),
            ("b".to_owned(), second.path().join(file("b"))),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_that_is_no_library_is_reported_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libgenair_backbone_x.so");
        std::fs::write(&path, "not a library").unwrap();
        let report = report("x", &path);
        assert!(report.error.unwrap().contains("does not load"));
        assert_eq!(report.sha256.len(), 64);
        assert!(report.descriptor.is_none());
    }
}
