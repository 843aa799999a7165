//! Files of every kind, opened by one or many.

use std::path::Path;
use std::sync::Barrier;

use genair_store::{Store, StoreError, StoreErrorKind};
use serde_json::json;
use sqlx::{ConnectOptions, Connection};

use crate::Lab;

/// Runs SQL on a file behind the store's back.
fn execute(path: &Path, sql: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// The last migration a file has had, whatever a store would make of it.
pub(crate) fn migrations_of(path: &Path) -> i64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .read_only(true);
        let mut connection = options.connect().await.unwrap();
        let version = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations");
        version.fetch_one(&mut connection).await.unwrap()
    })
}

fn check(result: Result<Store, StoreError>, expected: &str) {
    let error = result.unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("database {}: ", error.path.display())),
        "{message}"
    );
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn a_store_may_move_to_another_thread() {
    fn may_move<T: Send>() {}
    may_move::<Store>();
}

#[test]
fn a_new_database_is_made_with_its_folder_and_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/results.db");
    let mut store = Store::open(&path).unwrap();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let last = migrations.read_dir().unwrap().count();
    assert_eq!(
        store.schema_version().unwrap(),
        i64::try_from(last).unwrap()
    );
    let pragma = |store: &mut Store, sql: &str| store.query(sql).unwrap().rows[0][0].clone();
    assert_eq!(pragma(&mut store, "PRAGMA journal_mode"), "wal");
    store.close().unwrap();
    let mut again = Store::open(&path).unwrap();
    assert_eq!(
        again.schema_version().unwrap(),
        i64::try_from(last).unwrap()
    );
}

#[test]
fn closing_leaves_one_file() {
    let Lab { folder, store } = Lab::new();
    store.close().unwrap();
    let files: Vec<_> = folder
        .path()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["results.db"]);
}

#[test]
fn many_may_make_the_database_at_once() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.db");
        let barrier = Barrier::new(6);
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (path, barrier) = (&path, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let mut store = Store::open(path).unwrap();
                    store
                        .begin_sweep(&format!("sweep {number}"), "s.toml", "")
                        .unwrap();
                });
            }
        });
        let sweeps = Store::open(&path)
            .unwrap()
            .query("SELECT count(*) FROM sweeps")
            .unwrap();
        assert_eq!(sweeps.rows, [[json!(6)]]);
    }
}

#[test]
fn what_is_no_results_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();

    let text = folder.path().join("notes.txt");
    let content = "Certainly not a database, but longer than the header of one: a hundred bytes are enough for that.\n";
    std::fs::write(&text, content).unwrap();
    check(
        Store::open(&text),
        "the file is not an SQLite database; choose another with `--db`",
    );
    check(
        Store::open_read_only(&text),
        "the file is not an SQLite database; choose another with `--db`",
    );
    assert_eq!(std::fs::read_to_string(&text).unwrap(), content);

    let foreign = folder.path().join("browser.db");
    execute(&foreign, "CREATE TABLE bookmarks (url TEXT)");
    let before = std::fs::read(&foreign).unwrap();
    check(
        Store::open(&foreign),
        "the file is an SQLite database of another program; choose another with `--db`",
    );
    check(
        Store::open_read_only(&foreign),
        "the file is an SQLite database of another program; choose another with `--db`",
    );
    assert_eq!(std::fs::read(&foreign).unwrap(), before);

    check(
        Store::open(folder.path()),
        "this is a folder; name a file in it",
    );
    check(
        Store::open_read_only(folder.path()),
        "this is a folder; name a file in it",
    );
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let Lab { folder, store } = Lab::new();
    store.close().unwrap();
    let path = folder.path().join("results.db");
    execute(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (7000, 'from the future', 1, x'00', 0)",
    );
    let expected =
        "written by a newer genair (migration 7000); update this one or choose another with `--db`";
    check(Store::open(&path), expected);
    check(Store::open_read_only(&path), expected);
}

#[test]
fn a_folder_that_takes_no_files_is_named() {
    // Not even root creates files in /proc.
    check(
        Store::open("/proc/genair.db"),
        "check that its folder may be written to",
    );
    check(
        Store::open("/proc/genair/results.db"),
        "its folder cannot be created; choose another place with `--db`",
    );
}

#[test]
fn reading_needs_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.db");
    check(
        Store::open_read_only(&path),
        "there is no such file; `genair sweep` creates it, `--db` names another",
    );
    assert!(!path.exists());
    std::fs::write(&path, "").unwrap();
    check(
        Store::open_read_only(&path),
        "the file is empty (before migration 1); any `genair sweep` into it fills it",
    );
}

#[test]
fn a_reader_sees_what_is_in_the_log_and_writes_nothing() {
    let mut lab = Lab::new();
    let mut reader = lab.reader();
    lab.claimed_run();
    assert_eq!(reader.run_counts().unwrap().running, 1);
    assert_eq!(lab.reader().run_counts().unwrap().running, 1);
    let error = reader.begin_sweep("main", "main.toml", "").unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::ReadOnly(_)), "{error}");
}

/// A kill between two migrations of a new file, before the write-ahead log is switched on, leaves a
/// rollback journal; reading past it would show half a transaction.
#[test]
fn a_transaction_that_was_cut_short_is_undone_by_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.db");
    let cut = folder.path().join("cut.db");
    Store::open(&path).unwrap().close().unwrap();
    execute(&path, "PRAGMA journal_mode = DELETE");
    let whole = std::fs::metadata(&path).unwrap().len();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut connection = options.connect().await.unwrap();
        // With a cache of one page the change reaches the file, and the old pages the journal.
        let change = "PRAGMA cache_size = 1; BEGIN IMMEDIATE; CREATE TABLE half (x);
            INSERT INTO half WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 9000) SELECT x FROM n;";
        sqlx::raw_sql(change)
            .execute(&mut connection)
            .await
            .unwrap();
        // What a kill would leave at this moment.
        for suffix in ["", "-journal"] {
            let of = |path: &Path| format!("{}{suffix}", path.display());
            std::fs::copy(of(&path), of(&cut)).unwrap();
        }
    });
    let half = std::fs::metadata(&cut).unwrap().len();
    assert!(
        half > whole,
        "rows of the transaction have reached the file: {half}, {whole}"
    );
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'half'";
    let mut reader = Store::open_read_only(&cut).unwrap();
    assert_eq!(reader.query(tables).unwrap().rows, [[json!(0)]]);
    assert_eq!(reader.run_counts().unwrap().finished, 0);
}

/// A database as the first release left it: a finished, a failed, a running and a pending run.
pub(crate) fn first_release(path: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        let migrations: sqlx::migrate::Migrator = sqlx::migrate!();
        migrations.run_to(1, &mut connection).await.unwrap();
        let rows = "
            INSERT INTO sweeps (name, spec_path, spec_text) VALUES ('main', 'main.toml', '[sweep]');
            INSERT INTO owners VALUES ('gone', 'elsewhere', '', 1, 1, '2026-11-22T20:30:00.123Z');
            INSERT INTO runs (identity, state, spec, spec_sha256, dataset, backbone, representation, seed, data_sha256,
                              results_version, failure_kind, owner, attempts, finished_at) VALUES
                ('a1', 'finished', '{}', '5e', 'tiny', 'sasrec', 'id', 44, 'da', 1, NULL, NULL, 2, '2026-11-22'),
                ('b2', 'failed', '{}', '5e', 'tiny', 'sasrec', 'id', 45, 'da', 1, 'io', NULL, 1, '2026-11-22'),
                ('c3', 'running', '{}', '5e', 'tiny', 'sasrec', 'id', 46, 'da', 1, NULL, 'gone', 1, NULL),
                ('d4', 'pending', '{}', '5e', 'tiny', 'sasrec', 'id', 47, 'da', 1, NULL, NULL, 0, NULL);
            INSERT INTO sweep_runs (sweep_id, run_id, variant) SELECT 1, run_id, '' FROM runs;
            INSERT INTO epochs VALUES (1, 1, 1.25, 0.5, 0.125, 1);
            INSERT INTO metrics VALUES (1, NULL, 'test', 'full', 'all', 'ndcg', 10, 0.75, 3);
            INSERT INTO metrics VALUES (1, 1, 'valid', 'full', 'all', 'ndcg', 10, 0.125, 3);
            INSERT INTO ranks VALUES (1, 'test', 'full', 1, 0), (1, 'test', 'full', 2, 6);
            INSERT INTO artefacts VALUES (1, 'checkpoint', 'best.safetensors', 'c4e', 4096);";
        sqlx::raw_sql(rows).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn a_database_of_the_first_release_keeps_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.db");
    first_release(&path);
    // A reader leaves the file as it is, and reads it nevertheless.
    let before = std::fs::read(&path).unwrap();
    let mut reader = Store::open_read_only(&path).unwrap();
    assert_eq!(reader.path(), path);
    assert_eq!(reader.run_counts().unwrap().finished, 1);
    let rows = reader
        .query("SELECT count(*) FROM leaderboard_mean")
        .unwrap();
    assert_eq!(rows.rows, [[json!(1)]]);
    reader.close().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let mut store = Store::open(&path).unwrap();
    let count = |store: &mut Store, what: &str| {
        let rows = store
            .query(&format!("SELECT count(*) FROM {what}"))
            .unwrap();
        rows.rows[0][0].as_i64().unwrap()
    };
    let tables = [
        "runs",
        "sweep_runs",
        "epochs",
        "metrics",
        "ranks",
        "artefacts",
        "leaderboard",
        "sweep_specs",
    ];
    let counts = tables.map(|table| count(&mut store, table));
    assert_eq!(counts, [4, 4, 1, 2, 2, 1, 1, 1]);
    let runs = store
        .query("SELECT identity, state, attempts, owner FROM runs ORDER BY run_id")
        .unwrap();
    assert_eq!(
        serde_json::to_string(&runs.rows).unwrap(),
        r#"[["a1","finished",2,null],["b2","failed",1,null],["c3","running",1,"gone"],["d4","pending",0,null]]"#
    );
    assert_eq!(count(&mut store, "pragma_foreign_key_check"), 0);

    // References are enforced again, and to the new table.
    store.close().unwrap();
    execute(
        &path,
        "PRAGMA foreign_keys = ON; DELETE FROM runs WHERE identity = 'a1'",
    );
    let mut store = Store::open(&path).unwrap();
    assert_eq!(
        tables.map(|table| count(&mut store, table)),
        [3, 3, 0, 0, 0, 0, 0, 1]
    );
}
