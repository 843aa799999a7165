//! A file appears whole or not at all, whatever dies meanwhile: this process or the machine.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// How the name of a file ends that was being written when its process died. Nobody reads such a file.
pub const PARTIAL: &str = ".partial";

/// Files of a folder that were being written when a process died, unless one still writes them; none where the folder
/// cannot be read.
pub fn partials(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().ends_with(PARTIAL))
}

/// Writes `bytes` to `path`, and creates its folder. What was there before is replaced at once.
///
/// # Errors
/// The folder or the file cannot be written. What was at `path` is still there then, and nothing is left over.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    write_with(path, |file| file.write_all(bytes.as_ref()))
}

/// As [`write()`], with the bytes that `fill` writes.
///
/// # Errors
/// What `fill` returns, and those of [`write()`].
pub fn write_with<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), E>,
) -> Result<(), E> {
    let mut partial = Partial::beside(path)?;
    let mut file = BufWriter::with_capacity(1 << 18, partial.file());
    fill(&mut file)?;
    file.flush()?;
    drop(file);
    Ok(partial.keep()?)
}

/// A file that is being written, under a name of its own beside the one it will have. It is removed unless
/// it is kept.
#[derive(Debug)]
pub struct Partial {
    file: NamedTempFile,
    path: PathBuf,
}

impl Partial {
    /// Starts a file that will be `path`, and creates its folder.
    ///
    /// # Errors
    /// The folder or the file cannot be created.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        std::fs::create_dir_all(folder)?;
        let mut prefix = OsString::from(".");
        prefix.push(path.file_name().unwrap_or_default());
        prefix.push(".");
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(PARTIAL)
            // As readable as any other file; temporary files are their owner's alone by default.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// The file, to write to.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Its present name, for a library or program that opens it by that.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives the file its name, once its bytes are on the disk.
    ///
    /// # Errors
    /// The disk is full, or the name is that of a folder.
    pub fn keep(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path)?;
        // The new name is on the disk once its folder is.
        File::open(folder_of(&self.path))?.sync_all()
    }
}

/// The folder that a file is in; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|own| !own.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/data");
        write(&path, "old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(path.parent().unwrap()), ["data"]);
        write(&path, "new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_partial_file_is_named_as_one_and_goes_unless_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let partial = Partial::beside(&path).unwrap();
        let name = names(folder.path()).pop().unwrap();
        let name = name.to_str().unwrap();
        assert!(
            name.starts_with(".data.") && name.ends_with(PARTIAL),
            "{name}"
        );
        drop(partial);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_folder_in_the_way_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        assert!(write(&folder.path().join("data"), "x").is_err());
        assert_eq!(names(folder.path()), ["data"]);
    }
}
