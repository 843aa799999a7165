//! Plugins that misbehave while they load: each costs itself alone, in little time, and nothing that it does or
//! prints is taken for anything else.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use genair_test_support::lab::{Lab, Signal, send, tiny_spec};
use serde_json::Value;

/// Longer than a few plugins are waited for, and shorter than a worker that gives no answer at all is.
const LIMIT: Duration = Duration::from_secs(55);

const HEAD: &str = "#define _GNU_SOURCE\n\
    #include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <signal.h>\n\
    extern char **environ;\n";

/// Builds a plugin whose constructor does this, with the command line at hand. `behind`: a library that has the
/// handshake, which is then found through it.
fn compile(lab: &Lab, name: &str, constructor: &str, behind: Option<&str>) {
    let source = lab.path(format!("{name}.c"));
    let file = lab.path(format!("plugins/libgenair_backbone_{name}.so"));
    lab.write(&file, []);
    let head =
        format!("{HEAD}__attribute__((constructor)) static void init(int argc, char **argv)");
    lab.write(&source, format!("{head} {{ {constructor} }}\n"));
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&file)
        .arg(&source);
    if let Some(library) = behind {
        let library = lab.program(library);
        compiler.arg("-Wl,--no-as-needed").arg(&library);
        compiler.arg(format!(
            "-Wl,-rpath,{}",
            library.parent().unwrap().display()
        ));
    }
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A plugin that works but for what its constructor does.
fn compile_usable(lab: &Lab, constructor: &str) {
    compile(
        lab,
        "misbehaving",
        constructor,
        Some("libgenair_misbehaving.so"),
    );
}

fn listed(lab: &Lab) -> Vec<Value> {
    let list = [
        "plugin",
        "list",
        "--plugin-dir",
        "plugins",
        "--format",
        "json",
    ];
    let listed = lab.genair(list).expect(0);
    listed.json().as_array().unwrap().clone()
}

#[test]
fn whatever_a_plugin_does_while_it_loads_costs_itself_alone() {
    let lab = Lab::new();
    let answer = r#"puts("{\"name\":\"x\",\"path\":\"/x\",\"sha256\":\"\",\"error\":null}"); fflush(stdout);"#;
    for (name, constructor) in [
        ("hangs", "for (;;) pause();"),
        ("hangs_too", "for (;;) pause();"),
        ("spins", "for (volatile int x = 0;; x++);"),
        ("exits", "exit(0);"),
        ("exits_7", "_exit(7);"),
        ("answers", answer),
        ("answers_and_exits", &format!("{answer} _exit(0);")),
        ("chatters", "for (;;) puts(\"chatter\");"),
        ("closes", "for (int fd = 0; fd < 256; fd++) close(fd);"),
        ("crashes", "*(volatile int *)0 = 1;"),
        ("forks", "if (!fork()) for (;;) pause();"),
        ("escapes", "if (!fork()) { setsid(); sleep(60); _exit(0); }"),
    ] {
        compile(&lab, name, constructor, None);
    }
    let at = |name: &str| lab.path(format!("plugins/libgenair_backbone_{name}.so"));
    let pipe = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(pipe.success());
    symlink("/dev/zero", at("device")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    let begin = Instant::now();
    let reports = listed(&lab);
    assert!(begin.elapsed() < LIMIT, "{:?}", begin.elapsed());
    let reason = |name: &str| {
        let report = reports.iter().find(|report| report["name"] == name);
        let error = report.and_then(|report| report["error"].as_str());
        error.unwrap_or_else(|| panic!("{name}: {reports:?}"))
    };
    for (name, expected) in [
        ("hangs", "it does not come back while it loads"),
        ("hangs_too", "it does not come back while it loads"),
        ("spins", "it does not come back while it loads"),
        ("chatters", "it does not come back while it loads"),
        ("exits", "opening it ends the process"),
        ("exits_7", "ended with exit code 7"),
        ("answers", "it exports no GENAIR_BACKBONE_HANDSHAKE"),
        ("answers_and_exits", "ended without an answer"),
        ("closes", "opening it ends the process"),
        ("crashes", "was ended by SIGSEGV"),
        ("forks", "it exports no GENAIR_BACKBONE_HANDSHAKE"),
        ("escapes", "it exports no GENAIR_BACKBONE_HANDSHAKE"),
        ("pipe", "it is a named pipe, not a file"),
        ("device", "it leads to a device, not a file"),
        ("dangling", "it is a link that leads nowhere"),
        ("folder", "it is a folder, not a file"),
    ] {
        let found = reason(name);
        assert!(found.contains(expected), "{name}: {found}");
    }
    let usable = reports.iter().filter(|report| report["error"].is_null());
    let usable: Vec<&str> = usable
        .filter_map(|report| report["name"].as_str())
        .collect();
    assert_eq!(usable, ["bert4rec", "caser", "gru4rec", "sasrec"]);

    // The others train with all of these beside them.
    lab.write(
        "s.toml",
        tiny_spec("beside", &["sasrec"], "[train.stop]\nmax_epochs = 1\n"),
    );
    lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins"])
        .expect(0);
    // Only what has left its group may be there still.
    for pid in lab.workers() {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(
            command.is_empty() || command.contains("escapes"),
            "{pid}: {command}"
        );
    }
}

#[test]
fn a_run_whose_plugin_hangs_while_it_loads_fails_in_time_and_says_why() {
    let lab = Lab::new();
    compile_usable(
        &lab,
        "if (argc > 1 && !strcmp(argv[1], \"run\")) for (;;) pause();",
    );
    lab.write("s.toml", tiny_spec("hang", &["misbehaving"], ""));
    let begin = Instant::now();
    lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins"])
        .expect(3);
    assert!(begin.elapsed() < LIMIT, "{:?}", begin.elapsed());
    let failure = lab
        .lines("SELECT failure_kind || ' ' || failure_phase || ' ' || failure_message FROM runs");
    assert!(
        failure.starts_with("plugin-rejected loading-plugin "),
        "{failure}"
    );
    assert!(
        failure.contains("does not come back while it loads"),
        "{failure}"
    );
    assert_eq!(lab.workers(), [0; 0]);
}

#[test]
fn what_a_plugin_prints_is_in_the_log_and_what_it_leaves_behind_holds_nothing_up() {
    let lab = Lab::new();
    compile_usable(
        &lab,
        "puts(\"{\\\"event\\\":\\\"resumed\\\",\\\"epoch\\\":99}\"); puts(\"no event\"); fflush(stdout); \
         if (!fork()) for (;;) pause();",
    );
    let more = "[train.stop]\nmax_epochs = 1\n";
    lab.write("s.toml", tiny_spec("prints", &["misbehaving"], more));
    let begin = Instant::now();
    let swept = lab
        .genair(["sweep", "s.toml", "--plugin-dir", "plugins"])
        .expect(0);
    assert!(begin.elapsed() < LIMIT, "{swept}");
    assert!(!swept.stdout.contains("no event"), "{swept}");
    assert_eq!(lab.lines("SELECT state FROM runs"), "finished");
    let run = lab.lines("SELECT substr(identity, 1, 16) || '/log.' || attempt || '.txt' FROM runs");
    let log = std::fs::read_to_string(lab.artefacts().join(run)).unwrap();
    assert!(
        log.contains("\"epoch\":99") && log.contains("no event"),
        "{log}"
    );
    lab.wait_for("the end of what the plugin left behind", |lab| {
        lab.workers().is_empty().then_some(())
    });
}

#[test]
fn no_look_at_a_plugin_outlives_genair() {
    let lab = Lab::new();
    compile(&lab, "hangs", "for (;;) pause();", None);
    let listing = lab.start(["plugin", "list", "--plugin-dir", "plugins"]);
    let begin = Instant::now();
    // Late enough that libtorch is loaded and the plugin at work.
    let looker = lab.wait_for("a look at the plugin", |lab| {
        let loaded = |pid: &u32| {
            let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
            maps.contains("libgenair_backbone_hangs")
        };
        lab.workers().into_iter().find(loaded)
    });
    send(Signal::KILL, listing.id());
    lab.wait_for("its end", |lab| {
        (!lab.workers().contains(&looker)).then_some(())
    });
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "before its own limit"
    );
}

#[test]
fn no_plugin_sees_the_key_of_a_server() {
    let lab = Lab::new()
        .with_variable("LAB_SECRET", "sk-1234567890")
        .with_variable("OPENAI_API_KEY", "sk-0987654321")
        .with_variable("LAB_HARMLESS", "harmless");
    let note = lab.path("environment").display().to_string();
    compile_usable(
        &lab,
        &format!(
            "FILE *f = fopen(\"{note}\", \"a\"); fprintf(f, \"in %s\\n\", argv[1]); \
             for (char **v = environ; *v; v++) fprintf(f, \"%s\\n\", *v); fclose(f);"
        ),
    );
    let more = "[train.stop]\nmax_epochs = 1\n[representation.written]\nkind = \"archetype\"\n\
        [representation.written.archetype]\nengine = \"openai\"\nstates = \"local\"\n\
        http = { base_url = \"http://localhost:9/v1\", model = \"m\", api_key_env = \"LAB_SECRET\" }\n";
    lab.write("s.toml", tiny_spec("key", &["misbehaving"], more));
    lab.genair(["check", "s.toml", "--plugin-dir", "plugins"])
        .expect(0);
    lab.genair(["sweep", "s.toml", "--plugin-dir", "plugins"])
        .expect(0);
    let seen = std::fs::read_to_string(lab.path("environment")).unwrap();
    for command in [
        "in plugins\n",
        "in capabilities\n",
        "in run\n",
        "LAB_HARMLESS=harmless",
    ] {
        assert!(seen.contains(command), "{command}: {seen}");
    }
    assert!(!seen.contains("sk-"), "{seen}");
}
