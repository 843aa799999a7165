//! Splits other than leave-one-out: by time, and with items that training never sees.

use genair_test_support::lab::{Lab, Outcome, tiny_spec};
use serde_json::Value;

fn lab() -> Lab {
    Lab::new().with_variable("GENAIR_ALLOW_FAKE_ENGINE", "1")
}

const TIME: &str = r#"
[dataset.tiny.split]
kind = "time"
quantile = 0.7
target = ["last", "all"]
[train]
batch_size = 16
stop = { max_epochs = 2, patience = 2 }
"#;

#[test]
fn a_time_split_is_measured_and_told() {
    let lab = lab();
    lab.write("s.toml", tiny_spec("time", &["sasrec", "popularity"], TIME));
    let stats = lab
        .genair(["data", "stats", "s.toml", "--format", "json"])
        .expect(0)
        .json();
    let last = &stats[0]["statistics"];
    let test = &last["test"];
    let number = |value: &Value| value.as_u64().unwrap();
    let (users, targets) = (number(&test["users"]), number(&test["targets"]));
    assert!(users > 20 && users == targets, "{test}");
    let left_out = number(&test["without_target"]) + number(&test["without_input"]);
    assert_eq!(users + left_out, 80, "{test}");
    assert!(last["valid"]["boundary"].as_f64() < test["boundary"].as_f64());

    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    let finished = "SELECT run_id FROM runs WHERE state = 'finished'";
    assert_eq!(lab.count(finished), 4);
    // Another rule for targets is another split: nothing compares the two.
    assert_eq!(lab.count("SELECT DISTINCT sequences_sha256 FROM runs"), 2);
    let measured = "SELECT DISTINCT metrics.users FROM metrics JOIN runs USING (run_id)
        WHERE split = 'test' AND protocol = 'full' AND cohort = 'all' AND epoch IS NULL";
    // With all targets the input ends at the boundary, so that fewer users have one.
    let several_users = number(&stats[1]["statistics"]["test"]["users"]);
    assert_eq!(
        lab.rows(&format!("{measured} ORDER BY 1")),
        [[several_users], [users]]
    );
    let several = "SELECT count(*) FROM ranks JOIN sweep_runs USING (run_id)
        WHERE protocol = 'full' AND axes ->> 'target' = 'all' AND run_id IN
            (SELECT run_id FROM runs WHERE backbone = 'sasrec')";
    let all = stats[1]["statistics"]["test"]["targets"].clone();
    assert_eq!(lab.rows(several), [[all.clone()]]);
    assert!(number(&all) > several_users, "{all}");
    // What has several targets is exported with their numbers.
    lab.genair(["results", "export-ranks", "--out", "ranks.csv"])
        .expect(0);
    let ranks = std::fs::read_to_string(lab.path("ranks.csv")).unwrap();
    assert!(
        ranks
            .lines()
            .next()
            .unwrap()
            .ends_with(",seed,user,user_id,target,rank"),
        "{ranks}"
    );
    lab.genair(["results", "reproduce", "1"]).expect(0);
}

const COLD: &str = r#"
[dataset.tiny.split]
cold_items = { share = 0.2, validation = 0.1 }
[archetype]
engine = "fake"
generation = { max_new_tokens = 4 }
[representation.start]
kind = "archetype"
joint = true
components = 8
whiten = "full"
scale = { std = 0.1 }
adapter.kind = "none"
finetune = true
[representation.fused]
kind = "archetype"
components = 8
fusion = "sum"
[representation.imputed]
kind = "id"
impute = { neighbours = 3, by = "start" }
[ensemble.both]
of = ["imputed", "start"]
[backbone.sasrec]
hidden_size = 8
[train]
loss.kind = "cross-entropy"
batch_size = 16
stop = { max_epochs = 3, patience = 3 }
"#;

#[test]
fn cold_items_are_measured_apart_and_imputed() {
    let lab = lab();
    let spec = tiny_spec("cold", &["sasrec"], COLD).replacen(
        "[sweep]\n",
        "[sweep]\nrepresentation = [\"id\", \"imputed\", \"start\", \"fused\"]\n",
        1,
    );
    lab.write("s.toml", &spec);
    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    assert_eq!(
        lab.count("SELECT run_id FROM runs WHERE state = 'finished'"),
        5
    );
    assert_eq!(
        lab.count("SELECT run_id FROM runs WHERE cold_items > 10 AND cold_items < 30"),
        5
    );
    // The four results: cold among cold, cold among all, warm among all, total.
    let users = |protocol: &str, cohort: &str| {
        let sql = format!(
            "SELECT DISTINCT users FROM metrics WHERE split = 'test' AND epoch IS NULL
               AND protocol = '{protocol}' AND cohort = '{cohort}'"
        );
        let rows = lab.rows(&sql);
        assert_eq!(rows.len(), 1, "{protocol} {cohort}: {rows:?}");
        rows[0][0].as_u64().unwrap()
    };
    let (cold, warm) = (users("full", "cold-item"), users("full", "warm-item"));
    assert_eq!(cold + warm, users("full", "all"));
    assert_eq!(users("cold", "all"), cold);
    let shares =
        "SELECT count(*) FROM diagnostics WHERE name = 'cold_share_10' AND value BETWEEN 0 AND 1";
    assert_eq!(lab.rows(shares), [[5]]);
    // Cold items are few, so a cold target ranks higher among them than among all.
    let lower =
        "SELECT count(*) FROM ranks AS own JOIN ranks AS other USING (run_id, split, user, target)
        WHERE own.protocol = 'cold' AND other.protocol = 'full' AND own.rank > other.rank";
    assert_eq!(lab.rows(lower), [[0]]);
    // Imputation is of the scores alone: ids train the same.
    let losses = "SELECT DISTINCT epoch, loss FROM epochs JOIN runs USING (run_id)
        WHERE representation IN ('id', 'imputed')";
    assert_eq!(lab.count(losses), 3);
    let cold_ranks = "SELECT count(DISTINCT ranks) FROM (
            SELECT group_concat(rank) AS ranks FROM ranks JOIN runs USING (run_id)
            WHERE protocol = 'cold' AND representation IN ('id', 'imputed') GROUP BY run_id)";
    assert_eq!(lab.rows(cold_ranks), [[2]]);
    // What stopped training is a stored result.
    let best = "SELECT max(valid) FROM epochs GROUP BY run_id HAVING max(valid) > 0 ORDER BY 1";
    let stored = "SELECT value FROM metrics JOIN runs USING (run_id) WHERE split = 'valid' AND protocol = 'full'
        AND cohort = 'warm-item' AND metric = 'ndcg' AND k = 10 AND epoch IS NULL AND representation <> 'both'
        AND value > 0 ORDER BY 1";
    assert_eq!(lab.rows(best), lab.rows(stored));
    // The components are fitted to the warm items: with another draw they are others.
    let inputs = "SELECT DISTINCT sha256 FROM run_inputs WHERE kind = 'vectors'";
    let before = lab.count(inputs);
    lab.genair([
        "sweep",
        "s.toml",
        "--set",
        "dataset.tiny.split.cold_items.seed=2",
    ])
    .expect(0);
    assert_eq!(lab.count(inputs), 2 * before);
    let shown = lab.genair(["results", "leaderboard"]).expect(0);
    assert!(shown.stdout.contains("NDCG@10 of cold"), "{shown}");
}

/// Each of `expected` is in what was said on standard error.
fn assert_said(outcome: &Outcome, expected: &[&str]) {
    for expected in expected {
        assert!(
            outcome.stderr.contains(expected),
            "no `{expected}` in {outcome}"
        );
    }
}

fn of_representation(name: &str, of: &str, more: &str) -> String {
    tiny_spec(name, &["sasrec"], more).replacen(
        "[sweep]\n",
        &format!("[sweep]\nrepresentation = \"{of}\"\n"),
        1,
    )
}

#[test]
fn what_a_split_cannot_be_is_told() {
    let lab = lab();
    let misspelt =
        "[dataset.tiny.split]\nkind = \"time\"\nquantile = 0.9\ntarget = \"frist\"\nshare = 0.1\n";
    lab.write("s.toml", tiny_spec("misspelt", &["popularity"], misspelt));
    let expected = [
        "`dataset.tiny.split.target` is \"frist\"",
        "did you mean `first`?",
        "`dataset.tiny.split.share`",
    ];
    assert_said(&lab.genair(["check", "s.toml"]).expect(2), &expected);
    let wrong = r#"
[dataset.tiny.split]
quantile = 1.5
cold_items = { share = 0.7, validation = 0.4, by = "newest", seed = 1 }
"#;
    lab.write("s.toml", tiny_spec("wrong", &["popularity"], wrong));
    let expected = [
        "`dataset.tiny.split.quantile` is 1.5; it must be a finite number above 0, below 1",
        "`dataset.tiny.split.quantile` is for `kind = \"time\"` alone",
        "`dataset.tiny.split.cold_items.validation` makes 1.1 with `share`",
        "`dataset.tiny.split.cold_items.seed` is for `by = \"random\"` alone",
    ];
    let checked = lab.genair(["check", "s.toml"]).expect(2);
    assert_said(&checked, &expected[1..]);
    assert!(
        checked
            .stderr
            .contains("`dataset.tiny.split.quantile` is 1.5"),
        "{checked}"
    );

    let no_vectors =
        "[representation.imputed]\nkind = \"id\"\nimpute = { neighbours = 2, by = \"text\" }\n";
    lab.write("s.toml", of_representation("none", "imputed", no_vectors));
    let expected =
        ["`representation.imputed.impute.by` is \"text\", which the spec does not define"];
    assert_said(&lab.genair(["check", "s.toml"]).expect(2), &expected);
    let without = "[archetype]\nengine = \"fake\"\n[representation.start]\nkind = \"archetype\"\ncomponents = 8\n\
        [representation.imputed]\nkind = \"id\"\nimpute = { neighbours = 2, by = \"start\" }\n";
    lab.write("s.toml", of_representation("without", "imputed", without));
    let expected = ["has no effect on dataset `tiny`, whose split has no cold items"];
    assert_said(&lab.genair(["check", "s.toml"]).expect(2), &expected);

    // Positions within a user's log are no times.
    let rows = "user_id\titem_id\torder\na\tx\t0\na\ty\t1\na\tz\t2\nb\ty\t0\nb\tz\t1\nb\tx\t2\n";
    lab.write("data/interactions.tsv", rows);
    let order = "[sweep]\nname = \"order\"\nbackbone = \"popularity\"\n[dataset.d]\npath = \"data\"\n\
        split = { kind = \"time\", quantile = 0.5 }\n";
    lab.write("order.toml", order);
    let expected = [
        "`split.kind` needs the times of interactions, but the positions in a column `order` order them",
    ];
    assert_said(
        &lab.genair(["data", "stats", "order.toml"]).expect(2),
        &expected,
    );
    lab.write("data/interactions.tsv", rows.replace("order", "timestamp"));
    let late = [
        "data",
        "stats",
        "order.toml",
        "--set",
        "dataset.d.split.date=\"2030-01-01\"",
    ];
    let late = late
        .into_iter()
        .chain(["--set", "dataset.d.split.quantile=0.5"]);
    assert_said(
        &lab.genair(late).expect(2),
        &["is set beside `quantile`; remove one of the two"],
    );
}
