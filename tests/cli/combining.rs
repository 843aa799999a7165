//! Runs that combine the scores of finished runs, through the real binary.

use genair_test_support::lab::{Lab, tiny_spec};

const COMBINED: &str = r#"
[representation.noise]
kind = "random"
width = 8
[ensemble.both]
of = ["id", "noise"]
weights = [0.0, 0.5, 1.0]
[rerank.near]
of = "id"
vectors = "noise"
gamma = [0.0, 1.0]
[train]
batch_size = 16
stop = { max_epochs = 2, patience = 2 }
"#;

fn lab(more: &str) -> Lab {
    let lab = Lab::new();
    let spec = tiny_spec("combined", &["sasrec"], &format!("{COMBINED}{more}"));
    let spec = spec.replacen(
        "[sweep]\n",
        "[sweep]\nrepresentation = [\"id\", \"noise\"]\n",
        1,
    );
    lab.write("s.toml", spec);
    lab
}

const VALUES: &str =
    "SELECT split, protocol, cohort, metric, k, value FROM metrics JOIN runs USING (run_id)
    WHERE epoch IS NULL AND metric <> 'intra-list-similarity' AND representation =";

#[test]
fn a_combination_is_a_row_like_any_run() {
    let lab = lab("");
    lab.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    assert_eq!(
        lab.lines("SELECT representation || ' ' || state FROM runs ORDER BY run_id"),
        "id finished\nnoise finished\nboth finished\nnear finished"
    );
    let order = "ORDER BY 1, 2, 3, 4, 5";
    let values = |name: &str| lab.rows(&format!("{VALUES} '{name}' {order}"));
    assert_eq!(values("both").len(), values("id").len());
    // The number that validation chose is the best of its candidates.
    for (name, parameter) in [("both", "weight"), ("near", "gamma")] {
        let of =
            format!("FROM diagnostics JOIN runs USING (run_id) WHERE representation = '{name}'");
        let chosen = lab.rows(&format!("SELECT value {of} AND name = '{parameter}'"));
        let valid = lab.rows(&format!(
            "SELECT name {of} AND name LIKE 'valid %' ORDER BY value DESC, name LIMIT 1"
        ));
        let chosen = chosen[0][0].as_f64().unwrap();
        assert_eq!(
            valid[0][0],
            format!("valid ndcg@10 at {parameter} {chosen}")
        );
    }
    let spec = "SELECT DISTINCT json_array_length(spec, '$.combination.members') FROM runs WHERE representation = 'both'";
    assert_eq!(lab.rows(spec), [[2]]);
    let ranks = "SELECT count(DISTINCT n) FROM (SELECT count(*) AS n FROM ranks GROUP BY run_id)";
    assert_eq!(lab.rows(ranks), [[1]], "as many ranks as its members");

    // The same numbers once more.
    let (both, near) = (values("both"), values("near"));
    lab.genair(["results", "delete", "3", "4", "--yes"])
        .expect(0);
    lab.genair(["sweep", "s.toml"]).expect(0);
    assert_eq!((values("both"), values("near")), (both, near));
    lab.genair(["results", "reproduce", "3"]).expect(2);
}

#[test]
fn the_ends_of_the_candidates_are_the_members() {
    let lab = lab("");
    let ends = ["ensemble.both.weights=[1.0]", "rerank.near.gamma=[0.0]"];
    lab.genair(["sweep", "s.toml", "--set", ends[0], "--set", ends[1]])
        .expect(0);
    let values = |name: &str| lab.rows(&format!("{VALUES} '{name}' ORDER BY 1, 2, 3, 4, 5"));
    assert_eq!(values("near"), values("id"));
    assert_eq!(
        values("both"),
        values("noise"),
        "a normalisation keeps the order"
    );
}

#[test]
fn a_member_without_weights_fails_its_combinations_alone() {
    let lab = lab("");
    lab.genair(["sweep", "s.toml"]).expect(0);
    let path = lab.lines("SELECT path FROM artefacts WHERE run_id = 2");
    lab.genair(["results", "delete", "3", "4", "--yes"])
        .expect(0);
    std::fs::remove_file(&path).unwrap();
    let failed = lab.genair(["sweep", "s.toml"]).expect(3);
    assert!(failed.stderr.contains("its member"), "{failed}");
    let states = "SELECT representation || ' ' || state FROM runs ORDER BY representation";
    assert_eq!(
        lab.lines(states),
        "both failed\nid finished\nnear finished\nnoise finished"
    );
}

#[test]
fn mistakes_of_a_combination_are_named() {
    let lab =
        lab("[ensemble.id]\nof = [\"id\", \"txt\"]\nweights = [2.0]\n[prune]\nkind = \"asha\"\n");
    let checked = lab.genair(["check", "s.toml"]).expect(2);
    for part in [
        "`ensemble.id.weights` has 2; a candidate must be from 0 to 1",
        "`ensemble.id`: a representation is called `id`, too",
        "`ensemble.id` names `txt`, which `sweep.representation` does not",
        "`rerank.near` combines finished runs, but `[prune]` stops runs",
    ] {
        assert!(checked.stderr.contains(part), "{part}: {checked}");
    }
}
