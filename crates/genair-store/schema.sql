-- The whole database: tables, indexes, triggers and views.
-- Names here are public: people write SQL against them. A change of anything here is a new `user_version`.
-- Times are RFC 3339 in UTC, as in 2026-11-22T20:30:00.123Z. Hashes are lower-case hex.

-- "GnAR": how this program knows its own databases from those of others.
PRAGMA application_id = 0x476E4152;
-- A database of another version is refused, never changed.
PRAGMA user_version = 5;

CREATE TABLE sweeps (
    sweep_id   INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    spec_path  TEXT NOT NULL,
    spec_text  TEXT NOT NULL, -- as last swept
    -- Axes that its search draws or lists points of, as in ["lr"]; [] for a grid. Validation chooses among their values.
    searched   TEXT NOT NULL DEFAULT '[]' CHECK (json_type(searched) = 'array'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
) STRICT;

-- Every spec a sweep ever had; sweeps.spec_text is the last one.
CREATE TABLE sweep_specs (
    sweep_id  INTEGER NOT NULL REFERENCES sweeps (sweep_id) ON DELETE CASCADE,
    spec_text TEXT NOT NULL,
    spec_path TEXT NOT NULL,
    swept_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')), -- first
    PRIMARY KEY (sweep_id, spec_text)
) STRICT, WITHOUT ROWID;

-- Processes that execute runs.
CREATE TABLE owners (
    owner        TEXT PRIMARY KEY,
    host         TEXT NOT NULL,
    boot_id      TEXT NOT NULL, -- what a pid is unique within: boot and pid namespace; empty if unknown
    pid          INTEGER NOT NULL,
    pid_started  INTEGER NOT NULL, -- clock ticks from boot to the start of the process
    heartbeat_at TEXT NOT NULL
) STRICT;

-- Machines that workers ran on.
CREATE TABLE machines (
    machine      TEXT PRIMARY KEY, -- hash of the other columns
    host         TEXT NOT NULL,
    cpu          TEXT NOT NULL, -- model of the processor
    cores        INTEGER NOT NULL, -- logical ones that the worker might use
    memory_bytes INTEGER, -- NULL where the system does not tell
    system       TEXT NOT NULL -- operating system, its release, and architecture
) STRICT;

-- What a program's source had that its commit has not.
CREATE TABLE code_diffs (
    sha256 TEXT PRIMARY KEY, -- of the difference
    gzip   BLOB NOT NULL -- the difference, compressed
) STRICT;

-- The ids that the data have for users and items, once for all runs of the same ones.
CREATE TABLE id_sets (
    id_set INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE -- of all ids in order
) STRICT;

CREATE TABLE user_ids (
    id_set  INTEGER NOT NULL REFERENCES id_sets (id_set) ON DELETE CASCADE,
    user    INTEGER NOT NULL CHECK (user >= 1), -- number in the filtered dataset
    user_id TEXT NOT NULL, -- as the data have it
    PRIMARY KEY (id_set, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE item_ids (
    id_set  INTEGER NOT NULL REFERENCES id_sets (id_set) ON DELETE CASCADE,
    item    INTEGER NOT NULL CHECK (item >= 1), -- number in the filtered dataset
    item_id TEXT NOT NULL, -- as the data have it
    PRIMARY KEY (id_set, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run_id           INTEGER PRIMARY KEY,
    identity         TEXT NOT NULL UNIQUE, -- hash of everything that decides the run's numbers
    configuration    TEXT NOT NULL, -- the same without the seed: a mean is over runs that share it
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
    cold_items       INTEGER, -- items that training never sees, of a split that has such items
    sequences_sha256 TEXT, -- of the sequences and of the split: runs that share it have the same inputs and targets
    ids_sha256       TEXT, -- id_sets.sha256
    head_item        INTEGER, -- training interactions a head item has at least
    long_user        INTEGER, -- items that the test input of a long user has at least
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
    attempt          TEXT, -- name of the last one, as its files have it: HOST-PID-NANOSECONDS
    resumed_from_epoch INTEGER CHECK (resumed_from_epoch >= 1), -- of the checkpoint the last attempt began with
    created_at       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    started_at       TEXT, -- of the last attempt
    finished_at      TEXT, -- whether it finished, failed or was pruned
    CHECK ((state = 'running') = (owner IS NOT NULL)),
    CHECK ((state = 'failed') = (failure_kind IS NOT NULL)),
    CHECK ((state = 'pruned') = (pruned_at_epoch IS NOT NULL)),
    CHECK ((state IN ('finished', 'failed', 'pruned')) = (finished_at IS NOT NULL))
) STRICT;

CREATE INDEX runs_by_owner ON runs (owner) WHERE owner IS NOT NULL;

-- A run belongs to every sweep that describes it.
CREATE TABLE sweep_runs (
    sweep_id   INTEGER NOT NULL REFERENCES sweeps (sweep_id) ON DELETE CASCADE,
    run_id     INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    -- Swept axes beyond the named ones, in order, as in {"alpha":"1e-4"}; often {}.
    axes       TEXT NOT NULL CHECK (json_type(axes) = 'object'),
    variant    TEXT NOT NULL, -- the axes as they are shown, as in alpha=1e-4
    superseded INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1)), -- the sweep's present spec does not describe it
    PRIMARY KEY (sweep_id, run_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sweep_runs_by_run ON sweep_runs (run_id);
CREATE INDEX sweep_runs_by_axes ON sweep_runs (sweep_id, axes);

-- Stages that processes are making at the moment: what runs of a sweep share. A row goes with its stage's end.
CREATE TABLE stages (
    sweep_id      INTEGER NOT NULL REFERENCES sweeps (sweep_id) ON DELETE CASCADE,
    recipe_sha256 TEXT NOT NULL, -- of what decides its outcome
    owner         TEXT NOT NULL REFERENCES owners (owner) ON DELETE CASCADE,
    stage         TEXT NOT NULL, -- data, archetypes, prompts, texts, import or associations
    dataset       TEXT NOT NULL,
    done          INTEGER, -- items; NULL where they are not counted
    total         INTEGER,
    started_at    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    PRIMARY KEY (sweep_id, recipe_sha256, owner)
) STRICT, WITHOUT ROWID;

-- Jobs of a batch system, such as Slurm. A row is there before the batch system is asked for its job, so that no job is
-- asked for twice, and goes when the job is known to be over.
CREATE TABLE submissions (
    token         TEXT NOT NULL, -- of the submission, which the batch system was told
    task          INTEGER NOT NULL CHECK (task >= 0), -- its place in the submission
    run_id        INTEGER UNIQUE REFERENCES runs (run_id) ON DELETE CASCADE, -- NULL for a stage
    recipe_sha256 TEXT UNIQUE, -- of the stage; NULL for a run
    job           TEXT, -- as the batch system names it; NULL while its answer is not known
    state         TEXT NOT NULL DEFAULT 'submitted', -- submitted, pending, running or ended
    reason        TEXT, -- why it waits, in the batch system's words
    node          TEXT,
    submitted_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    PRIMARY KEY (token, task),
    CHECK ((run_id IS NULL) <> (recipe_sha256 IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE epochs (
    run_id        INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    epoch         INTEGER NOT NULL CHECK (epoch >= 1),
    loss          REAL NOT NULL, -- mean over the epoch's steps
    calibration   REAL, -- the term before its weight, mean over the steps; NULL where nothing is calibrated
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
    metric   TEXT NOT NULL, -- of the targets' ranks: hr, ndcg, mrr; of the users' lists: coverage and others
    k        INTEGER NOT NULL CHECK (k >= 1),
    value    REAL NOT NULL,
    users    INTEGER NOT NULL CHECK (users >= 1)
) STRICT;

-- NULLs are distinct in a unique index, so results and epochs each have one.
CREATE UNIQUE INDEX metrics_of_result ON metrics (run_id, split, protocol, cohort, metric, k)
    WHERE epoch IS NULL;
CREATE UNIQUE INDEX metrics_of_epoch ON metrics (run_id, epoch, split, protocol, cohort, metric, k)
    WHERE epoch IS NOT NULL;
-- All of a run's metrics, in the order they were told: the unique indexes cover one part of them each.
CREATE INDEX metrics_by_run ON metrics (run_id);
-- One metric of every run, without reading the others.
CREATE INDEX results_by_metric ON metrics (metric, k, split, protocol, cohort, run_id, value) WHERE epoch IS NULL;

CREATE TABLE ranks (
    run_id   INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    split    TEXT NOT NULL,
    protocol TEXT NOT NULL,
    user     INTEGER NOT NULL CHECK (user >= 1), -- number in the filtered dataset
    target   INTEGER NOT NULL CHECK (target >= 1), -- number among the user's targets, in the order of time
    rank     INTEGER NOT NULL CHECK (rank >= 0), -- 0 is the top; among candidates that are no targets of the user
    PRIMARY KEY (run_id, split, protocol, user, target)
) STRICT, WITHOUT ROWID;

-- Measures of the item space's geometry.
CREATE TABLE diagnostics (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    epoch  INTEGER NOT NULL CHECK (epoch >= 0), -- 0 before training, else the best epoch
    name   TEXT NOT NULL,
    value  REAL NOT NULL,
    PRIMARY KEY (run_id, epoch, name)
) STRICT, WITHOUT ROWID;

-- A picture of a run's item space: a sample of items on its two principal axes, before training and by
-- the best epoch's weights.
CREATE TABLE item_space (
    run_id       INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    epoch        INTEGER NOT NULL CHECK (epoch >= 0), -- 0 before training, else the best epoch
    item         INTEGER NOT NULL CHECK (item >= 1), -- number in the filtered dataset
    x            REAL NOT NULL,
    y            REAL NOT NULL,
    interactions INTEGER NOT NULL, -- of the item in the training part
    PRIMARY KEY (run_id, epoch, item)
) STRICT, WITHOUT ROWID;

-- Artefacts of earlier stages that a run read.
CREATE TABLE run_inputs (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    kind   TEXT NOT NULL CHECK (kind IN ('vectors', 'associations')),
    path   TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (run_id, kind)
) STRICT, WITHOUT ROWID;

-- What there was to begin with, and what each rule left out.
CREATE TABLE input_counts (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    input  TEXT NOT NULL CHECK (input IN ('data', 'vectors')),
    what   TEXT NOT NULL, -- rows_read, the rules and fewest_negatives of data; items, without_metadata and others of vectors
    count  INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (run_id, input, what)
) STRICT, WITHOUT ROWID;

-- Files that a run wrote.
CREATE TABLE artefacts (
    run_id INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    kind   TEXT NOT NULL,
    path   TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (run_id, kind, path)
) STRICT, WITHOUT ROWID;

-- How runs were judged while they trained, whether they went on or not; never deleted by a new attempt.
CREATE TABLE prune_decisions (
    run_id     INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    rung       INTEGER NOT NULL CHECK (rung >= 0), -- asha: of grace * reduction^rung epochs; median: epochs after the grace
    epoch      INTEGER NOT NULL CHECK (epoch >= 1), -- the validation it was judged after
    rule       TEXT NOT NULL CHECK (rule IN ('asha', 'median')),
    value      REAL NOT NULL, -- the best validation so far
    threshold  REAL, -- just good enough; NULL where there was nothing to compare with
    compared   INTEGER NOT NULL CHECK (compared >= 0), -- other runs
    pruned     INTEGER NOT NULL CHECK (pruned IN (0, 1)),
    -- How a run that was stopped came to go on: ASHA promoted it; or it is not judged again, as somebody asked for it,
    -- or as its configuration is the best of its search and lacks this seed.
    continued  TEXT CHECK (continued IN ('promoted', 'asked', 'best')),
    decided_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    PRIMARY KEY (run_id, rung)
) STRICT, WITHOUT ROWID;

-- What every configuration came to over its seeds, kept by triggers, so that a leaderboard of ten thousand
-- runs is read rather than computed.

-- A configuration of a sweep that has finished runs: runs that differ in nothing but the seed.
CREATE TABLE configurations (
    configuration_id INTEGER PRIMARY KEY,
    sweep_id         INTEGER NOT NULL REFERENCES sweeps (sweep_id) ON DELETE CASCADE,
    configuration    TEXT NOT NULL, -- runs.configuration
    dataset          TEXT NOT NULL,
    backbone         TEXT NOT NULL,
    representation   TEXT NOT NULL,
    axes             TEXT NOT NULL, -- sweep_runs.axes
    variant          TEXT NOT NULL,
    runs             INTEGER NOT NULL CHECK (runs >= 1), -- finished ones
    seeds            TEXT NOT NULL, -- theirs, in order, as in 44, 45, 46
    run_id           INTEGER NOT NULL, -- the first of them, for what all have in common
    UNIQUE (sweep_id, configuration, axes)
) STRICT;

CREATE INDEX configurations_by_labels ON configurations (sweep_id, dataset, backbone, representation, axes);

-- Results over the seeds. std is that of the sample (n - 1), NULL for a single run.
CREATE TABLE configuration_metrics (
    configuration_id INTEGER NOT NULL REFERENCES configurations (configuration_id) ON DELETE CASCADE,
    split            TEXT NOT NULL,
    protocol         TEXT NOT NULL,
    cohort           TEXT NOT NULL,
    metric           TEXT NOT NULL,
    k                INTEGER NOT NULL,
    mean             REAL NOT NULL,
    std              REAL,
    n                INTEGER NOT NULL,
    PRIMARY KEY (metric, k, split, protocol, cohort, configuration_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX configuration_metrics_by_configuration ON configuration_metrics (configuration_id);

-- Finished runs by configuration; takes configurations to be computed anew.
CREATE VIEW configuration_runs (sweep_id, configuration, axes, variant, dataset, backbone, representation, seed, run_id)
AS SELECT
    sweep_runs.sweep_id, runs.configuration, sweep_runs.axes, sweep_runs.variant, runs.dataset, runs.backbone,
    runs.representation, runs.seed, runs.run_id
FROM sweep_runs
JOIN runs ON runs.run_id = sweep_runs.run_id
WHERE sweep_runs.superseded = 0 AND runs.state = 'finished';

-- The mean and deviation of results, in one pass. Of values in [0, 1] this costs the deviation less than 1e-8.
-- SQLite has sqrt() only where it was compiled in, so Newton's method: down from above the root until it
-- falls no more.
CREATE VIEW configuration_moments
    (sweep_id, configuration, axes, split, protocol, cohort, metric, k, mean, std, n)
AS SELECT sweep_id, configuration, axes, split, protocol, cohort, metric, k, mean,
    CASE WHEN variance > 0 THEN (
        WITH RECURSIVE newton (root, last) AS (
            SELECT variance + 1, variance + 2
            UNION ALL
            SELECT (root + variance / root) / 2, root FROM newton WHERE root < last
        )
        SELECT min(root) FROM newton
    ) ELSE variance END,
    n
FROM (
    SELECT sweep_id, configuration, axes, split, protocol, cohort, metric, k,
        avg(value) AS mean,
        CASE
            WHEN count(*) = 1 THEN NULL
            WHEN min(value) = max(value) THEN 0.0
            ELSE (sum(value * value) - count(*) * avg(value) * avg(value)) / (count(*) - 1)
        END AS variance,
        count(*) AS n
    FROM configuration_runs
    JOIN metrics ON metrics.run_id = configuration_runs.run_id AND metrics.epoch IS NULL
    GROUP BY sweep_id, configuration, axes, split, protocol, cohort, metric, k
);

CREATE TRIGGER configurations_refreshed INSTEAD OF INSERT ON configuration_runs
BEGIN
    DELETE FROM configuration_metrics WHERE configuration_id = (
        SELECT configuration_id FROM configurations
        WHERE sweep_id = NEW.sweep_id AND configuration = NEW.configuration AND axes = NEW.axes
    );
    INSERT INTO configurations
        (sweep_id, configuration, axes, variant, dataset, backbone, representation, runs, seeds, run_id)
    SELECT sweep_id, configuration, axes, variant, dataset, backbone, representation, count(*),
        group_concat(seed, ', '), min(run_id)
    FROM (
        SELECT * FROM configuration_runs
        WHERE sweep_id = NEW.sweep_id AND configuration = NEW.configuration AND axes = NEW.axes
        ORDER BY seed
    )
    WHERE TRUE
    GROUP BY sweep_id, configuration, axes
    ON CONFLICT (sweep_id, configuration, axes) DO UPDATE
    SET runs = excluded.runs, seeds = excluded.seeds, run_id = excluded.run_id;
    DELETE FROM configurations
    WHERE sweep_id = NEW.sweep_id AND configuration = NEW.configuration AND axes = NEW.axes
      AND NOT EXISTS (
          SELECT 1 FROM configuration_runs
          WHERE sweep_id = NEW.sweep_id AND configuration = NEW.configuration AND axes = NEW.axes
      );
    INSERT INTO configuration_metrics (configuration_id, split, protocol, cohort, metric, k, mean, std, n)
    SELECT configuration_id, split, protocol, cohort, metric, k, mean, std, n
    FROM configuration_moments AS moments
    JOIN configurations USING (sweep_id, configuration, axes)
    WHERE moments.sweep_id = NEW.sweep_id AND moments.configuration = NEW.configuration
      AND moments.axes = NEW.axes;
END;

-- A run becomes a result, or stops being one. Its metrics are there by then.
CREATE TRIGGER configurations_of_run AFTER UPDATE OF state ON runs
WHEN (OLD.state = 'finished') <> (NEW.state = 'finished')
BEGIN
    INSERT INTO configuration_runs (sweep_id, configuration, axes)
    SELECT sweep_id, NEW.configuration, axes FROM sweep_runs WHERE run_id = NEW.run_id;
END;

-- A finished run enters a sweep, changes its place there, or leaves it.
CREATE TRIGGER configurations_of_new_place AFTER INSERT ON sweep_runs
WHEN (SELECT state = 'finished' FROM runs WHERE run_id = NEW.run_id)
BEGIN
    INSERT INTO configuration_runs (sweep_id, configuration, axes)
    SELECT NEW.sweep_id, configuration, NEW.axes FROM runs WHERE run_id = NEW.run_id;
END;

CREATE TRIGGER configurations_of_changed_place AFTER UPDATE OF axes, superseded ON sweep_runs
WHEN (OLD.axes <> NEW.axes OR OLD.superseded <> NEW.superseded)
    AND (SELECT state = 'finished' FROM runs WHERE run_id = NEW.run_id)
BEGIN
    INSERT INTO configuration_runs (sweep_id, configuration, axes)
    SELECT OLD.sweep_id, configuration, OLD.axes FROM runs WHERE run_id = NEW.run_id;
    INSERT INTO configuration_runs (sweep_id, configuration, axes)
    SELECT NEW.sweep_id, configuration, NEW.axes FROM runs WHERE run_id = NEW.run_id;
END;

CREATE TRIGGER configurations_of_old_place AFTER DELETE ON sweep_runs
BEGIN
    INSERT INTO configuration_runs (sweep_id, configuration, axes)
    SELECT OLD.sweep_id, configuration, OLD.axes FROM runs WHERE run_id = OLD.run_id;
END;

-- A run goes for good: it leaves its sweeps while its labels are still there.
CREATE TRIGGER configurations_of_gone_run BEFORE DELETE ON runs
BEGIN
    DELETE FROM sweep_runs WHERE run_id = OLD.run_id;
END;

-- Where configurations of a sweep have the same labels, as they may after a merge: what tells each from the
-- others, as in {"data":"1a2b3c4d5e6f","train.optimizer.lr":"0.03"}. No row for a configuration that has its labels
-- alone.
CREATE VIEW configuration_differences (configuration_id, differences)
AS WITH alike AS (
    SELECT configuration_id, run_id, min(configuration_id) OVER labels AS first, count(*) OVER labels AS configurations
    FROM configurations
    WINDOW labels AS (PARTITION BY sweep_id, dataset, backbone, representation, axes)
),
several AS (
    SELECT alike.*, spec, data_sha256, plugin_sha256, results_version
    FROM alike JOIN runs ON runs.run_id = alike.run_id
    WHERE configurations > 1
),
facts AS (
    -- SQLite puts some keys in quotes.
    SELECT first, configurations, configuration_id, replace(substr(fullkey, 3), '"', '') AS key,
        CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(atom AS TEXT) END AS value
    FROM several JOIN json_tree(several.spec)
    -- The folder of the data is no part of what decides a run's numbers.
    WHERE atom IS NOT NULL AND fullkey NOT IN ('$.seed', '$.dataset.path')
    UNION ALL
    SELECT first, configurations, configuration_id, 'data', substr(data_sha256, 1, 12) FROM several
    UNION ALL
    SELECT first, configurations, configuration_id, 'plugin', coalesce(substr(plugin_sha256, 1, 12), 'none')
    FROM several
    UNION ALL
    SELECT first, configurations, configuration_id, 'results_version', CAST(results_version AS TEXT) FROM several
),
differing AS (
    SELECT first, key FROM facts
    GROUP BY first, key HAVING count(*) < configurations OR min(value) <> max(value)
)
SELECT configuration_id, json_group_object(key, value)
FROM (
    SELECT configuration_id, key, value FROM facts
    WHERE (first, key) IN (SELECT first, key FROM differing)
        -- The fingerprint of the data covers the settings of the dataset.
        AND NOT (key = 'data' AND EXISTS (
            SELECT 1 FROM differing WHERE differing.first = facts.first AND differing.key GLOB 'dataset.*'
        ))
    ORDER BY configuration_id, key
)
GROUP BY configuration_id;

-- The users and items of each run by the ids of the data.
CREATE VIEW run_users (run_id, user, user_id)
AS SELECT runs.run_id, user_ids.user, user_ids.user_id
FROM runs
JOIN id_sets ON id_sets.sha256 = runs.ids_sha256
JOIN user_ids ON user_ids.id_set = id_sets.id_set;

CREATE VIEW run_items (run_id, item, item_id)
AS SELECT runs.run_id, item_ids.item, item_ids.item_id
FROM runs
JOIN id_sets ON id_sets.sha256 = runs.ids_sha256
JOIN item_ids ON item_ids.id_set = id_sets.id_set;

-- Views for the usual questions; docs/results-schema.md explains each.

CREATE VIEW leaderboard
    (sweep, run_id, dataset, backbone, representation, variant, axes, configuration, seed, split, protocol, cohort,
     metric, k, value)
AS SELECT
    sweeps.name, runs.run_id, runs.dataset, runs.backbone, runs.representation, sweep_runs.variant, sweep_runs.axes,
    runs.configuration, runs.seed, metrics.split, metrics.protocol, metrics.cohort, metrics.metric, metrics.k,
    metrics.value
FROM sweep_runs
JOIN sweeps ON sweeps.sweep_id = sweep_runs.sweep_id
JOIN runs ON runs.run_id = sweep_runs.run_id
JOIN metrics ON metrics.run_id = runs.run_id
WHERE sweep_runs.superseded = 0 AND runs.state = 'finished' AND metrics.epoch IS NULL;

-- The leaderboard over seeds. std is that of the sample (n - 1), NULL for a single run.
CREATE VIEW leaderboard_mean
    (sweep, dataset, backbone, representation, variant, axes, configuration, split, protocol, cohort, metric, k, mean,
     std, n)
AS SELECT
    sweeps.name, own.dataset, own.backbone, own.representation, own.variant, own.axes, own.configuration, results.split,
    results.protocol, results.cohort, results.metric, results.k, results.mean, results.std, results.n
FROM configuration_metrics AS results
JOIN configurations AS own ON own.configuration_id = results.configuration_id
JOIN sweeps ON sweeps.sweep_id = own.sweep_id;

-- Test results of the configuration of each backbone that is best on the validation split (NDCG@10,
-- full ranking, everyone, mean over seeds). Choosing by the test split would report luck.
CREATE VIEW best_per_backbone
    (sweep, dataset, backbone, representation, variant, axes, configuration, valid_ndcg_10, protocol, cohort, metric, k,
     mean, std, n)
AS WITH best AS (
    -- Columns beside max() are those of the row that has it: https://www.sqlite.org/lang_select.html#bareagg.
    SELECT own.sweep_id, own.dataset, own.backbone, own.representation, own.variant, own.axes, own.configuration,
        valid.configuration_id, max(valid.mean) AS valid_ndcg_10
    FROM configuration_metrics AS valid
    JOIN configurations AS own ON own.configuration_id = valid.configuration_id
    WHERE valid.split = 'valid' AND valid.protocol = 'full' AND valid.cohort = 'all'
        AND valid.metric = 'ndcg' AND valid.k = 10
    GROUP BY own.sweep_id, own.dataset, own.backbone
)
SELECT sweeps.name, best.dataset, best.backbone, best.representation, best.variant, best.axes, best.configuration,
    best.valid_ndcg_10, results.protocol, results.cohort, results.metric, results.k, results.mean, results.std, results.n
FROM best
JOIN sweeps ON sweeps.sweep_id = best.sweep_id
JOIN configuration_metrics AS results ON results.configuration_id = best.configuration_id
WHERE results.split = 'test';

-- Every configuration beside every other one of its sweep, dataset and backbone that was tested on the same
-- sequences and averaged over the same seeds. Name the baseline: WHERE baseline = 'id', and baseline_variant where
-- there are several.
CREATE VIEW ablation
    (sweep, dataset, backbone, representation, variant, axes, configuration, baseline, baseline_variant,
     baseline_axes, baseline_configuration, split, protocol, cohort, metric, k, mean, baseline_mean, difference, percent,
     n)
AS SELECT
    sweeps.name, own.dataset, own.backbone, own.representation, own.variant, own.axes, own.configuration,
    base.representation, base.variant, base.axes, base.configuration,
    own_results.split, own_results.protocol, own_results.cohort, own_results.metric, own_results.k,
    own_results.mean, base_results.mean, own_results.mean - base_results.mean,
    100 * (own_results.mean / nullif(base_results.mean, 0) - 1), own_results.n
FROM configuration_metrics AS own_results
JOIN configurations AS own ON own.configuration_id = own_results.configuration_id
JOIN configurations AS base ON base.sweep_id = own.sweep_id AND base.dataset = own.dataset
    AND base.backbone = own.backbone AND base.seeds = own.seeds AND base.configuration_id <> own.configuration_id
JOIN runs AS own_run ON own_run.run_id = own.run_id
JOIN runs AS base_run ON base_run.run_id = base.run_id AND base_run.sequences_sha256 = own_run.sequences_sha256
JOIN configuration_metrics AS base_results ON base_results.configuration_id = base.configuration_id
    AND base_results.split = own_results.split AND base_results.protocol = own_results.protocol
    AND base_results.cohort = own_results.cohort AND base_results.metric = own_results.metric
    AND base_results.k = own_results.k
JOIN sweeps ON sweeps.sweep_id = own.sweep_id;

-- One row per epoch of every run that has any, whatever became of the run.
CREATE VIEW learning_curves
    (sweep, run_id, state, dataset, backbone, representation, variant, axes, configuration, seed, epoch, loss,
     calibration, valid, best, train_seconds)
AS SELECT
    sweeps.name, runs.run_id, runs.state, runs.dataset, runs.backbone, runs.representation, sweep_runs.variant,
    sweep_runs.axes, runs.configuration, runs.seed, epochs.epoch, epochs.loss, epochs.calibration, epochs.valid,
    epochs.best, epochs.train_seconds
FROM sweep_runs
JOIN sweeps ON sweeps.sweep_id = sweep_runs.sweep_id
JOIN runs ON runs.run_id = sweep_runs.run_id
JOIN epochs ON epochs.run_id = runs.run_id
WHERE sweep_runs.superseded = 0;

-- What every finished run took, and on what. Compare only rows of one host, device and threads.
CREATE VIEW cost
    (sweep, run_id, dataset, backbone, representation, variant, axes, configuration, seed, host, device, threads,
     parameters, epochs, best_epoch, seconds, train_seconds, seconds_per_epoch, cpu_seconds, peak_memory_mib)
AS SELECT
    sweeps.name, runs.run_id, runs.dataset, runs.backbone, runs.representation, sweep_runs.variant, sweep_runs.axes,
    runs.configuration, runs.seed, runs.host, runs.device, runs.threads, runs.parameters, runs.epochs,
    runs.best_epoch, runs.seconds,
    runs.train_seconds, runs.train_seconds / nullif(runs.epochs, 0), runs.cpu_seconds,
    runs.peak_memory_bytes / 1048576.0
FROM sweep_runs
JOIN sweeps ON sweeps.sweep_id = sweep_runs.sweep_id
JOIN runs ON runs.run_id = sweep_runs.run_id
WHERE sweep_runs.superseded = 0 AND runs.state = 'finished';
