//! Every query of results/queries runs and answers, and the views say what this crate computes.

use std::path::Path;

use genair_eval::statistics::summarise;

use crate::database::{Database, End, RUN, Run, main_sweep};

fn everything() -> Database {
    let mut runs = main_sweep();
    const COMPONENTS: (&str, &str) = ("components", "64");
    let searched: [(_, _, &[(&str, &str)], _, _); 5] = [
        (
            "alpha",
            "genair",
            &[("alpha", "0"), COMPONENTS],
            30.0,
            End::Finished,
        ),
        (
            "alpha",
            "genair",
            &[("alpha", "1e-2"), COMPONENTS],
            20.0,
            End::Finished,
        ),
        (
            "alpha",
            "genair",
            &[("alpha", "1"), COMPONENTS],
            70.0,
            End::Pruned,
        ),
        ("traps", "id", &[("causal", "true")], 42.0, End::Finished),
        ("traps", "id", &[("causal", "false")], 41.0, End::Finished),
    ];
    for (sweep, representation, axes, mean_rank, end) in searched {
        runs.push(Run {
            sweep,
            representation,
            axes,
            mean_rank,
            end,
            ..RUN
        });
    }
    Database::of(&runs)
}

#[test]
fn every_query_answers() {
    let mut database = everything();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/queries");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let sql = std::fs::read_to_string(&path).unwrap();
        let result = database.store.query(&sql).unwrap();
        assert!(!result.rows.is_empty(), "{} finds nothing", path.display());
        files += 1;
    }
    assert!(files >= 10, "{files}");
}

#[test]
fn leaderboard_mean_is_the_mean_over_seeds() {
    let mut database = everything();
    let means = database
        .store
        .query("SELECT backbone, representation, variant, protocol, metric, k, mean, std, n FROM leaderboard_mean WHERE split = 'test' AND cohort = 'all'")
        .unwrap();
    assert_eq!(means.rows.len(), 9 * 2 * 3 * 4);
    for row in &means.rows {
        let text = |at: usize| row[at].as_str().unwrap();
        let sql = format!(
            "SELECT value FROM leaderboard WHERE split = 'test' AND cohort = 'all' AND backbone = '{}' AND representation = '{}' AND variant = '{}' AND protocol = '{}' AND metric = '{}' AND k = {}",
            text(0),
            text(1),
            text(2),
            text(3),
            text(4),
            row[5]
        );
        let values: Vec<f64> = database
            .store
            .query(&sql)
            .unwrap()
            .rows
            .iter()
            .map(|row| row[0].as_f64().unwrap())
            .collect();
        let expected = summarise(&values).unwrap();
        assert!((row[6].as_f64().unwrap() - expected.mean).abs() < 1e-12);
        assert_eq!(row[7].is_null(), expected.std.is_none());
        let std = expected.std.unwrap_or_default();
        assert!(
            (row[7].as_f64().unwrap_or_default() - std).abs() < 1e-8,
            "{} {std}",
            row[7]
        );
        assert_eq!(row[8], expected.n);
    }
}

#[test]
fn the_best_configuration_is_chosen_by_validation() {
    let mut database = everything();
    let best = database
        .store
        .query("SELECT sweep, backbone, representation, count(*) FROM best_per_backbone GROUP BY 1, 2, 3")
        .unwrap();
    let found: Vec<String> = best
        .rows
        .iter()
        .map(|row| {
            row.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
                .replace('"', "")
        })
        .collect();
    // Two protocols, five cohorts, three metrics and four cut-offs each.
    assert_eq!(
        found,
        [
            "alpha sasrec genair 120",
            "main gru4rec archetype 120",
            "main popularity none 120",
            "main sasrec archetype 120",
            "traps sasrec id 120"
        ]
    );
}
