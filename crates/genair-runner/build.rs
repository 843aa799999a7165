//! Tells the program which source it was built from, for the database.

use std::path::Path;
use std::process::Command;

fn main() {
    // Any edit of a crate or plugin can make the tree dirty, any commit or checkout moves the rest.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for path in [
        "crates",
        "plugins",
        ".git/HEAD",
        ".git/index",
        ".git/logs/HEAD",
    ] {
        let path = root.join(path);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let revision = git(&root, &["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let dirty = git(&root, &["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    println!("cargo::rustc-env=GENAIR_CODE_REVISION={revision}");
    println!("cargo::rustc-env=GENAIR_CODE_DIRTY={dirty}");
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    // Without optional locks `status` leaves the index alone, or every build would start anew.
    let output = Command::new("git")
        .arg("--no-optional-locks")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
