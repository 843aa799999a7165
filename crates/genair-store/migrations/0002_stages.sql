-- Runs that read artefacts of earlier stages, are pruned, resume from a checkpoint, and say on which
-- machine and from which changed source they ran.

-- Every spec a sweep ever had; sweeps.spec_text is the last one.
CREATE TABLE sweep_specs (
    sweep_id  INTEGER NOT NULL REFERENCES sweeps (sweep_id) ON DELETE CASCADE,
    spec_text TEXT NOT NULL,
    spec_path TEXT NOT NULL,
    swept_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')), -- first
    PRIMARY KEY (sweep_id, spec_text)
) STRICT, WITHOUT ROWID;

INSERT INTO sweep_specs (sweep_id, spec_text, spec_path, swept_at)
SELECT sweep_id, spec_text, spec_path, updated_at FROM sweeps;

CREATE TABLE machines (
    machine      TEXT PRIMARY KEY, -- hash of the other columns
    host         TEXT NOT NULL,
    cpu          TEXT NOT NULL, -- model of the processor
    cores        INTEGER NOT NULL, -- logical ones this process may use
    memory_bytes INTEGER, -- NULL where the system does not tell
    system       TEXT NOT NULL -- operating system, its release, and architecture
) STRICT;

-- What a program's source had that its commit has not.
CREATE TABLE code_diffs (
    sha256 TEXT PRIMARY KEY,
    diff   TEXT NOT NULL
) STRICT;

-- SQLite cannot change a CHECK, so the table is made anew: https://www.sqlite.org/lang_altertable.html#otheralter.
-- It takes a connection that does not enforce foreign keys yet; `Store::open` sees to that.
DROP VIEW leaderboard;

CREATE TABLE new_runs (
    run_id           INTEGER PRIMARY KEY,
    identity         TEXT NOT NULL UNIQUE, -- hash of everything that decides the run's numbers
    state            TEXT NOT NULL DEFAULT 'pending'
                     CHECK (state IN ('pending', 'running', 'finished', 'failed', 'pruned')),
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
    code_diff        TEXT REFERENCES code_diffs (sha256),
    trainer_version  TEXT,
    libtorch         TEXT,
    machine          TEXT REFERENCES machines (machine),
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
    pruned_at_epoch  INTEGER CHECK (pruned_at_epoch >= 1), -- the last one trained
    failure_kind     TEXT,
    failure_phase    TEXT,
    failure_message  TEXT,
    failure_hint     TEXT,
    -- Who holds it, and when.
    owner            TEXT REFERENCES owners (owner),
    attempts         INTEGER NOT NULL DEFAULT 0,
    resumed_from_epoch INTEGER CHECK (resumed_from_epoch >= 1), -- of the checkpoint the last attempt began with
    created_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    started_at       TEXT, -- of the last attempt
    finished_at      TEXT, -- whether it finished, failed or was pruned
    CHECK ((state = 'running') = (owner IS NOT NULL)),
    CHECK ((state = 'failed') = (failure_kind IS NOT NULL)),
    CHECK ((state = 'pruned') = (pruned_at_epoch IS NOT NULL)),
    CHECK ((state IN ('finished', 'failed', 'pruned')) = (finished_at IS NOT NULL))
) STRICT;

INSERT INTO new_runs (
    run_id, identity, state, spec, spec_sha256, dataset, backbone, representation, seed, data_sha256, plugin_sha256,
    results_version, code_revision, code_dirty, trainer_version, libtorch, host, device, threads, parameters, users,
    items, interactions, sequences_sha256, head_item, long_user, best_epoch, epochs, seconds, train_seconds,
    cpu_seconds, peak_memory_bytes, failure_kind, failure_phase, failure_message, failure_hint, owner, attempts,
    created_at, started_at, finished_at)
SELECT
    run_id, identity, state, spec, spec_sha256, dataset, backbone, representation, seed, data_sha256, plugin_sha256,
    results_version, code_revision, code_dirty, trainer_version, libtorch, host, device, threads, parameters, users,
    items, interactions, sequences_sha256, head_item, long_user, best_epoch, epochs, seconds, train_seconds,
    cpu_seconds, peak_memory_bytes, failure_kind, failure_phase, failure_message, failure_hint, owner, attempts,
    created_at, started_at, finished_at
FROM runs;

DROP TABLE runs;
ALTER TABLE new_runs RENAME TO runs;

CREATE INDEX runs_by_owner ON runs (owner) WHERE owner IS NOT NULL;

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

-- The calibration term before its weight, mean over the epoch's steps; NULL where nothing is calibrated.
ALTER TABLE epochs ADD COLUMN calibration REAL;

-- All of a run's metrics, in the order they were told: the unique indexes cover one part of them each.
CREATE INDEX metrics_by_run ON metrics (run_id);

-- Measures of the item space's geometry.
CREATE TABLE diagnostics (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    epoch  INTEGER NOT NULL CHECK (epoch >= 0), -- 0 before training, else the best epoch
    name   TEXT NOT NULL,
    value  REAL NOT NULL,
    PRIMARY KEY (run_id, epoch, name)
) STRICT, WITHOUT ROWID;

-- Artefacts of earlier stages that a run read.
CREATE TABLE run_inputs (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    kind   TEXT NOT NULL CHECK (kind IN ('vectors', 'associations')),
    path   TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (run_id, kind)
) STRICT, WITHOUT ROWID;

-- Fails, and undoes all of the above, if a row lost what it refers to.
CREATE TEMP TABLE lost_references (number INTEGER CHECK (number = 0));
INSERT INTO lost_references SELECT count(*) FROM pragma_foreign_key_check;
DROP TABLE temp.lost_references;
