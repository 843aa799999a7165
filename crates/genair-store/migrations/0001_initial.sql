-- Append-only: a released migration is never edited; a change is a new file.
-- Names here are public: people write SQL against them.
-- Times are RFC 3339 in UTC, as in 2026-11-22T20:30:00.123Z. Hashes are lower-case hex.

-- "GnAR": how this program knows its own databases from those of others.
PRAGMA application_id = 0x476E4152;

CREATE TABLE sweeps (
    sweep_id   INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    spec_path  TEXT NOT NULL,
    spec_text  TEXT NOT NULL, -- as last swept
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
) STRICT;

-- Processes that execute runs.
CREATE TABLE owners (
    owner        TEXT PRIMARY KEY,
    host         TEXT NOT NULL,
    boot_id      TEXT NOT NULL, -- what a pid is unique within: boot and pid namespace; empty if unknown
    pid          INTEGER NOT NULL,
    pid_started  INTEGER NOT NULL, -- clock ticks from boot to the start of the process
    heartbeat_at TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
    run_id           INTEGER PRIMARY KEY,
    identity         TEXT NOT NULL UNIQUE, -- hash of everything that decides the run's numbers
    state            TEXT NOT NULL DEFAULT 'pending'
                     CHECK (state IN ('pending', 'running', 'finished', 'failed')),
    -- What it is.
    spec             TEXT NOT NULL CHECK (json_valid(spec)),
    spec_sha256      TEXT NOT NULL,
    dataset          TEXT NOT NULL,
    backbone         TEXT NOT NULL,
    representation   TEXT NOT NULL,
    seed             INTEGER NOT NULL,
    data_sha256      TEXT NOT NULL,
    plugin_sha256    TEXT, -- NULL for a built-in backbone
    results_version  INTEGER NOT NULL,
    -- What ran it, and on what; NULL until then.
    code_revision    TEXT,
    code_dirty       INTEGER CHECK (code_dirty IN (0, 1)),
    trainer_version  TEXT,
    libtorch         TEXT,
    host             TEXT,
    device           TEXT,
    threads          INTEGER,
    parameters       INTEGER,
    -- What the data turned out to be.
    users            INTEGER,
    items            INTEGER,
    interactions     INTEGER,
    sequences_sha256 TEXT,
    head_item        INTEGER, -- training interactions a head item has at least
    long_user        INTEGER, -- input length a long user has at least
    -- How it went.
    best_epoch       INTEGER, -- from 1; 0 where nothing is trained
    epochs           INTEGER,
    seconds          REAL,
    train_seconds    REAL,
    cpu_seconds      REAL,
    peak_memory_bytes INTEGER,
    failure_kind     TEXT,
    failure_phase    TEXT,
    failure_message  TEXT,
    failure_hint     TEXT,
    -- Who holds it, and when.
    owner            TEXT REFERENCES owners (owner),
    attempts         INTEGER NOT NULL DEFAULT 0,
    created_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    started_at       TEXT, -- of the last attempt
    finished_at      TEXT, -- whether it finished or failed
    CHECK ((state = 'running') = (owner IS NOT NULL)),
    CHECK ((state = 'failed') = (failure_kind IS NOT NULL)),
    CHECK ((state IN ('finished', 'failed')) = (finished_at IS NOT NULL))
) STRICT;

CREATE INDEX runs_by_owner ON runs (owner) WHERE owner IS NOT NULL;

-- A run belongs to every sweep that describes it.
CREATE TABLE sweep_runs (
    sweep_id   INTEGER NOT NULL REFERENCES sweeps (sweep_id) ON DELETE CASCADE,
    run_id     INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    variant    TEXT NOT NULL, -- swept axes beyond the named ones, such as alpha=1e-4; often empty
    superseded INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1)), -- a newer run has its labels
    PRIMARY KEY (sweep_id, run_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sweep_runs_by_run ON sweep_runs (run_id);

CREATE TABLE epochs (
    run_id        INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    epoch         INTEGER NOT NULL CHECK (epoch >= 1),
    loss          REAL NOT NULL, -- mean over the epoch's steps
    train_seconds REAL NOT NULL,
    valid         REAL, -- the early-stopping metric, where the epoch was validated
    best          INTEGER NOT NULL CHECK (best IN (0, 1)), -- the best so far when it ended
    PRIMARY KEY (run_id, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE metrics (
    run_id   INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    epoch    INTEGER CHECK (epoch >= 1), -- NULL: of the best epoch's weights, the run's result
    split    TEXT NOT NULL,
    protocol TEXT NOT NULL,
    cohort   TEXT NOT NULL,
    metric   TEXT NOT NULL,
    k        INTEGER NOT NULL CHECK (k >= 1),
    value    REAL NOT NULL,
    users    INTEGER NOT NULL CHECK (users >= 1)
) STRICT;

-- NULLs are distinct in a unique index, so results and epochs each have one.
CREATE UNIQUE INDEX metrics_of_result ON metrics (run_id, split, protocol, cohort, metric, k)
    WHERE epoch IS NULL;
CREATE UNIQUE INDEX metrics_of_epoch ON metrics (run_id, epoch, split, protocol, cohort, metric, k)
    WHERE epoch IS NOT NULL;

CREATE TABLE ranks (
    run_id   INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    split    TEXT NOT NULL,
    protocol TEXT NOT NULL,
    user     INTEGER NOT NULL CHECK (user >= 1), -- number in the filtered dataset
    rank     INTEGER NOT NULL CHECK (rank >= 0), -- 0 is the top
    PRIMARY KEY (run_id, split, protocol, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE artefacts (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    kind   TEXT NOT NULL,
    path   TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (run_id, kind, path)
) STRICT, WITHOUT ROWID;

CREATE VIEW leaderboard
    (sweep, run_id, dataset, backbone, representation, variant, seed, split, protocol, cohort, metric, k, value)
AS SELECT
    sweeps.name, runs.run_id, runs.dataset, runs.backbone, runs.representation, sweep_runs.variant, runs.seed,
    metrics.split, metrics.protocol, metrics.cohort, metrics.metric, metrics.k, metrics.value
FROM sweep_runs
JOIN sweeps ON sweeps.sweep_id = sweep_runs.sweep_id
JOIN runs ON runs.run_id = sweep_runs.run_id
JOIN metrics ON metrics.run_id = runs.run_id
WHERE sweep_runs.superseded = 0 AND runs.state = 'finished' AND metrics.epoch IS NULL;
