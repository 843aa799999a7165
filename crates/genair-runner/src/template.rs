//! `genair plugin new`: a backbone's package to start from, outside any workspace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file of the template, and its text.
macro_rules! template {
    ($path:literal) => {
        (
            $path,
            include_str!(concat!("../../../templates/backbone/", $path)),
        )
    };
}

/// The package's files; `{{name}}` and `{{genair}}` are filled in.
const FILES: [(&str, &str); 8] = [
    template!("Cargo.toml"),
    template!("Cargo.lock"),
    template!(".cargo/config.toml"),
    template!(".gitignore"),
    template!("build.rs"),
    template!("src/lib.rs"),
    template!("src/model.rs"),
    template!("conformance.toml"),
];

/// Why no package was written.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A name that is no backbone's.
    #[error("`{0}` cannot name a backbone; use lower-case letters, digits and `_`, a letter first")]
    Name(String),
    /// Something is there already.
    #[error("{0} is there already; remove it, or choose another folder")]
    Exists(PathBuf),
    /// The package would build against sources that are not there.
    #[error("the sources of GenAIR are not in {0} any more; build `genair` where they are")]
    NoSources(PathBuf),
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

/// Writes the package of a new backbone into `folder/name`, whole or not at all, and returns that
/// folder. It builds against the checkout that this program was built from.
///
/// # Errors
/// [`TemplateError`].
pub fn write_backbone(name: &str, folder: &Path) -> Result<PathBuf, TemplateError> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(letters) {
        return Err(TemplateError::Name(name.to_owned()));
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sources = sources
        .canonicalize()
        .map_err(|_| TemplateError::NoSources(sources))?;
    let target = folder.join(name);
    if target.exists() {
        return Err(TemplateError::Exists(target));
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TemplateError::Io { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let partial = tempfile::tempdir_in(folder).map_err(failed(folder))?;
    for (file, text) in FILES {
        let path = partial.path().join(file);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let text = text
            .replace("{{name}}", name)
            .replace("{{genair}}", &sources.to_string_lossy());
        fs::write(&path, text).map_err(failed(&path))?;
    }
    fs::rename(partial.keep(), &target).map_err(failed(&target))?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blank_is_filled_in_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let written = write_backbone("narm_2", folder.path()).unwrap();
        assert_eq!(written, folder.path().join("narm_2"));
        for (file, _) in FILES {
            let text = fs::read_to_string(written.join(file)).unwrap();
            assert!(!text.contains("{{"), "{file}");
        }
        let manifest = fs::read_to_string(written.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("genair-backbone-narm_2"));
        let again = write_backbone("narm_2", folder.path()).unwrap_err();
        assert!(matches!(again, TemplateError::Exists(_)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        for name in ["", "SASRec", "a-b", "1a", "../a"] {
            let error = write_backbone(name, folder.path()).unwrap_err();
            assert!(matches!(error, TemplateError::Name(_)), "{name}");
        }
    }

    #[test]
    fn its_lock_file_has_the_versions_of_the_workspace() {
        let packages = |text: &str| -> Vec<(String, String)> {
            let lock: toml::Table = toml::from_str(text).unwrap();
            let packages = lock["package"].as_array().unwrap().clone();
            let key = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
            packages
                .iter()
                .map(|package| (key(package, "name"), key(package, "version")))
                .collect()
        };
        let own = packages(include_str!("../../../Cargo.lock"));
        let (_, lock) = FILES
            .iter()
            .find(|(file, _)| *file == "Cargo.lock")
            .unwrap();
        for package in packages(lock) {
            let is_itself = package.0 == "genair-backbone-{{name}}";
            assert!(is_itself || own.contains(&package), "{package:?}");
        }
    }
}
