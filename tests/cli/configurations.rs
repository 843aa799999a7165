//! A mean is over runs that differ in nothing but the seed, whatever happened to the spec, its data or a plugin.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::{Value, json};

/// Popularity by three seeds: a run takes a moment, and depends on its data and settings.
fn lab() -> Lab {
    let lab = Lab::new();
    let spec = tiny_spec("s", &["popularity"], "").replace("seeds = [1]", "seeds = [1, 2, 3]");
    lab.write("s.toml", spec);
    lab
}

/// The same on a file, `data/interactions.tsv`, which may change.
fn lab_with_a_file() -> Lab {
    let lab = lab();
    let export = ["data", "export", "s.toml", "--dataset", "tiny", "--out"];
    lab.genair(export.into_iter().chain(["data"])).expect(0);
    lab.write("s.toml", on_a_file("s", "data"));
    lab
}

fn on_a_file(name: &str, folder: &str) -> String {
    format!(
        "[sweep]\nname = \"{name}\"\nseeds = [1, 2, 3]\nbackbone = \"popularity\"\n\n\
         [dataset.tiny]\nkind = \"table\"\npath = \"{folder}\"\nmax_len = 12\n"
    )
}

/// Another user with some of the items there are.
fn changed(lab: &Lab, from: &str, to: &str) {
    let text = std::fs::read_to_string(lab.path(format!("{from}/interactions.tsv"))).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let user = lines[1].split('\t').next().unwrap().to_owned();
    let more: Vec<String> = lines[1..]
        .iter()
        .filter(|line| line.starts_with(&format!("{user}\t")))
        .map(|line| line.replacen(&user, "somebody-else", 1))
        .collect();
    lines.extend(more);
    lab.write(format!("{to}/interactions.tsv"), lines.join("\n") + "\n");
    let items = std::fs::read(lab.path(format!("{from}/items.jsonl"))).unwrap();
    lab.write(format!("{to}/items.jsonl"), items);
}

/// Sweeps and says what was told on standard error about runs of an earlier spec.
fn sweep(lab: &Lab, arguments: &[&str]) -> String {
    let words = ["sweep", "s.toml"].into_iter();
    let outcome = lab.genair(words.chain(arguments.iter().copied())).expect(0);
    let told = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("left out"));
    told.map(str::trim).collect::<Vec<_>>().join("\n")
}

/// Variants and seeds of the leaderboard, which the views must say as well.
#[track_caller]
fn standings(lab: &Lab) -> Vec<(String, u64)> {
    let board = lab.genair(["results", "leaderboard", "--format", "json"]);
    let board = board.expect(0).json();
    let rows = board.as_array().unwrap();
    let mut standings: Vec<(String, u64)> = rows
        .iter()
        .map(|row| {
            let variant = row["variant"].as_str().unwrap().to_owned();
            (variant, row["seeds"].as_u64().unwrap())
        })
        .collect();
    standings.sort();
    let one_result =
        "split = 'test' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10";
    for sql in [
        format!("SELECT variant, n FROM leaderboard_mean WHERE {one_result}"),
        format!(
            "SELECT variant, count(*) FROM leaderboard WHERE {one_result} GROUP BY sweep, variant, configuration"
        ),
        "SELECT variant, runs FROM configurations".to_owned(),
    ] {
        let mut of_view: Vec<(String, u64)> = lab
            .rows(&sql)
            .into_iter()
            .map(|row| {
                (
                    row[0].as_str().unwrap().to_owned(),
                    row[1].as_u64().unwrap(),
                )
            })
            .collect();
        of_view.sort();
        assert_eq!(of_view, standings, "{sql}");
    }
    standings
}

fn of(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter()
        .map(|(variant, seeds)| ((*variant).to_owned(), *seeds))
        .collect()
}

#[test]
fn seeds_of_one_configuration_are_one_row() {
    let lab = lab();
    assert_eq!(sweep(&lab, &[]), "");
    assert_eq!(standings(&lab), of(&[("", 3)]));
    // More seeds join it, and nothing is left out.
    assert_eq!(sweep(&lab, &["--set", "sweep.seeds=[1, 2, 3, 4]"]), "");
    assert_eq!(standings(&lab), of(&[("", 4)]));
}

#[test]
fn a_changed_value_leaves_no_seed_of_the_old_one_in_the_mean() {
    let lab = lab();
    sweep(&lab, &[]);
    let narrow = [
        "--set",
        "dataset.tiny.max_len=9",
        "--set",
        "sweep.seeds=[1, 2]",
    ];
    assert_eq!(
        sweep(&lab, &narrow),
        "WARN 3 runs of an earlier spec of sweep `s` are left out of it now; `genair results list --superseded` shows them"
    );
    assert_eq!(standings(&lab), of(&[("", 2)]));
    let all = lab.genair(["results", "list", "--superseded", "--format", "json"]);
    let all = all.expect(0).json();
    let superseded = |run: &&Value| run["superseded"] == json!(true);
    assert_eq!(all.as_array().unwrap().iter().filter(superseded).count(), 3);
    // The old text brings its runs back; none is trained again.
    assert!(sweep(&lab, &[]).contains("2 runs of an earlier spec"));
    assert_eq!(standings(&lab), of(&[("", 3)]));
    assert_eq!(lab.rows("SELECT max(attempts) FROM runs"), [[json!(1)]]);
}

#[test]
fn fewer_seeds_leave_the_mean() {
    let lab = lab();
    sweep(&lab, &[]);
    assert!(sweep(&lab, &["--set", "sweep.seeds=[2]"]).contains("2 runs of an earlier spec"));
    assert_eq!(standings(&lab), of(&[("", 1)]));
}

#[test]
fn a_value_dropped_from_an_axis_leaves_the_leaderboard() {
    let lab = lab();
    sweep(&lab, &["--set", "dataset.tiny.max_len=[9, 12]"]);
    assert_eq!(standings(&lab), of(&[("max_len=12", 3), ("max_len=9", 3)]));
    assert!(sweep(&lab, &["--set", "dataset.tiny.max_len=[9]"]).contains("3 runs of an earlier"));
    assert_eq!(standings(&lab).len(), 1);
    let rows = lab
        .genair(["results", "list", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(rows.as_array().unwrap().len(), 3);
}

#[test]
fn changed_data_are_another_configuration() {
    let lab = lab_with_a_file();
    sweep(&lab, &[]);
    assert_eq!(standings(&lab), of(&[("", 3)]));
    changed(&lab, "data", "data");
    assert!(sweep(&lab, &["--set", "sweep.seeds=[1]"]).contains("3 runs of an earlier"));
    assert_eq!(standings(&lab), of(&[("", 1)]));
}

#[test]
fn two_specs_of_one_name_share_no_mean() {
    let lab = lab_with_a_file();
    changed(&lab, "data", "elsewhere");
    sweep(&lab, &[]);
    lab.write("other.toml", on_a_file("s", "elsewhere"));
    let seed = ["--set", "sweep.seeds=[4]"];
    let other = lab
        .genair(["sweep", "other.toml"].into_iter().chain(seed))
        .expect(0);
    assert!(
        other.stderr.contains("3 runs of an earlier spec"),
        "{other}"
    );
    assert_eq!(standings(&lab), of(&[("", 1)]));
}

#[test]
fn a_changed_plugin_is_another_configuration() {
    let lab = Lab::new();
    let plugin = lab.install_plugin("libgenair_backbone_gru4rec.so", "gru4rec");
    let spec = tiny_spec("s", &["gru4rec"], "[train.stop]\nmax_epochs = 1\n");
    lab.write("s.toml", spec.replace("seeds = [1]", "seeds = [1, 2]"));
    let plugins = ["--plugin-dir", "plugins"];
    sweep(&lab, &plugins);
    // One more byte behind the last section: the same code, another file.
    let mut bytes = std::fs::read(&plugin).unwrap();
    bytes.push(0);
    std::fs::remove_file(&plugin).unwrap();
    lab.write(&plugin, &bytes);
    let one = ["--plugin-dir", "plugins", "--set", "sweep.seeds=[1]"];
    assert!(sweep(&lab, &one).contains("2 runs of an earlier"));
    assert_eq!(standings(&lab), of(&[("", 1)]));
}

/// Two machines that swept one name with other settings and other seeds: the merge keeps both apart.
#[test]
fn merged_configurations_of_one_label_are_told_apart() {
    let (ours, theirs) = (lab(), lab());
    sweep(&ours, &[]);
    let other = [
        "--set",
        "dataset.tiny.max_len=9",
        "--set",
        "sweep.seeds=[4, 5]",
    ];
    sweep(&theirs, &other);
    let database = theirs.path("genair.db");
    ours.genair(["results", "merge", database.to_str().unwrap()])
        .expect(0);
    insta::assert_snapshot!(ours.genair(["results", "leaderboard", "--metric", "ndcg", "--protocol", "full"]), @r#"
    exit: 0
    --- stdout
    dataset  backbone    representation  variant             seeds          NDCG@10
    tiny     popularity  none            dataset.max_len=12      3  [....] ± [....]
    tiny     popularity  none            dataset.max_len=9       2  [....] ± [....]

    Test split, all users; among all items.
    "#);
    let board = ours
        .genair(["results", "leaderboard", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(board[0]["differences"], "dataset.max_len=12");
    assert_ne!(board[0]["configuration"], board[1]["configuration"]);
    // A table that cannot show both refuses to make one number of them.
    ours.write(
        "r.toml",
        "[report]\nsweeps = [\"s\"]\n[table.main]\npreset = \"main\"\n",
    );
    let refused = ours.genair(["report", "r.toml"]).expect(2);
    assert!(refused.stderr.contains("differ in max-len"), "{refused}");
}

/// What waits of an earlier spec is nowhere: it would wait for ever.
#[test]
fn runs_that_a_spec_no_longer_describes_are_no_ghosts() {
    let lab = Lab::new();
    let spec = tiny_spec("s", &["sasrec"], "[train]\nstop.max_epochs = 2\n");
    lab.write("s.toml", spec);
    let lr = |values: &str| format!("train.optimizer.lr={values}");
    // The first fails, so that the second is never begun.
    let all = lr("[1e30, 1e-3]");
    lab.genair(["sweep", "s.toml", "-j", "1", "--fail-fast", "--set", &all])
        .expect(3);
    assert_eq!(
        lab.rows("SELECT count(*) FROM runs WHERE state = 'pending'"),
        [[json!(1)]]
    );
    let narrowed = lr("[1e30]");
    lab.genair(["sweep", "s.toml", "--set", &narrowed])
        .expect(3);

    let list = lab
        .genair(["results", "list", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    let watched = lab
        .genair(["watch", "--once", "--format", "json"])
        .expect(0)
        .json();
    let sweep = &watched["sweeps"][0];
    assert_eq!(
        (&sweep["pending"], &sweep["failed"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(watched["runs"].as_array().unwrap().len(), 1);
    let page = lab.genair(["results", "html", "--out", "page.html", "--format", "json"]);
    assert_eq!(page.expect(0).json()["runs"], json!(1));
}
