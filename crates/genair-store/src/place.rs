//! Where a database is: what keeps a path from being one, in the words of what is really there.

use std::io;
use std::path::{Path, PathBuf};

use crate::StoreErrorKind;

/// Creates a folder and those it is in. Unlike the system, the error says which part of the path is in the way.
///
/// # Errors
/// A file or a link that leads nowhere where a folder should be; whatever else the system refuses.
pub fn create_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path).map_err(|error| match obstacle(path) {
        Some(reason) => io::Error::new(error.kind(), reason),
        None => error,
    })
}

/// What stands where a folder of the path should be.
fn obstacle(path: &Path) -> Option<String> {
    for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
        let Ok(there) = std::fs::symlink_metadata(part) else {
            continue; // Something above it says why.
        };
        if there.is_symlink() && !part.exists() {
            return Some(dangling(part));
        }
        return (!part.is_dir()).then(|| format!("{} is no folder", part.display()));
    }
    None
}

fn dangling(link: &Path) -> String {
    let target = std::fs::read_link(link).unwrap_or_default();
    let (link, target) = (link.display(), target.display());
    format!("{link} is a link to {target}, which is not there")
}

/// SQLite's companion of a database, such as its log (`-wal`).
pub(crate) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut companion = path.as_os_str().to_owned();
    companion.push(suffix);
    companion.into()
}

/// File systems that several machines share, by what `statfs` calls them: see statfs(2) and their own headers.
const NETWORK: [(u64, &str); 14] = [
    (0x6969, "NFS"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x00C3_6400, "CephFS"),
    (0xAAD7_AAEA, "PanFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
    (0x5346_414F, "AFS"),
    (0x517B, "SMB"),
    (0xFE53_4D42, "SMB2"),
    (0xFF53_4D42, "CIFS"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
];

/// The file system of a database, if several machines may share it.
pub(crate) fn network_file_system(path: &Path) -> Option<&'static str> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find(|part| part.exists())?;
    network_name(file_system(there)?)
}

#[cfg(target_os = "linux")]
fn file_system(path: &Path) -> Option<u64> {
    let kind = rustix::fs::statfs(path).ok()?.f_type;
    // Some are negative as the system has them.
    Some(kind as u64 & 0xFFFF_FFFF)
}

/// Elsewhere, nobody knows.
#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Option<u64> {
    None
}

fn network_name(kind: u64) -> Option<&'static str> {
    let found = NETWORK.iter().find(|(own, _)| *own == kind)?;
    Some(found.1)
}

/// What is at a database's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    File,
    Nothing,
}

/// Looks at what is at the path of a database.
pub(crate) fn look(path: &Path) -> Result<Place, StoreErrorKind> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(StoreErrorKind::NamesAFolder);
    }
    let above = || obstacle(path.parent().unwrap_or(path));
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(StoreErrorKind::IsAFolder),
        Ok(_) => Ok(Place::File),
        Err(_) if path.is_symlink() => Err(StoreErrorKind::Dangling {
            reason: dangling(path),
        }),
        Err(source) => match above() {
            None if source.kind() == io::ErrorKind::NotFound => Ok(Place::Nothing),
            reason => Err(StoreErrorKind::Unseen { reason, source }),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn file_systems_of_several_machines_are_known_by_number() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xFF53_4D42), Some("CIFS"));
        let [ext4, tmpfs, overlay] = [0xEF53, 0x0102_1994, 0x794C_7630];
        assert_eq!([ext4, tmpfs, overlay].map(network_name), [None; 3]);
        if cfg!(target_os = "linux") {
            assert!(file_system(Path::new("/")).is_some());
        }
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        symlink("nowhere", at("link")).unwrap();
        for (path, expected) in [
            ("file/a/b", "file is no folder"),
            ("file", "file is no folder"),
            ("link", "link is a link to nowhere, which is not there"),
            ("link/a", "link is a link to nowhere, which is not there"),
        ] {
            let said = create_folder(&at(path)).unwrap_err().to_string();
            assert!(said.ends_with(expected), "{path}: {said}");
        }
        create_folder(&at("new/er")).unwrap();
        let kind = |path: &str| look(&at(path));
        assert!(matches!(kind("new"), Err(StoreErrorKind::IsAFolder)));
        assert!(matches!(kind("x.db/"), Err(StoreErrorKind::NamesAFolder)));
        assert!(matches!(
            kind("link/x.db"),
            Err(StoreErrorKind::Unseen { .. })
        ));
        assert!(matches!(kind("link"), Err(StoreErrorKind::Dangling { .. })));
        assert!(matches!(
            kind("file/x.db"),
            Err(StoreErrorKind::Unseen { .. })
        ));
        assert!(matches!(kind("x.db"), Ok(Place::Nothing)));
        assert!(matches!(kind("file"), Ok(Place::File)));
    }
}
