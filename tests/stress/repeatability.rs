//! The same spec, seed, data and plugin give the same bits, whatever else runs on the machine.

use genair_test_support::lab::{Lab, tiny_spec};
use serde_json::Value;

const BACKBONES: [&str; 4] = ["sasrec", "bert4rec", "gru4rec", "caser"];

fn spec() -> String {
    tiny_spec("same", &BACKBONES, "[train.stop]\nmax_epochs = 4\n")
}

/// Everything a sweep measured, and the hashes of what it wrote.
fn numbers(lab: &Lab) -> Vec<Vec<Vec<Value>>> {
    let measured = [
        "SELECT backbone, identity, sequences_sha256, parameters, best_epoch FROM runs ORDER BY backbone",
        "SELECT backbone, epoch, loss, valid, best FROM epochs JOIN runs USING (run_id) ORDER BY backbone, epoch",
        "SELECT backbone, split, protocol, user, rank FROM ranks JOIN runs USING (run_id) ORDER BY 1, 2, 3, 4",
        "SELECT backbone, split, protocol, cohort, metric, k, value FROM leaderboard ORDER BY 1, 2, 3, 4, 5, 6",
        "SELECT backbone, kind, sha256, bytes FROM artefacts JOIN runs USING (run_id) ORDER BY backbone",
    ];
    let restricted = |sql: &str| match sql.split_once(" ORDER BY ") {
        Some((select, order)) => {
            format!(
                "{select} WHERE backbone IN ('sasrec', 'bert4rec', 'gru4rec', 'caser') ORDER BY {order}"
            )
        }
        None => sql.to_owned(),
    };
    measured
        .iter()
        .map(|sql| lab.rows(&restricted(sql)))
        .collect()
}

#[test]
fn a_crowded_machine_changes_no_bit() {
    let alone = Lab::new();
    alone.write("s.toml", spec());
    alone.genair(["sweep", "s.toml", "-j", "1"]).expect(0);

    let crowded = Lab::new();
    let neighbour = Lab::new();
    neighbour.write("n.toml", spec().replace("seeds = [1]", "seeds = [7, 8]"));
    let beside = neighbour.start(["sweep", "n.toml", "-j", "2"]);
    crowded.write("s.toml", spec());
    crowded.genair(["sweep", "s.toml", "-j", "2"]).expect(0);
    beside.outcome().expect(0);

    let (first, second) = (numbers(&alone), numbers(&crowded));
    let lengths: Vec<usize> = first.iter().map(Vec::len).collect();
    // Of ranks, then of lists.
    let metrics = 4 * 2 * 2 * 5 * 3 * 4 + 4 * 2 * 3 * 4 * 4;
    assert_eq!(lengths, [4, 4 * 4, 4 * 2 * 80, metrics, 4]);
    for (one, other) in first.iter().zip(&second) {
        assert_eq!(one, other);
    }
    // Another seed is another run: the comparison above is not one of constants.
    let other_seed = numbers(&neighbour);
    assert_ne!(first[1], other_seed[1]);
}
