//! Finding plugins. The folders are the runner's business; opening a plugin is the trainer's, in a
//! process that a broken plugin may crash.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use genair_protocol::{PluginReport, plugin_name};

use crate::trainer::{Trainer, TrainerError};

/// Plugins looked at side by side, at least: one that hangs keeps few others waiting.
const AT_ONCE: usize = 4;

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

/// Reports on the plugins in the folders, sorted by name; a plugin that cannot be used says why. Where two folders
/// hold a plugin of one name, the earlier folder wins.
///
/// One process opens all files. If it crashes, hangs or exits, each file gets a process of its own, so that only the
/// plugin that did it is lost.
///
/// # Errors
/// A folder that is not there, a worker binary that does not work at all.
pub fn discover(trainer: &Trainer, folders: &[PathBuf]) -> Result<Vec<PluginReport>, PluginError> {
    let files = find(folders)?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    match trainer.plugins(files.iter().map(|(_, file)| file.as_path())) {
        Err(
            TrainerError::Died { .. } | TrainerError::TimedOut { .. } | TrainerError::Answer { .. },
        ) => {}
        reports => return Ok(reports?),
    }
    let mut found = Vec::with_capacity(files.len());
    let mut tried = false;
    for ((name, file), report) in files.iter().zip(look_at_all(trainer, &files)) {
        let report = match report {
            // The others are done by now: there is room for one.
            Err(TrainerError::Refused { .. }) => look_at(trainer, file),
            report => report,
        };
        found.push(match report {
            Ok(report) => report,
            Err(error @ (TrainerError::Died { .. } | TrainerError::TimedOut { .. })) => {
                if !std::mem::replace(&mut tried, true) {
                    trainer.try_out()?;
                }
                let reason = format!("opening it ends the process: {error}");
                PluginReport::broken(name, file, reason)
            }
            Err(error) => return Err(error.into()),
        });
    }
    Ok(found)
}

/// Asks about one file, in a process of its own.
fn look_at(trainer: &Trainer, file: &Path) -> Result<PluginReport, TrainerError> {
    let reports = trainer.plugins([file])?;
    reports
        .into_iter()
        .next()
        .ok_or_else(|| TrainerError::Died {
            command: "plugins".to_owned(),
            ending: "reported no plugin".to_owned(),
            stderr: String::new(),
        })
}

/// Names and files of the plugins in the folders, in alphabetical order, none of them opened.
fn find(folders: &[PathBuf]) -> Result<Vec<(String, PathBuf)>, PluginError> {
    let mut found = BTreeMap::new();
    for folder in folders {
        let failed = |source| PluginError::Folder {
            path: folder.clone(),
            source,
        };
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if let Some(name) = plugin_name(&path) {
                found.entry(name).or_insert(path);
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Asks about each file, some side by side.
fn look_at_all(
    trainer: &Trainer,
    files: &[(String, PathBuf)],
) -> Vec<Result<PluginReport, TrainerError>> {
    let reports: Vec<_> = files.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((_, file)) = files.get(at) else {
                return;
            };
            let report = look_at(trainer, file);
            *reports[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| {
        for _ in 1..cores.max(AT_ONCE).min(files.len()) {
            if genair_process::spawn_scoped(scope, "looks at plugins", work).is_err() {
                // This one does what others would have done.
                break;
            }
        }
        work();
    });
    let reports = reports
        .into_iter()
        .map(|report| report.into_inner().unwrap_or_else(PoisonError::into_inner));
    reports.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_folder_wins_and_other_files_are_no_plugins() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = |name: &str| {
            let extension = std::env::consts::DLL_EXTENSION;
            format!("libgenair_backbone_{name}.{extension}")
        };
        for (folder, name) in [
            (&first, file("a")),
            (&second, file("a")),
            (&second, file("b")),
            (&first, "libother.so".to_owned()),
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let folders = [first.path().to_owned(), second.path().to_owned()];
        let expected = [
            ("a".to_owned(), first.path().join(file("a"))),
            ("b".to_owned(), second.path().join(file("b"))),
        ];
        assert_eq!(find(&folders).unwrap(), expected);
        let missing = [first.path().join("missing")];
        assert!(matches!(find(&missing), Err(PluginError::Folder { .. })));
    }

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
