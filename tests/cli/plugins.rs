//! A plugin that misbehaves costs its own run and nothing else.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::Value;

/// A lab with the plugin that fails on demand, and a spec that asks for some of its faults.
fn lab(faults: &[&str]) -> Lab {
    let lab = Lab::new();
    lab.install_plugin("libgenair_misbehaving.so", "misbehaving");
    let settings =
        format!("[backbone.misbehaving]\nfault = {faults:?}\n[train.stop]\nmax_epochs = 2\n");
    lab.write(
        "s.toml",
        tiny_spec("faults", &["misbehaving", "sasrec"], &settings),
    );
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
    let outcome = lab
        .genair(["sweep", "s.toml", "-j", "2", "--plugin-dir", "plugins"])
        .expect(3);
    let sql = "SELECT variant || char(10) || '    ' || failure_kind || ' while ' || failure_phase
                   || char(10) || '    ' || failure_message
               FROM runs JOIN sweep_runs USING (run_id) WHERE state = 'failed' ORDER BY run_id";
    insta::assert_snapshot!(lab.lines(sql), @r"
    fault=panic-in-build
        plugin-failed while building
        plugin `misbehaving` panicked in `create`: as asked, while building
    fault=panic-in-training
        plugin-failed while training
        plugin `misbehaving` panicked in `encode`: as asked, while training
    fault=panic-in-prediction
        plugin-failed while validating
        plugin `misbehaving` panicked in `encode`: as asked, while predicting
    fault=error
        plugin-failed while training
        plugin `misbehaving` returned an error in `encode`: the batch does not fit the model: as asked
    fault=bad-parameter-shape
        plugin-failed while building
        plugin `misbehaving` returned an error in `create`: the host did not create the tensor `bad`: the shape [-3, 8] has no elements
    fault=duplicate-parameter
        plugin-failed while building
        plugin `misbehaving` returned an error in `create`: the host did not create the tensor `weight`: there is a tensor of this name already
    fault=nan
        non-finite while training
        the sum of the backbone's states became NaN in epoch 1, step 1
    fault=nan-in-prediction
        non-finite while validating
        user 1: the score of item 6 is NaN
    fault=wrong-width
        plugin-failed while training
        plugin `misbehaving` returned states of shape [400, 7] and type Float, expected shape [400, 8] and type Float
    fault=wrong-count
        plugin-failed while training
        plugin `misbehaving` returned an error in `encode`: the batch does not fit the model: 400 states were wanted, `encode` returned the shape [399, 8]
    fault=wrong-kind
        plugin-failed while training
        plugin `misbehaving` returned states of shape [400, 8] and type Int64, expected shape [400, 8] and type Float
    fault=abort
        worker-died while training
        the worker was ended by SIGABRT without a result; it said nothing
    ");
    assert_eq!(lab.rows(sql).len(), faults.len(), "{outcome}");
    assert_eq!(
        lab.lines("SELECT backbone FROM runs WHERE state = 'finished'"),
        "sasrec"
    );
    assert_eq!(lab.lines("PRAGMA integrity_check"), "ok");
    let told = outcome.stderr.matches("error: run ").count();
    assert_eq!(told, faults.len(), "{outcome}");
}

#[test]
fn a_plugin_without_a_fault_is_as_good_as_any() {
    let lab = lab(&["none"]);
    lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins"])
        .expect(0);
    assert_eq!(lab.lines("SELECT DISTINCT state FROM runs"), "finished");
}

#[test]
fn files_that_are_no_plugins_are_listed_with_their_reason() {
    let lab = Lab::new();
    for name in [
        "wrong_abi",
        "wrong_libtorch",
        "no_handshake",
        "aborts_on_load",
    ] {
        lab.install_plugin(format!("examples/lib{name}.so"), name);
    }
    let sasrec = lab.install_plugin("libgenair_backbone_sasrec.so", "renamed");
    let bytes = std::fs::read(sasrec).unwrap();
    lab.write(
        "plugins/libgenair_backbone_truncated.so",
        &bytes[..bytes.len() / 2],
    );
    lab.write(
        "plugins/libgenair_backbone_scribble.so",
        b"this is no library\n".repeat(1000),
    );
    lab.write("plugins/libgenair_backbone_empty.so", b"");
    let listed = lab
        .genair([
            "plugin",
            "list",
            "--plugin-dir",
            "plugins",
            "--format",
            "json",
        ])
        .expect(0);
    let reports = listed.json();
    let reports = reports.as_array().unwrap();
    let (broken, usable): (Vec<&Value>, Vec<&Value>) = reports
        .iter()
        .partition(|report| report["error"].is_string());
    assert!(usable.len() >= 4, "the good ones are still there: {listed}");
    let mut reasons = String::new();
    for report in broken {
        let (name, reason) = (
            report["name"].as_str().unwrap(),
            report["error"].as_str().unwrap(),
        );
        if name == "truncated" {
            // Where the cut falls decides whether the linker notices or dies.
            assert!(
                reason.contains("does not load") || reason.contains("opening it ends the process"),
                "{reason}"
            );
        } else {
            reasons += &format!("{name}: {reason}\n");
        }
    }
    insta::assert_snapshot!(reasons.replace(&*lab.path("plugins").to_string_lossy(), "[plugins]"), @r"
    aborts_on_load: opening it ends the process: `genair-trainer plugins` was ended by SIGABRT
    empty: plugin [plugins]/libgenair_backbone_empty.so: it does not load: [plugins]/libgenair_backbone_empty.so: file too short; build it again with `just build`, or remove it
    no_handshake: plugin [plugins]/libgenair_backbone_no_handshake.so: it exports no GENAIR_BACKBONE_HANDSHAKE, so it is no backbone plugin
    renamed: the file is named after `renamed`, but the backbone inside is `sasrec`; rename the file
    scribble: plugin [plugins]/libgenair_backbone_scribble.so: it does not load: [plugins]/libgenair_backbone_scribble.so: invalid ELF header; build it again with `just build`, or remove it
    wrong_abi: plugin [plugins]/libgenair_backbone_wrong_abi.so: it speaks plugin ABI 2 (104 bytes), this trainer speaks 1 (104 bytes); build it against this version's genair-plugin-sdk
    wrong_libtorch: plugin [plugins]/libgenair_backbone_wrong_libtorch.so: it was built against libtorch 1.0.0, this process has loaded 2.13.0; build it again against libtorch 2.13.0
    ");

    // A spec that names one is refused before anything is recorded; the others still train.
    for name in ["wrong_abi", "truncated", "empty", "aborts_on_load"] {
        lab.write(
            "s.toml",
            tiny_spec(
                "broken",
                &["sasrec", name],
                "[train.stop]\nmax_epochs = 1\n",
            ),
        );
        let refused = lab
            .genair(["sweep", "s.toml", "--plugin-dir", "plugins"])
            .expect(2);
        assert!(
            refused.stderr.contains(&format!("plugin `{name}` ("))
                && refused.stderr.contains("cannot be used: "),
            "{refused}"
        );
        assert!(!lab.path("genair.db").exists(), "{refused}");
    }
    let set = "sweep.backbone=\"sasrec\"";
    lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins", "--set", set])
        .expect(0);
}

#[test]
fn a_plugin_that_changes_between_plan_and_start_is_another_run() {
    let lab = lab(&["none"]);
    let only = [
        "--plugin-dir",
        "plugins",
        "--set",
        "sweep.backbone=\"misbehaving\"",
    ];
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
