//! Tells the program which source it was built from, for the database: the commit, and how the tree
//! differed from it.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Most bytes of a difference that are kept. A change of the program is far below that.
const LARGEST: usize = 1 << 20;

/// A new file larger than this is named, but not kept.
const LARGEST_FILE: u64 = 256 << 10;

fn main() {
    // Any edit of a crate or plugin can make the tree dirty, any commit or checkout moves the rest.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for path in [
        "crates",
        "plugins",
        "Cargo.toml",
        "Cargo.lock",
        ".git/HEAD",
        ".git/index",
        ".git/logs/HEAD",
    ] {
        let path = root.join(path);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let text = |arguments: &[&str]| git(&root, arguments).map(|text| text.trim().to_owned());
    let revision = text(&["rev-parse", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let dirty = text(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    println!("cargo::rustc-env=GENAIR_CODE_REVISION={revision}");
    println!("cargo::rustc-env=GENAIR_CODE_DIRTY={dirty}");
    let difference = if dirty {
        difference(&root)
    } else {
        String::new()
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "how cargo tells a build script where to write"
    )]
    let folder = std::env::var_os("OUT_DIR").map(PathBuf::from);
    let file = folder.unwrap_or_default().join("code.diff");
    if let Err(error) = std::fs::write(&file, difference) {
        println!("cargo::error=cannot write {}: {error}", file.display());
    }
}

/// `git diff HEAD`, and the files git does not know yet as if it did.
fn difference(root: &Path) -> String {
    let mut text = git(root, &["diff", "--no-color", "--no-ext-diff", "HEAD"]).unwrap_or_default();
    let new = git(root, &["ls-files", "--others", "--exclude-standard", "-z"]).unwrap_or_default();
    for name in new.split('\0').filter(|name| !name.is_empty()) {
        let size = std::fs::metadata(root.join(name)).map_or(0, |file| file.len());
        if size > LARGEST_FILE {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "new file {name}: {size} bytes, not kept");
            continue;
        }
        let arguments = [
            "diff",
            "--no-color",
            "--no-ext-diff",
            "--no-index",
            "--",
            "/dev/null",
            name,
        ];
        // It ends with 1 where there is a difference, which is always.
        text += &run(root, &arguments)
            .map(|output| lossy(output.stdout))
            .unwrap_or_default();
    }
    if text.len() > LARGEST {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let (whole, hash) = (text.len(), hasher.finish());
        text.truncate(text.floor_char_boundary(LARGEST));
        let _ = write!(
            text,
            "\n[cut here: {whole} bytes in all, hash {hash:016x}]\n"
        );
    }
    text
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = run(root, arguments)?;
    output.status.success().then(|| lossy(output.stdout))
}

fn run(root: &Path, arguments: &[&str]) -> Option<std::process::Output> {
    // Without optional locks `status` leaves the index alone, or every build would start anew.
    Command::new("git")
        .arg("--no-optional-locks")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .ok()
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
