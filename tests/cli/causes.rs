//! Errors that name what failed: the path and what was done with it, not something beside it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use genair_test_support::lab::{Lab, tiny_spec};

fn lab() -> Lab {
    let lab = Lab::new();
    let more = "[train.stop]\nmax_epochs = 1\n";
    lab.write("s.toml", tiny_spec("causes", &["sasrec"], more));
    lab
}

#[test]
fn a_database_that_cannot_be_one_is_named_with_the_reason() {
    let lab = lab();
    symlink("nowhere/x.db", lab.path("link.db")).unwrap();
    symlink("nowhere", lab.path("folder")).unwrap();
    std::fs::create_dir(lab.path("there.db")).unwrap();
    for (database, expected) in [
        (
            "y.db/",
            "database y.db/: a name that ends with `/` is a folder's; name a file",
        ),
        ("there.db", "database there.db: this is a folder"),
        (
            "link.db",
            "database link.db: link.db is a link to nowhere/x.db, which is not there",
        ),
        (
            "folder/x.db",
            "database folder/x.db: it cannot be looked at: folder is a link to nowhere, which is not there",
        ),
        (
            "s.toml/x.db",
            "database s.toml/x.db: it cannot be looked at: s.toml is no folder",
        ),
    ] {
        for command in [
            ["sweep", "s.toml"],
            ["results", "list"],
            ["watch", "--once"],
        ] {
            let arguments = command.into_iter().chain(["--db", database]);
            let refused = lab.genair(arguments).expect(2);
            assert!(refused.stderr.contains(expected), "{refused}");
        }
    }
    assert!(
        !lab.path("y.db").exists(),
        "nothing is made of a refused name"
    );
}

#[test]
fn a_folder_of_artefacts_that_cannot_be_made_is_no_fault_of_the_trainer() {
    for place in ["file", "link"] {
        let lab = lab();
        let artefacts = lab.artefacts();
        match place {
            "file" => std::fs::write(&artefacts, "").unwrap(),
            _ => symlink("nowhere", &artefacts).unwrap(),
        }
        let failed = lab.genair(["sweep", "s.toml", "--retry", "none"]).expect(3);
        assert!(!failed.stderr.contains("cannot start"), "{failed}");
        assert!(
            failed.stderr.contains("cannot create the folder"),
            "{failed}"
        );
        let reason = match place {
            "file" => "genair-artefacts is no folder",
            _ => "genair-artefacts is a link to nowhere, which is not there",
        };
        assert!(failed.stderr.contains(reason), "{failed}");
    }
}

#[test]
fn what_may_not_be_looked_at_is_not_missing() {
    let lab = lab();
    lab.write("shut/x.db", "");
    lab.write("shut/trainer", "");
    std::fs::set_permissions(lab.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(lab.path("shut"), PermissionsExt::from_mode(0o700)).unwrap();
    let genair = |arguments: &[&str], variable: (&str, &str)| {
        let output = Command::new("setpriv")
            .args(["--clear-groups", "--reuid", "64118", "--regid", "64118"])
            .arg(lab.program("genair"))
            .args(arguments)
            .current_dir(lab.path(""))
            .env(variable.0, variable.1)
            .output();
        output.map(|output| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code(), said)
        })
    };
    match genair(&["check", "s.toml"], ("GENAIR_CACHE", "cache")) {
        Ok((Some(0), _)) => {}
        other => {
            println!("skipped: another user cannot run genair here: {other:?}");
            return;
        }
    }
    let list = ["results", "list", "--db", "shut/x.db"];
    let plan = ["plan", "s.toml", "--db", "shut/x.db"];
    let sweep = ["sweep", "s.toml", "--db", "shut/x.db"];
    for (arguments, variable, path) in [
        (&list[..], ("GENAIR_CACHE", "cache"), "database shut/x.db"),
        (&plan[..], ("GENAIR_CACHE", "cache"), "database shut/x.db"),
        (&sweep[..], ("GENAIR_CACHE", "cache"), "database shut/x.db"),
        (
            &["plugin", "list"][..],
            ("GENAIR_TRAINER", "shut/trainer"),
            "shut/trainer",
        ),
        (
            &["check", "shut/s.toml"][..],
            ("GENAIR_CACHE", "cache"),
            "shut/s.toml",
        ),
    ] {
        let (code, said) = genair(arguments, variable).unwrap();
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains(path) && said.contains("Permission denied"),
            "{said}"
        );
        assert!(
            !said.contains("no such file") && !said.contains("there is no"),
            "{said}"
        );
    }
}

/// Both streams of a command on one terminal, of any kind and size.
#[test]
fn every_problem_has_a_line_of_its_own_on_a_terminal() {
    let lab = lab();
    let profile = "[profile.p.train]\nthreads = 0\n";
    lab.write(
        "bad.toml",
        format!("[swep]\n[sweep]\nname = \"x\"\nbackbone = \"sasrek\"\n{profile}"),
    );
    let genair = lab.program("genair");
    for (size, kind) in [
        ("rows 24 cols 80", "xterm"),
        ("rows 0 cols 0", "dumb"),
        ("rows 1 cols 1", "xterm"),
    ] {
        let line = format!(
            "stty {size}; exec {} check bad.toml s.toml",
            genair.display()
        );
        let output = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(lab.path(""))
            .env("TERM", kind)
            .output();
        let Ok(output) = output else {
            println!("skipped: there is no `script`");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
        let lines: Vec<&str> = said.lines().collect();
        let starts = [
            "error: bad.toml:1: ",
            "hint: ",
            "error: bad.toml:4: ",
            "hint: ",
            "error: bad.toml:6: ",
            "bad.toml: 2 problems",
            "bad.toml --profile p: 1 problem",
            "s.toml: fine",
        ];
        assert_eq!(lines.len(), starts.len(), "{size}: {said}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{size}: {said}");
            // Nothing else begins within it.
            assert_eq!(
                line.matches("error: ").count(),
                start.matches("error: ").count(),
                "{said}"
            );
        }
    }
}
