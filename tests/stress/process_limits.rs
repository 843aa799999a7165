//! A system that allows few processes: nothing panics or hangs, no run fails of it, and the same command goes on
//! with more of them.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use genair_test_support::lab::{Lab, tiny_spec};

/// A user that nobody else is, so that the limit counts the test's processes alone.
const USER: &str = "64117";

/// `genair` as that user, with so many processes and threads at most.
fn limited(lab: &Lab, processes: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--clear-groups", "--reuid", USER, "--regid", USER])
        .args(["prlimit", &format!("--nproc={processes}")])
        .args(["timeout", "-s", "KILL", "120"])
        .arg(lab.program("genair"))
        .args(arguments)
        .current_dir(lab.path(""))
        .env("GENAIR_DB", "genair.db")
        .env("GENAIR_CACHE", "cache")
        .env("GENAIR_DEVICE", "cpu");
    command
}

#[test]
fn few_processes_cost_time_and_nothing_else() {
    let lab = Lab::new();
    std::fs::set_permissions(lab.path(""), PermissionsExt::from_mode(0o777)).unwrap();
    // An import: association counts are one of what threads are for.
    let more = "[representation.noise]\nkind = \"random\"\nwidth = 8\n\
        calibration = { alpha = 1e-4, gamma = 4.0 }\n[train]\nthreads = 2\n[train.stop]\nmax_epochs = 1\n";
    let spec = tiny_spec("few", &["sasrec"], more).replace(
        "seeds = [1]",
        "seeds = [1, 2]\nrepresentation = [\"id\", \"noise\"]",
    );
    lab.write("s.toml", spec);
    let tried = limited(&lab, 200, &["check", "s.toml"]).output();
    match tried {
        Ok(output) if output.status.success() => {}
        other => {
            // Not root, or a checkout that only its owner may read.
            println!("skipped: another user cannot run genair here: {other:?}");
            return;
        }
    }
    let mut ended = Vec::new();
    for processes in 1..=14 {
        let output = limited(&lab, processes, &["sweep", "s.toml", "-j", "3"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{processes}: {said}");
        let code = output.status.code();
        ended.push(code);
        match code {
            Some(0) => {}
            Some(2) => assert!(said.contains("`ulimit -u`"), "{processes}: {said}"),
            // prlimit or timeout themselves were refused.
            Some(125..=127) if processes < 3 => {}
            other => panic!("{processes}: {other:?}, {said}"),
        }
        if lab.path("genair.db").exists() {
            let failed = "SELECT 1 FROM runs WHERE state NOT IN ('pending', 'finished')";
            assert_eq!(lab.count(failed), 0, "{processes}: {said}");
        }
    }
    assert!(
        ended.contains(&Some(2)) && ended.contains(&Some(0)),
        "{ended:?}"
    );
    let output = limited(&lab, 200, &["sweep", "s.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(lab.count("SELECT 1 FROM runs WHERE state = 'finished'"), 4);
}
