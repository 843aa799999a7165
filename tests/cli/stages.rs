//! What runs share and cannot be made costs the runs that need it, and no others.

use genair_store::Store;
use genair_test_support::lab::{Lab, Signal, send, tiny_spec};
use serde_json::json;

/// Archetypes by the fake engine, with these settings of their prompt.
fn spec(prompt: &str) -> String {
    let more = format!(
        r#"
[archetype]
engine = "fake"
generation = {{ max_new_tokens = 8 }}
prompt = {{ {prompt} }}

[representation.genair]
kind = "archetype"
components = 4

[train.stop]
max_epochs = 1
"#
    );
    tiny_spec("shared", &["popularity", "sasrec"], &more).replace(
        "backbone =",
        "representation = [\"id\", \"genair\"]\nbackbone =",
    )
}

/// No item has such a field, so there is nothing to ask about.
const BAD: &str = r#"fields = ["colour"]"#;
const GOOD: &str = r#"preset = "continuation""#;

fn states(lab: &Lab) -> String {
    lab.lines(
        "SELECT backbone || ' ' || representation || ' ' || state || coalesce(' ' || failure_kind || ' ' || failure_phase, '')
         FROM runs JOIN sweep_runs USING (run_id) WHERE NOT superseded ORDER BY 1",
    )
}

#[test]
fn a_stage_that_fails_costs_the_runs_that_need_it() {
    let lab = Lab::new().with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1");
    lab.write("s.toml", spec(BAD));
    let swept = lab.genair(["sweep", "s.toml", "-j", "1"]).expect(3);
    assert_eq!(
        states(&lab),
        "popularity none finished\nsasrec genair failed stage-failed preparing\nsasrec id finished"
    );
    let reason = lab.rows("SELECT failure_message, failure_hint FROM runs WHERE state = 'failed'");
    let message = reason[0][0].as_str().unwrap();
    assert!(
        message.contains("the archetypes of `tiny` could not be made"),
        "{message}"
    );
    assert!(
        message.contains("no item has the field `colour` that `prompt.fields` names (they have"),
        "{message}"
    );
    assert!(reason[0][1].as_str().unwrap().contains("the same command"));
    assert!(swept.stderr.contains("failed while preparing"), "{swept}");

    // The same again is tried again, and no worker is started for it.
    lab.genair(["sweep", "s.toml", "-j", "1"]).expect(3);
    let attempts = "SELECT attempts FROM runs WHERE state = 'failed'";
    assert_eq!(lab.rows(attempts), [[json!(2)]]);
    lab.genair(["sweep", "s.toml", "-j", "1", "--retry", "none"])
        .expect(3);
    assert_eq!(lab.rows(attempts), [[json!(2)]]);

    // Another prompt is another run, in the place of the failed one.
    lab.write("s.toml", spec(GOOD));
    lab.genair(["sweep", "s.toml", "-j", "1"]).expect(0);
    assert_eq!(
        states(&lab),
        "popularity none finished\nsasrec genair finished\nsasrec id finished"
    );
}

#[test]
fn vectors_that_cannot_be_read_cost_the_runs_that_need_them() {
    let lab = Lab::new();
    let spec = tiny_spec(
        "planned",
        &["sasrec"],
        "[representation.mine]\nkind = \"vectors\"\npath = \"mine.npy\"\n[train.stop]\nmax_epochs = 1\n",
    );
    let spec = spec.replace(
        "backbone =",
        "representation = [\"id\", \"mine\"]\nbackbone =",
    );
    lab.write("s.toml", &spec);
    lab.write("mine.npy", "not an array");
    lab.genair(["sweep", "s.toml"]).expect(3);
    assert_eq!(
        states(&lab),
        "sasrec id finished\nsasrec mine failed stage-failed preparing"
    );
}

/// What an archetype is made of cannot be told before anything is made: the engine is for tests.
#[test]
fn what_cannot_be_planned_costs_the_runs_that_need_it() {
    let lab = Lab::new();
    lab.write("s.toml", spec(GOOD));
    lab.genair(["plan", "s.toml"]).expect(2);
    lab.genair(["sweep", "s.toml"]).expect(3);
    assert_eq!(
        states(&lab),
        "popularity none finished\nsasrec genair failed stage-failed preparing\nsasrec id finished"
    );
    assert!(
        lab.lines("SELECT failure_message FROM runs WHERE state = 'failed'")
            .contains("GENAIR_ALLOW_FAKE_ENGINE")
    );
    // With leave, it is made, and its run takes the place of the one that failed.
    let lab = lab.with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1");
    lab.genair(["sweep", "s.toml"]).expect(0);
    assert_eq!(
        states(&lab),
        "popularity none finished\nsasrec genair finished\nsasrec id finished"
    );
}

/// Of two datasets, one cannot be read.
#[test]
fn data_that_cannot_be_read_cost_their_own_runs() {
    let lab = Lab::new();
    let spec = tiny_spec("two", &["popularity"], "[dataset.mine]\npath = \"data\"\n");
    lab.write("s.toml", spec);
    lab.write("data/items.jsonl", "{\"item_id\": \"a\"}\n");
    lab.genair(["plan", "s.toml"]).expect(2);
    let swept = lab.genair(["sweep", "s.toml"]).expect(3);
    assert!(swept.stderr.contains("interactions"), "{swept}");
    let states = "SELECT dataset || ' ' || state FROM runs ORDER BY 1";
    assert_eq!(lab.lines(states), "mine failed\ntiny finished");
    // It is there now: nothing has to be said about it.
    let users = (0..6).map(|user| format!("u{user}\ta\t1\nu{user}\tb\t2\nu{user}\tc\t3\n"));
    let rows: String = users.collect();
    lab.write(
        "data/interactions.tsv",
        format!("user_id\titem_id\ttimestamp\n{rows}"),
    );
    lab.write(
        "data/items.jsonl",
        "{\"item_id\": \"a\"}\n{\"item_id\": \"b\"}\n{\"item_id\": \"c\"}\n",
    );
    lab.genair(["sweep", "s.toml"]).expect(0);
    let finished = "SELECT count(*) FROM runs JOIN sweep_runs USING (run_id) WHERE NOT superseded AND state = 'finished'";
    assert_eq!(lab.rows(finished), [[json!(2)]]);
}

/// Archetypes are written while the runs that need none train; asked to stop, both do.
#[test]
fn runs_that_need_no_archetypes_finish_while_they_are_written() {
    for jobs in ["1", "2"] {
        let lab = Lab::new()
            .with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1")
            .with_variable("GENAIR_FAKE_ENGINE_WAITS_FOR", "go");
        lab.write("s.toml", spec(GOOD));
        let sweep = ["sweep", "s.toml", "-j", jobs];
        let mut sweeping = lab.start(sweep);
        let others = "popularity none finished\nsasrec genair pending\nsasrec id finished";
        lab.wait_for("the database", |lab| {
            Store::open_read_only(lab.path("genair.db")).ok().map(drop)
        });
        lab.wait_for("the other runs", |lab| {
            (states(lab) == others).then_some(())
        });
        lab.wait_for("the archetypes", |lab| {
            (lab.count("SELECT * FROM stages WHERE done = 0") == 1).then_some(())
        });
        assert!(sweeping.is_running(), "the archetypes are at work");
        let watched = lab.genair(["watch", "--once", "--format", "json"]).json();
        assert_eq!(watched["stages"][0]["stage"], "archetypes");
        assert_eq!(watched["stages"][0]["dataset"], "tiny");
        let watched = lab.genair(["watch", "--once"]).stdout;
        assert!(
            watched.contains("making archetypes of tiny: 0 of "),
            "{watched}"
        );
        send(Signal::INT, sweeping.id());
        sweeping.outcome().expect(130);
        assert_eq!(states(&lab), others);
        assert!(lab.rows("SELECT * FROM stages").is_empty());

        lab.write("go", "");
        lab.genair(sweep).expect(0);
        assert_eq!(states(&lab), others.replace("pending", "finished"));
    }
}

/// The files of a dataset are parsed once, whatever is made of them.
#[test]
fn the_files_of_a_dataset_are_read_once() {
    let lab = Lab::new().with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1");
    lab.write("made.toml", tiny_spec("made", &["popularity"], ""));
    lab.genair([
        "data",
        "export",
        "made.toml",
        "--dataset",
        "tiny",
        "--out",
        "data",
    ])
    .expect(0);
    let made = "kind = \"synthetic\"\nusers = 80\ncatalogue = 60\naudiences = 3\nmean_length = 8\n";
    let spec = spec(GOOD)
        .replace(made, "path = \"data\"\n")
        .replace("components = 4", "components = 4\ncalibration.alpha = 0.01");
    lab.write("s.toml", spec);
    let swept = lab.genair(["-vv", "sweep", "s.toml", "-j", "2"]).expect(0);
    assert_eq!(
        swept.stderr.matches("reading a dataset's files").count(),
        1,
        "{swept}"
    );
    assert_eq!(
        states(&lab),
        "popularity none finished\nsasrec genair finished\nsasrec id finished"
    );
}

/// A spec's needs are found by the sweep itself, whichever layer names them.
#[test]
fn what_a_spec_lacks_is_fetched_or_built_by_the_sweep() {
    let lab = Lab::new()
        .with_variable("HTTPS_PROXY", "http://127.0.0.1:9")
        .with_variable("PIP_NO_INDEX", "1")
        .with_variable("GENAIR_BUILD_LLAMA", "false");
    let more =
        "[train.stop]\nmax_epochs = 1\n[profile.real.dataset.tiny]\npath = \"data/ml-100k\"\n";
    let needs = tiny_spec("needs", &["popularity"], more);
    lab.write(
        "s.toml",
        needs.replace(
            "users = 80\ncatalogue = 60\naudiences = 3\nmean_length = 8\n",
            "",
        ),
    );
    // Where it is not named, nothing is fetched.
    lab.genair(["sweep", "s.toml"]).expect(0);
    let real = ["--profile", "real", "--set", "dataset.tiny.kind='table'"];
    let swept = lab
        .genair(["sweep", "s.toml"].into_iter().chain(real))
        .expect(2);
    assert!(
        swept
            .stderr
            .contains("data/ml-100k is not there: fetching ml-100k"),
        "{swept}"
    );
    assert!(swept.stderr.contains("files.grouplens.org"), "{swept}");

    // The worker that is missing is built by the stage that needs it; its runs alone fail with it.
    let engine = spec(GOOD).replace("\"fake\"", "\"llama-cpp\"");
    lab.write("e.toml", engine);
    if lab.program("genair-llama").is_file() {
        return; // There is nothing to build.
    }
    let swept = lab.genair(["sweep", "e.toml"]).expect(3);
    assert!(
        swept.stderr.contains("genair-llama is not built yet"),
        "{swept}"
    );
    let of_sweep = "SELECT representation || ' ' || state || coalesce(': ' || failure_message, '')
         FROM runs JOIN sweep_runs USING (run_id) JOIN sweeps USING (sweep_id)
         WHERE name = 'shared' AND backbone = 'sasrec' ORDER BY 1";
    let runs = lab.lines(of_sweep);
    assert!(runs.contains("id finished"), "{runs}");
    assert!(
        runs.contains("`false`, which builds genair-llama, ended with"),
        "{runs}"
    );
}
