//! What `genair plugin new` writes, built outside the workspace, is a plugin that passes the
//! conformance suite and that the trainer opens. Builds libtorch's bindings once more, so it is not
//! among the default tests: `just test-template`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the plugin that is made.
const NAME: &str = "made_from_template";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// A program of this workspace.
fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let mut built = tests.ancestors().map(|folder| folder.join(name));
    built
        .find(|path| path.is_file())
        .expect("run `just build` first")
}

/// Runs cargo in the plugin's folder, as its author would.
fn cargo(folder: &Path, target: &Path, arguments: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(folder)
        .args(arguments)
        .env("CARGO_TARGET_DIR", target);
    // The template says itself where libtorch is, where `just setup` put it there.
    if root().join(".libtorch/torch").exists() {
        cargo.env_remove("LIBTORCH");
    }
    let output = cargo.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{arguments:?}\n{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn a_plugin_from_the_template_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join(NAME);
    let made = Command::new(program("genair"))
        .args(["plugin", "new", NAME, "--folder"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(made.success());
    // The versions of this workspace, which are on this machine.
    fs::copy(root().join("Cargo.lock"), plugin.join("Cargo.lock")).unwrap();

    // Kept between runs, and apart from this workspace's plugins.
    let target = root().join("target/plugin-template");
    cargo(&plugin, &target, &["fmt", "--check"]);
    cargo(&plugin, &target, &["build", "--release", "--offline"]);
    cargo(&plugin, &target, &["test", "--release", "--offline"]);

    let file = format!(
        "libgenair_backbone_{NAME}.{}",
        std::env::consts::DLL_EXTENSION
    );
    let report = Command::new(program("genair-trainer"))
        .arg("plugin")
        .arg(target.join("release").join(file))
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["error"], serde_json::Value::Null, "{report:#}");
    assert_eq!(report["descriptor"]["name"], NAME);
}
