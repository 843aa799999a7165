//! Leaderboards of a large database are read, not computed: one sweep of 600 runs, with few
//! epochs, so that the test is short. `just bench-database` has the full size.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests may"
)]

#[path = "../examples/generate_database/database.rs"]
mod database;

use std::time::Duration;

use genair_protocol::{Cohort, Split};
use genair_store::{MeanFilter, Store};

use database::{Size, generate};

/// What a leaderboard may take of 10,000 runs.
const LIMIT: Duration = Duration::from_millis(200);

#[test]
fn leaderboards_take_less_than_a_fifth_of_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.db");
    let size = Size {
        runs: 600,
        epochs: 5,
        metrics: 20,
        users: 5,
    };
    generate(&path, size, &mut |_| {}).unwrap();
    let mut store = Store::open_read_only(&path).unwrap();
    let mut count = |table: &str| {
        let rows = store
            .query(&format!("SELECT count(*) FROM {table}"))
            .unwrap()
            .rows;
        rows[0][0].as_u64().unwrap()
    };
    assert_eq!(count("metrics"), 600 * (240 + 5 * 20));
    assert_eq!(count("epochs"), 600 * 5);
    assert_eq!(count("ranks"), 600 * 2 * 5);
    // Five seeds each.
    assert_eq!(count("configurations"), 120);
    assert_eq!(count("configuration_metrics"), 120 * 240);

    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results/queries");
    let mut queries = vec![(
        "every run's NDCG@10".to_owned(),
        "SELECT * FROM leaderboard WHERE split = 'test' AND protocol = 'full' AND cohort = 'all'
         AND metric = 'ndcg' AND k = 10 ORDER BY value DESC"
            .to_owned(),
    )];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let sql = std::fs::read_to_string(&path).unwrap();
        // Curves are of every epoch, by their nature.
        if !path.ends_with("learning_curves.sql") {
            queries.push((path.display().to_string(), sql));
        }
    }
    for (name, sql) in &queries {
        let rows = fastest(name, || store.query(sql).unwrap().rows.len());
        // No run here is pruned, has a trap, or sweeps components.
        let absent = ["trajectories", "traps", "sensitivity_components"];
        assert!(
            rows > 0 || absent.iter().any(|absent| name.contains(absent)),
            "{name}"
        );
    }
    let mut means = || {
        store
            .leaderboard_mean(&MeanFilter {
                sweep: None,
                split: Split::Test,
                cohort: Cohort::All,
                protocol: None,
                metric: None,
                k: Some(10),
            })
            .unwrap()
            .len()
    };
    assert_eq!(fastest("leaderboard_mean", &mut means), 120 * 6);
}

/// The best of three in processor time, since others use this machine, too; this process does nothing else.
#[track_caller]
fn fastest(name: &str, mut work: impl FnMut() -> usize) -> usize {
    let mut rows = 0;
    let times = (0..3).map(|_| {
        let begin = now();
        rows = work();
        now() - begin
    });
    let time = times.min().unwrap_or_default();
    assert!(time < LIMIT, "{name} took {time:?}");
    rows
}

/// Processor time of this process so far, to a hundredth of a second.
fn now() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name before it may hold spaces: user and system ticks are fields 14 and 15, 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}
