//! Files of every kind, opened by one or many.

use std::path::Path;
use std::sync::Barrier;

use genair_store::{Store, StoreError, StoreErrorKind};
use serde_json::json;
use sqlx::{ConnectOptions, Connection};

use crate::Lab;

/// Runs SQL on a file behind the store's back.
fn execute(path: &Path, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// Makes a file that of a program with another schema.
pub(crate) fn set_version(path: &Path, version: i64) {
    let sql = format!("PRAGMA user_version = {version}");
    execute(path, &sql);
}

/// The version of a file's schema, whatever a store would make of it.
pub(crate) fn version_of(path: &Path) -> u32 {
    // https://www.sqlite.org/fileformat2.html#the_database_header
    let header = std::fs::read(path).unwrap();
    u32::from_be_bytes(header[60..64].try_into().unwrap())
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
    assert_eq!(store.schema_version().unwrap(), 5);
    let pragma = |store: &mut Store, sql: &str| store.query(sql).unwrap().rows[0][0].clone();
    assert_eq!(pragma(&mut store, "PRAGMA journal_mode"), "wal");
    store.close().unwrap();
    let mut again = Store::open(&path).unwrap();
    assert_eq!(again.schema_version().unwrap(), 5);
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
fn a_database_of_another_version_is_refused_and_left_alone() {
    for version in [0, 1, 7000, -1] {
        let mut lab = Lab::new();
        lab.claimed_run();
        let Lab { folder, store } = lab;
        store.close().unwrap();
        let path = folder.path().join("results.db");
        set_version(&path, version);
        let before = std::fs::read(&path).unwrap();
        let expected = format!(
            "its tables are of schema version {version}, and this genair knows version 5 alone; \
             use the genair that wrote the file, or choose another file with `--db`"
        );
        check(Store::open(&path), &expected);
        check(Store::open_read_only(&path), &expected);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
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
        "the file is empty; any `genair sweep` into it fills it",
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

/// A kill while the tables of a new file are made, before the write-ahead log is switched on, leaves a
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
