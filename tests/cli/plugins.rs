//! A plugin that misbehaves costs its own run and nothing else.

use genair_test_support::lab::{Lab, tiny_spec};

/// A lab with the plugin that fails on demand, and a spec that asks for some of its faults.
fn lab(faults: &[&str]) -> Lab {
    let lab = Lab::new();
    lab.install_plugin("libgenair_misbehaving.so", "misbehaving");
    let settings = format!("[backbone.misbehaving]\nfault = {faults:?}\n[train.stop]\nmax_epochs = 2\n");
    lab.write("s.toml", tiny_spec("faults", &["misbehaving", "sasrec"], &settings));
    lab
}

#[test]
fn each_fault_fails_its_run_alone_and_says_what_it_was() {
    let faults = [
        "panic-in-build",
        "panic-in-training",
        "panic-in-prediction",
        "error",
        "bad-parameter-shape",
        "duplicate-parameter",
        "nan",
        "nan-in-prediction",
        "wrong-width",
        "wrong-count",
        "wrong-kind",
        "abort",
    ];
    let lab = lab(&faults);
    let outcome = lab.genair(["sweep", "s.toml", "-j", "2", "--plugin-dir", "plugins"]).expect(3);
    let sql = "SELECT variant || char(10) || '    ' || failure_kind || ' while ' || failure_phase
                   || char(10) || '    ' || failure_message
               FROM runs JOIN sweep_runs USING (run_id) WHERE state = 'failed' ORDER BY run_id";
    insta::assert_snapshot!(lab.lines(sql), @"");
    assert_eq!(lab.rows(sql).len(), faults.len(), "{outcome}");
    assert_eq!(lab.lines("SELECT backbone FROM runs WHERE state = 'finished'"), "sasrec");
    assert_eq!(lab.lines("PRAGMA integrity_check"), "ok");
    let told = outcome.stderr.matches("error: run ").count();
    assert_eq!(told, faults.len(), "{outcome}");
}

#[test]
fn a_plugin_without_a_fault_is_as_good_as_any() {
    let lab = lab(&["none"]);
    lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins"]).expect(0);
    assert_eq!(lab.lines("SELECT DISTINCT state FROM runs"), "finished");
}

#[test]
fn files_that_are_no_plugins_are_listed_with_their_reason() {
    let lab = Lab::new();
    for name in ["wrong_abi", "wrong_libtorch", "no_handshake", "aborts_on_load"] {
        lab.install_plugin(format!("examples/lib{name}.so"), name);
    }
    let sasrec = lab.install_plugin("libgenair_backbone_sasrec.so", "renamed");
    let bytes = std::fs::read(sasrec).unwrap();
    lab.write("plugins/libgenair_backbone_truncated.so", &bytes[..bytes.len() / 2]);
    lab.write("plugins/libgenair_backbone_scribble.so", b"this is no library\n".repeat(1000));
    lab.write("plugins/libgenair_backbone_empty.so", b"");
    let listed = lab.genair(["plugin", "list", "--plugin-dir", "plugins", "--format", "json"]).expect(0);
    let reports = listed.json();
    let broken: Vec<String> = reports
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|report| Some(format!("{}: {}", report["name"].as_str()?, report["error"].as_str()?)))
        .map(|line| line.replace(&*lab.path("plugins").to_string_lossy(), "[plugins]"))
        .collect();
    insta::assert_snapshot!(broken.join("\n"), @"");
    let usable = reports.as_array().unwrap().iter().filter(|report| report["error"].is_null());
    assert!(usable.count() >= 4, "the good ones are still there: {listed}");

    // A spec that names one is refused before anything is recorded; the others still train.
    for name in ["wrong_abi", "truncated", "empty", "aborts_on_load"] {
        lab.write("s.toml", tiny_spec("broken", &["sasrec", name], "[train.stop]\nmax_epochs = 1\n"));
        let refused = lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins"]).expect(2);
        assert!(refused.stderr.contains(&format!("plugin `{name}` (")) && refused.stderr.contains("cannot be used: "), "{refused}");
        assert!(!lab.path("genair.db").exists(), "{refused}");
    }
    let set = "sweep.backbone=\"sasrec\"";
    lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins", "--set", set]).expect(0);
}

#[test]
fn a_plugin_that_changes_between_plan_and_start_is_another_run() {
    let lab = lab(&["none"]);
    let only = ["--plugin-dir", "plugins", "--set", "sweep.backbone=\"misbehaving\""];
    let sweep = || lab.genair(["sweep", "s.toml"].into_iter().chain(only));
    sweep().expect(0);
    // One more byte behind the last section: the same code, another file.
    let path = lab.path("plugins/libgenair_backbone_misbehaving.so");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.push(0);
    // A new file, as a build makes it; the old one may still be mapped.
    std::fs::remove_file(&path).unwrap();
    lab.write(&path, &bytes);
    sweep().expect(0);
    let runs = lab.lines("SELECT state || ' superseded ' || superseded FROM runs JOIN sweep_runs USING (run_id) ORDER BY run_id");
    assert_eq!(runs, "finished superseded 1\nfinished superseded 0");
}
