//! Finding plugins. The folders are the runner's business; opening a plugin is the trainer's, in a
//! process that a broken plugin may crash.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use genair_protocol::PluginReport;

use crate::identity::sha256_hex;
use crate::trainer::{Trainer, TrainerError};

/// Folders searched for plugins, absolute, in order: those named, those in GENAIR_PLUGIN_PATH, the binary's
/// and its `plugins` subfolder. Folders that are not there are left out, but not a named one.
pub fn search_path(
    named: &[PathBuf],
    variable: Option<&OsStr>,
    binary_folder: Option<&Path>,
) -> Vec<PathBuf> {
    let absolute =
        |folder: &Path| std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut folders: Vec<PathBuf> = named.iter().map(|folder| absolute(folder)).collect();
    let implied = variable.into_iter().flat_map(std::env::split_paths);
    let beside = binary_folder
        .into_iter()
        .flat_map(|folder| [folder.to_owned(), folder.join("plugins")]);
    for folder in implied.chain(beside).map(|folder| absolute(&folder)) {
        if folder.is_dir() && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// Why plugins could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// A folder or file that is not there or may not be read.
    #[error("cannot read {} for plugins", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The worker binary failed for a reason of its own.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
}

/// Reports on the plugins in the folders, sorted by name; a plugin that cannot be used says why.
///
/// One process is asked about all; if it dies, each file gets a process of its own, so that only the
/// file that kills it is lost.
///
/// # Errors
/// A folder that is not there, a worker binary that does not work at all.
pub fn discover(trainer: &Trainer, folders: &[PathBuf]) -> Result<Vec<PluginReport>, PluginError> {
    for folder in folders {
        std::fs::read_dir(folder).map_err(|source| PluginError::Folder {
            path: folder.clone(),
            source,
        })?;
    }
    let mut reports = match trainer.plugins(folders) {
        Err(TrainerError::Died { .. }) => {
            let files = trainer.plugin_files(folders)?;
            files
                .iter()
                .map(|(name, file)| report_alone(trainer, name, file))
                .collect::<Result<_, _>>()?
        }
        answer => answer?,
    };
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(reports)
}

fn report_alone(trainer: &Trainer, name: &str, file: &Path) -> Result<PluginReport, PluginError> {
    let error = match trainer.plugin(file) {
        Ok(reports) => match reports.into_iter().next() {
            Some(report) => return Ok(report),
            None => "the worker does not see it".to_owned(),
        },
        Err(error @ TrainerError::Died { .. }) => format!("opening it ends the process: {error}"),
        Err(other) => return Err(other.into()),
    };
    let bytes = std::fs::read(file).map_err(|source| PluginError::Folder {
        path: file.to_owned(),
        source,
    })?;
    Ok(PluginReport {
        name: name.to_owned(),
        path: file.to_owned(),
        sha256: sha256_hex(bytes),
        abi: None,
        libtorch: None,
        rustc: None,
        descriptor: None,
        capabilities: None,
        error: Some(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_folders_come_first_and_stay() {
        let here = tempfile::tempdir().unwrap();
        std::fs::create_dir(here.path().join("plugins")).unwrap();
        let named = [PathBuf::from("/no/such")];
        let variable = std::env::join_paths([here.path(), Path::new("/not/there")]).unwrap();
        let found = search_path(&named, Some(&variable), Some(here.path()));
        assert_eq!(
            found,
            [
                named[0].clone(),
                here.path().to_owned(),
                here.path().join("plugins")
            ]
        );
    }
}
