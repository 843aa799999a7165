//! What is kept of configurations says at all times what their runs say.

use genair_store::Store;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::{Lab, finish, new_run};

/// The means, after a look at whether they are those of the leaderboard.
#[track_caller]
fn means(store: &mut Store) -> Vec<String> {
    let kept = "SELECT sweep, dataset, backbone, representation, variant, axes, configuration, split, protocol, cohort,
                    metric, k, round(mean, 9), n
                FROM leaderboard_mean ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12";
    let computed = "SELECT sweep, dataset, backbone, representation, variant, axes, configuration, split, protocol, cohort,
                        metric, k, round(avg(value), 9), count(*)
                    FROM leaderboard GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
                    ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12";
    let kept = store.query(kept).unwrap().rows;
    assert_eq!(kept, store.query(computed).unwrap().rows);
    let seeds =
        "SELECT name, runs, seeds FROM configurations JOIN sweeps USING (sweep_id) ORDER BY 1, 3";
    let rows = store.query(seeds).unwrap().rows;
    rows.iter()
        .map(|row| serde_json::to_string(row).unwrap())
        .collect()
}

/// Runs one statement as the sqlite3 shell would.
fn by_hand(lab: &Lab, sql: &str, foreign_keys: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(lab.folder.path().join("results.db"));
        let mut connection = options.foreign_keys(foreign_keys).connect().await.unwrap();
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn a_mean_follows_its_runs() {
    let mut lab = Lab::new();
    let runs = lab.register(&[new_run("a", 45), new_run("b", 44), new_run("c", 46)]);
    assert!(means(&mut lab.store).is_empty());
    finish(&mut lab.store, runs[0], 0.25);
    assert_eq!(means(&mut lab.store), [r#"["main",1,"45"]"#]);
    finish(&mut lab.store, runs[1], 0.75);
    assert_eq!(means(&mut lab.store), [r#"["main",2,"44, 45"]"#]);

    // A run replaced by one that is not done yet, and back again.
    lab.register(&[new_run("a", 45), new_run("new", 44)]);
    assert_eq!(means(&mut lab.store), [r#"["main",1,"45"]"#]);
    lab.register(&[new_run("a", 45), new_run("b", 44)]);
    assert_eq!(means(&mut lab.store), [r#"["main",2,"44, 45"]"#]);

    // A finished run in a second sweep, under another name of its axes.
    let sweep = lab.store.begin_sweep("other", "other.toml", "").unwrap();
    let mut renamed = new_run("b", 44);
    renamed.labels.axes = [("a", "1")].into_iter().collect();
    lab.store.register(sweep, &[renamed.clone()]).unwrap();
    let both = [r#"["main",2,"44, 45"]"#, r#"["other",1,"44"]"#];
    assert_eq!(means(&mut lab.store), both);
    renamed.labels.axes = [("a", "2")].into_iter().collect();
    lab.store.register(sweep, &[renamed]).unwrap();
    assert_eq!(means(&mut lab.store), both);
}

#[test]
fn a_mean_follows_what_is_done_by_hand() {
    let mut lab = Lab::new();
    let runs = lab.register(&[new_run("a", 44), new_run("b", 45), new_run("c", 46)]);
    for (run, value) in std::iter::zip(&runs, [0.25, 0.5, 0.75]) {
        finish(&mut lab.store, *run, value);
    }
    assert_eq!(means(&mut lab.store), [r#"["main",3,"44, 45, 46"]"#]);
    by_hand(&lab, "DELETE FROM runs WHERE seed = 45", true);
    assert_eq!(means(&mut lab.store), [r#"["main",2,"44, 46"]"#]);
    by_hand(
        &lab,
        "UPDATE sweep_runs SET superseded = 1 WHERE run_id = 1",
        false,
    );
    assert_eq!(means(&mut lab.store), [r#"["main",1,"46"]"#]);
    by_hand(&lab, "DELETE FROM sweep_runs", false);
    assert!(means(&mut lab.store).is_empty());
}

#[test]
fn merged_runs_count() {
    let mut lab = Lab::new();
    let mut other = Lab::new();
    let run = lab.register(&[new_run("a", 44), new_run("b", 45)])[0];
    finish(&mut lab.store, run, 0.25);
    for run in other.register(&[new_run("b", 45), new_run("c", 46)]) {
        finish(&mut other.store, run, 0.5);
    }
    lab.store
        .merge(other.folder.path().join("results.db"))
        .unwrap();
    assert_eq!(means(&mut lab.store), [r#"["main",3,"44, 45, 46"]"#]);
}
