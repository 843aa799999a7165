//! The dependency arrows of ARCHITECTURE.md, as tests: what `cargo metadata` says must fit the tables below.
//!
//! A failure names the edge and the reason. A new crate or a new arrow is a decision, taken here first.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// Each crate of ours and the crates of ours it may use, apart from dev-dependencies.
const ARROWS: &[(&str, &[&str])] = &[
    ("genair-abi", &[]),
    (
        "genair-archetype",
        &[
            "genair-data",
            "genair-fetch",
            "genair-files",
            "genair-process",
            "genair-protocol",
        ],
    ),
    (
        "genair-calibration",
        &["genair-data", "genair-files", "genair-protocol"],
    ),
    (
        "genair-cli",
        &[
            "genair-archetype",
            "genair-data",
            "genair-eval",
            "genair-fetch",
            "genair-files",
            "genair-process",
            "genair-protocol",
            "genair-runner",
            "genair-spec",
            "genair-store",
            "workspace-hack",
        ],
    ),
    (
        "genair-conformance",
        &[
            "genair-abi",
            "genair-data",
            "genair-process",
            "genair-protocol",
            "genair-trainer",
        ],
    ),
    (
        "genair-data",
        &["genair-files", "genair-process", "genair-protocol"],
    ),
    (
        "genair-encoder",
        &["genair-files", "genair-process", "genair-protocol"],
    ),
    ("genair-eval", &["genair-protocol"]),
    ("genair-fetch", &["genair-files", "genair-process"]),
    ("genair-files", &[]),
    ("genair-llama", &["genair-process", "genair-protocol"]),
    ("genair-plugin-sdk", &["genair-abi"]),
    ("genair-process", &[]),
    ("genair-protocol", &["genair-abi"]),
    (
        "genair-report",
        &[
            "genair-eval",
            "genair-files",
            "genair-process",
            "genair-protocol",
            "genair-store",
            "genair-toml",
        ],
    ),
    (
        "genair-runner",
        &[
            "genair-archetype",
            "genair-calibration",
            "genair-data",
            "genair-fetch",
            "genair-files",
            "genair-process",
            "genair-protocol",
            "genair-spec",
            "genair-store",
        ],
    ),
    (
        "genair-spec",
        &[
            "genair-archetype",
            "genair-files",
            "genair-process",
            "genair-protocol",
            "genair-toml",
        ],
    ),
    ("genair-store", &["genair-files", "genair-protocol"]),
    ("genair-test-support", &["genair-protocol", "genair-store"]),
    ("genair-toml", &["genair-protocol"]),
    (
        "genair-trainer",
        &[
            "genair-abi",
            "genair-calibration",
            "genair-data",
            "genair-eval",
            "genair-files",
            "genair-process",
            "genair-protocol",
        ],
    ),
    ("genair-system-tests", &[]),
    ("workspace-hack", &[]),
    (
        "genair-backbone-misbehaving",
        &["genair-abi", "genair-plugin-sdk"],
    ),
];

/// What every other crate in `plugins/` may use, so that a new backbone needs no line here.
const PLUGIN_ARROWS: &[&str] = &["genair-plugin-sdk"];

/// Libraries that only the crates named may depend on, in any kind of dependency, and why.
const OWNERS: &[(&str, &[&str], &str)] = &[
    (
        "sqlx",
        &["genair-store"],
        "the database has one owner; ask genair-store for a query",
    ),
    (
        "libloading",
        &["genair-trainer", "genair-test-support"],
        "plugins are loaded in worker processes only",
    ),
    (
        "clap",
        &[
            "genair-cli",
            "genair-conformance",
            "genair-encoder",
            "genair-llama",
            "genair-report",
            "genair-trainer",
        ],
        "only a binary reads arguments",
    ),
];

/// Crates that must never link libtorch, not even through another crate.
const TENSOR_FREE: &[&str] = &[
    "genair-abi",
    "genair-archetype",
    "genair-calibration",
    "genair-cli",
    "genair-data",
    "genair-eval",
    "genair-fetch",
    "genair-llama",
    "genair-process",
    "genair-protocol",
    "genair-report",
    "genair-runner",
    "genair-spec",
    "genair-store",
    "genair-toml",
];
const TENSOR_LIBRARIES: &[&str] = &["tch", "torch-sys"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// What the lock file resolves to on this platform; other platforms' crates need not be here.
fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--locked", "--filter-platform=host-tuple"].map(String::from))
        .exec()
        .unwrap()
}

fn manifest(path: impl AsRef<Path>) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// Says why the crate `from`, whose folder is `folder`, must not use the crate of ours `to`.
fn arrow_violation(from: &str, folder: &str, to: &str) -> Option<String> {
    let row = ARROWS
        .iter()
        .find(|(name, _)| *name == from)
        .map(|(_, allowed)| *allowed);
    let Some(allowed) = row.or((folder == "plugins").then_some(PLUGIN_ARROWS)) else {
        return Some(format!(
            "{from} is not in ARROWS: decide there what it may use"
        ));
    };
    let list = if allowed.is_empty() {
        "no crate of ours".to_owned()
    } else {
        allowed.join(", ")
    };
    (!allowed.contains(&to)).then(|| format!("{from} -> {to} is forbidden: {from} may use {list}"))
}

/// Says why the crate `from` must not name the library `to`.
fn owner_violation(from: &str, to: &str) -> Option<String> {
    let (_, owners, reason) = OWNERS.iter().find(|(library, ..)| *library == to)?;
    (!owners.contains(&from)).then(|| format!("{from} -> {to} is forbidden: {reason}"))
}

/// The folder, `crates` or `plugins`, that a package of ours lies in.
fn folder(package: &Package) -> &str {
    let group = package
        .manifest_path
        .parent()
        .and_then(|package| package.parent());
    group
        .and_then(|group| group.file_name())
        .unwrap_or_default()
}

/// The shortest chain of normal and build dependencies from `from` to one of `targets`, as names.
fn chain(metadata: &Metadata, from: &PackageId, targets: &[&str]) -> Option<Vec<String>> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let nodes: HashMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut seen = HashSet::from([from]);
    let mut queue = VecDeque::from([(from, Vec::new())]);
    while let Some((id, mut path)) = queue.pop_front() {
        let name = metadata[id].name.to_string();
        let is_target = targets.contains(&name.as_str());
        path.push(name);
        if is_target {
            return Some(path);
        }
        for dependency in &nodes[id].deps {
            let is_linked = dependency
                .dep_kinds
                .iter()
                .any(|info| info.kind != DependencyKind::Development);
            if is_linked && seen.insert(&dependency.pkg) {
                queue.push_back((&dependency.pkg, path.clone()));
            }
        }
    }
    None
}

/// The profiles of a manifest or a cargo configuration that abort on panic.
fn aborting_profiles(table: &toml::Table) -> Vec<String> {
    let profiles = table.get("profile").and_then(toml::Value::as_table);
    let aborts =
        |profile: &toml::Value| profile.get("panic").and_then(toml::Value::as_str) == Some("abort");
    profiles
        .into_iter()
        .flatten()
        .filter(|(_, profile)| aborts(profile))
        .map(|(name, _)| name.clone())
        .collect()
}

/// What a member's manifest writes out where it should inherit from the workspace.
fn written_out(manifest: &toml::Table) -> Vec<&'static str> {
    let inherits = |value: Option<&toml::Value>| {
        let workspace = value.and_then(|value| value.get("workspace"));
        workspace.and_then(toml::Value::as_bool) == Some(true)
    };
    let package = manifest.get("package");
    let mut keys = vec!["version", "edition", "rust-version", "license"];
    keys.retain(|key| !inherits(package.and_then(|package| package.get(key))));
    if !inherits(manifest.get("lints")) {
        keys.push("lints");
    }
    keys
}

#[test]
fn crates_use_each_other_only_along_the_arrows() {
    let metadata = metadata();
    let ours = metadata.workspace_packages();
    let mut violations = Vec::new();
    for package in &ours {
        for dependency in &package.dependencies {
            let is_ours = ours.iter().any(|other| other.name == dependency.name);
            if is_ours && dependency.kind != DependencyKind::Development {
                violations.extend(arrow_violation(
                    &package.name,
                    folder(package),
                    &dependency.name,
                ));
            }
        }
    }
    assert_none(&violations);
}

#[test]
fn each_dangerous_library_stays_with_its_owners() {
    let metadata = metadata();
    let mut violations = Vec::new();
    for package in metadata.workspace_packages() {
        for dependency in &package.dependencies {
            violations.extend(owner_violation(&package.name, &dependency.name));
        }
    }
    assert_none(&violations);
}

#[test]
fn the_orchestrator_links_no_tensor_library() {
    let metadata = metadata();
    let mut violations = Vec::new();
    for name in TENSOR_FREE {
        let package = metadata
            .workspace_packages()
            .into_iter()
            .find(|package| package.name == *name);
        let package = package
            .unwrap_or_else(|| panic!("TENSOR_FREE names {name}, which is no crate of ours"));
        if let Some(path) = chain(&metadata, &package.id, TENSOR_LIBRARIES) {
            violations.push(format!(
                "{} is forbidden: {name} must start without libtorch",
                path.join(" -> ")
            ));
        }
    }
    assert_none(&violations);
}

/// What starts a process or a thread, by its own name.
const STARTS: &[&str] = &[
    "Command::new(",
    "thread::spawn(",
    "scope.spawn(",
    "use std::thread::spawn",
];

/// Files that may: genair-process itself; tests' support; an `exec`, which starts nothing new.
const STARTERS: &[&str] = &[
    "crates/genair-process/",
    "crates/genair-test-support/",
    "crates/genair-llama/src/main.rs",
];

/// Says which lines of a source file, up to its tests, start something by themselves.
fn own_starts(text: &str) -> Vec<usize> {
    let program = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = program.lines().zip(1..);
    lines
        .filter(|(line, _)| STARTS.iter().any(|start| line.contains(start)))
        .map(|(_, number)| number)
        .collect()
}

/// The source files of a package, without those of tests.
fn sources(package: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    add_sources(&package.join("src"), &mut found);
    assert!(!found.is_empty(), "no source in {}", package.display());
    found
}

fn add_sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_sources(&path, found);
        } else if path.extension() == Some("rs".as_ref()) && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn children_and_threads_are_started_in_one_place() {
    let root = root();
    let mut violations = Vec::new();
    for package in fs::read_dir(root.join("crates")).unwrap() {
        for file in sources(&package.unwrap().path()) {
            let name = file.strip_prefix(&root).unwrap().to_string_lossy();
            if STARTERS.iter().any(|starter| name.starts_with(starter)) {
                continue;
            }
            for line in own_starts(&fs::read_to_string(&file).unwrap()) {
                violations.push(format!(
                    "{name}:{line}: start it with genair-process, which keeps keys from it and fails without a panic"
                ));
            }
        }
    }
    assert_none(&violations);
    assert_eq!(
        own_starts("a\nstd::thread::spawn(work);\n#[cfg(test)]\nCommand::new(x)"),
        [2]
    );
}

/// How statements begin, or go on.
const SQL: &[&str] = &["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM"];

/// The one place for statements, and tests' support.
const WITH_SQL: &[&str] = &["crates/genair-store/", "crates/genair-test-support/"];

/// Says which lines of a source file, up to its tests, hold SQL; comments may speak of it.
fn own_sql(text: &str) -> Vec<usize> {
    let program = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = program.lines().zip(1..);
    let code = lines.filter(|(line, _)| !line.trim_start().starts_with("//"));
    code.filter(|(line, _)| SQL.iter().any(|words| line.contains(words)))
        .map(|(_, number)| number)
        .collect()
}

#[test]
fn statements_are_in_one_place() {
    let root = root();
    let mut violations = Vec::new();
    let folders = ["crates", "plugins"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
    for package in folders.into_iter().flatten() {
        for file in sources(&package.unwrap().path()) {
            let name = file.strip_prefix(&root).unwrap().to_string_lossy();
            if WITH_SQL.iter().any(|place| name.starts_with(place)) {
                continue;
            }
            for line in own_sql(&fs::read_to_string(&file).unwrap()) {
                violations.push(format!(
                    "{name}:{line}: SQL belongs to genair-store, which gives rows as values"
                ));
            }
        }
    }
    assert_none(&violations);
    let text = "// SELECT 1\nquery(\"SELECT 1\")\n/// UPDATE it\n\"DELETE FROM runs\"\n#[cfg(test)]\n\"SELECT 2\"";
    assert_eq!(own_sql(text), [2, 4]);
}

#[test]
fn no_profile_aborts_on_panic() {
    let mut violations = Vec::new();
    for file in ["Cargo.toml", ".cargo/config.toml"] {
        for profile in aborting_profiles(&manifest(root().join(file))) {
            violations.push(format!(
                "{file}: [profile.{profile}] panic = \"abort\" would let a plugin's panic end the worker without an error"
            ));
        }
    }
    assert_none(&violations);
}

#[test]
fn every_crate_inherits_lints_and_package_facts() {
    let metadata = metadata();
    let mut violations = Vec::new();
    for package in metadata.workspace_packages() {
        for key in written_out(&manifest(&package.manifest_path)) {
            violations.push(format!(
                "{}: `{key}` must be inherited: {key}.workspace = true",
                package.manifest_path
            ));
        }
    }
    assert_none(&violations);
}

/// What cargo would compile of other people's packages: name and version, kind, features.
fn units(arguments: &[&str]) -> HashSet<(String, String, Vec<String>)> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).arg("build").args(arguments);
    cargo.args([
        "--release",
        "--offline",
        "--unit-graph",
        "-Zunstable-options",
    ]);
    // The graph is of nightly's cargo alone, for all that it says of this one.
    let output = cargo.env("RUSTC_BOOTSTRAP", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let graph: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let units = graph["units"].as_array().unwrap().iter().filter(|unit| {
        let foreign = unit["pkg_id"].as_str().unwrap().starts_with("registry");
        foreign && unit["mode"] == "build"
    });
    units
        .map(|unit| {
            let (_, package) = unit["pkg_id"].as_str().unwrap().split_once('#').unwrap();
            let features = unit["features"].as_array().unwrap().iter();
            let features = features.map(|feature| feature.as_str().unwrap().to_owned());
            let kind = unit["target"]["kind"][0].to_string();
            (package.to_owned(), kind, features.collect())
        })
        .collect()
}

/// What `just build` compiles serves all other recipes: they ask for the same features of it.
#[test]
fn no_recipe_compiles_a_dependency_again() {
    let built = units(&[]);
    assert!(built.len() > 100, "{}", built.len());
    let llama = &["--workspace", "--features=genair-llama/llama-cpp"];
    for recipe in [
        &["--workspace"][..],
        &["--workspace", "--all-targets"],
        llama,
    ] {
        let others = units(recipe);
        let again: Vec<String> = built
            .difference(&others)
            .map(|(package, kind, features)| {
                let others = others.iter().filter(|own| own.0 == *package && own.1 == *kind);
                let wanted: Vec<_> = others.map(|own| &own.2).collect();
                format!("{package}: `just build` has {features:?}, {recipe:?} has {wanted:?}; add what differs to workspace-hack")
            })
            .collect();
        assert_none(&again);
    }
}

/// The rules themselves: each says no to an edge that breaks it.
#[test]
fn the_rules_refuse_what_they_are_for() {
    let refused = [
        arrow_violation("genair-protocol", "crates", "genair-store"),
        arrow_violation("genair-cli", "crates", "genair-trainer"),
        arrow_violation("genair-runner", "crates", "genair-test-support"),
        arrow_violation("genair-backbone-new", "plugins", "genair-abi"),
        arrow_violation("genair-new", "crates", "genair-data"),
        owner_violation("genair-runner", "sqlx"),
    ];
    assert!(refused.iter().all(Option::is_some), "{refused:?}");
    let allowed = [
        arrow_violation("genair-backbone-new", "plugins", "genair-plugin-sdk"),
        owner_violation("genair-runner", "serde"),
    ];
    assert!(allowed.iter().all(Option::is_none), "{allowed:?}");

    let metadata = metadata();
    let trainer = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == "genair-trainer");
    let path = chain(&metadata, &trainer.unwrap().id, TENSOR_LIBRARIES).unwrap();
    assert_eq!(path.first().map(String::as_str), Some("genair-trainer"));

    let aborting = "[profile.release]\npanic = \"abort\"\n[profile.dev]\npanic = \"unwind\"\n";
    assert_eq!(aborting_profiles(&aborting.parse().unwrap()), ["release"]);
    let member = "[package]\nversion = \"1.0.0\"\nedition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n";
    assert_eq!(written_out(&member.parse().unwrap()), ["version", "lints"]);
}
