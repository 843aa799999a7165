//! A disk that fills up stops a sweep with the reason; with room, the same command finishes it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use genair_test_support::lab::{Lab, tiny_spec};

use crate::measured::{assert_same, assert_whole};

/// A small disk of its own, as long as it lives.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one of `size` in `folder`.
    ///
    /// # Errors
    /// What mount says: that takes root, and the right to mount, which some containers have not.
    fn mount(folder: &Path, size: &str) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        mount(
            &["-t", "tmpfs", "-o", &format!("size={size}"), "genair-test"],
            folder,
        )?;
        Ok(Self(folder.to_owned()))
    }

    fn grow(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}")], &self.0).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], folder: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(folder).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

fn with_spec(lab: Lab) -> Lab {
    let settings = "[train]\nbatch_size = 16\nstop = { max_epochs = 12, patience = 12 }\n[backbone.sasrec]\nhidden_size = 32\n";
    let spec = tiny_spec("cramped", &["sasrec"], settings);
    let seeds = "seeds = [1, 2, 3]\ncheckpoint_seconds = 0";
    lab.write("s.toml", spec.replace("seeds = [1]", seeds));
    lab
}

#[test]
fn a_full_disk_loses_nothing_and_with_room_the_same_command_finishes() {
    let roomy = with_spec(Lab::new());
    roomy.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    // From too small for the database to too small for the last run's files.
    for size in ["200k", "600k", "1000k"] {
        let lab = with_spec(Lab::new().with_database("disk/genair.db"));
        let disk = match Disk::mount(&lab.path("disk"), size) {
            Ok(disk) => disk,
            Err(reason) => {
                eprintln!("SKIPPED: a small disk cannot be mounted here: {reason}");
                return;
            }
        };
        let full = lab.genair(["sweep", "s.toml", "-j", "2"]).expect(2);
        assert!(full.stderr.contains("the disk is full"), "{size}: {full}");
        assert!(
            full.stderr.contains("run the same command again"),
            "{size}: {full}"
        );
        assert_eq!(lab.workers(), Vec::<u32>::new(), "{size}");
        disk.grow("64m");
        lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
        assert_same(&roomy, &lab);
        assert_whole(&lab);
    }
}

/// The worker's log, its request and its checkpoints, on a disk of their own.
#[test]
fn a_full_disk_of_artefacts_is_told_as_one_and_with_room_the_same_command_finishes() {
    let roomy = with_spec(Lab::new());
    roomy.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    // From too small for a log to too small for the weights of all runs.
    for size in ["4k", "8k", "12k", "64k", "200k"] {
        let lab = with_spec(Lab::new());
        let disk = match Disk::mount(&lab.artefacts(), size) {
            Ok(disk) => disk,
            Err(reason) => {
                eprintln!("SKIPPED: a small disk cannot be mounted here: {reason}");
                return;
            }
        };
        let full = lab.genair(["sweep", "s.toml", "-j", "2"]).expect(2);
        assert!(full.stderr.contains("the disk is full"), "{size}: {full}");
        let failures = "SELECT DISTINCT failure_kind FROM runs WHERE state = 'failed'";
        assert_eq!(lab.lines(failures), "disk-full", "{size}: {full}");
        assert_eq!(lab.workers(), Vec::<u32>::new(), "{size}");
        disk.grow("64m");
        lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
        assert_same(&roomy, &lab);
        assert_whole(&lab);
    }
}

/// A limit on the size of files (`ulimit -f`), by which the system ends who does not expect it.
#[test]
fn a_limit_on_files_is_an_error_and_no_end_without_a_word() {
    let done = with_spec(Lab::new());
    done.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    let kept = std::fs::read(done.path("genair.db")).unwrap();
    for blocks in [1, 8] {
        let lab = Lab::new().with_file_limit(blocks);
        lab.write("genair.db", &kept);
        for arguments in [
            &["results", "sql", "SELECT * FROM metrics"][..],
            &["results", "html", "--out", "page.html"],
            &["export", "csv", "--out", "tables"],
            &["results", "backup", "copy.db"],
        ] {
            let limited = lab.genair(arguments.iter().copied()).expect(2);
            assert!(
                limited.stderr.contains("error: "),
                "{arguments:?}: {limited}"
            );
        }
        assert!(!lab.path("page.html").exists() && !lab.path("copy.db").exists());
    }
    // From too small for the database to too small for a run's files.
    for blocks in [20, 200, 1_500] {
        let lab = with_spec(Lab::new().with_file_limit(blocks));
        let limited = lab.genair(["sweep", "s.toml", "-j", "2"]);
        assert!(matches!(limited.code, Some(0 | 2)), "{blocks}: {limited}");
        assert!(
            limited.code == Some(0) || limited.stderr.contains("error: "),
            "{blocks}: {limited}"
        );
        assert_eq!(lab.workers(), Vec::<u32>::new(), "{blocks}");
    }
}
