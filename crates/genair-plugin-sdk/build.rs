//! Records what a plugin is compiled against, for its handshake, and sets the tests' rpath.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts through the environment"
)]

use std::path::Path;
use std::process::Command;

fn main() {
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys tells where libtorch is");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");

    let header = Path::new(&lib).join("../include/torch/headeronly/version.h");
    println!("cargo:rerun-if-changed={}", header.display());
    let text = std::fs::read_to_string(&header)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", header.display()));
    let part = |name: &str| {
        text.lines()
            .find_map(|line| {
                line.strip_prefix("#define ")?
                    .strip_prefix(name)?
                    .trim()
                    .parse::<u32>()
                    .ok()
            })
            .unwrap_or_else(|| panic!("{} does not define {name}", header.display()))
    };
    println!(
        "cargo:rustc-env=GENAIR_BUILT_LIBTORCH={}.{}.{}",
        part("TORCH_VERSION_MAJOR"),
        part("TORCH_VERSION_MINOR"),
        part("TORCH_VERSION_PATCH")
    );

    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo:rustc-env=GENAIR_BUILT_RUSTC={version}");
}
