-- What every configuration came to over its seeds, kept by triggers, so that a leaderboard of ten thousand
-- runs is read rather than computed. The views keep their names, columns and meaning.

-- A configuration of a sweep that has finished runs: what differs between runs but the seed.
CREATE TABLE configurations (
    configuration_id INTEGER PRIMARY KEY,
    sweep_id         INTEGER NOT NULL REFERENCES sweeps (sweep_id) ON DELETE CASCADE,
    dataset          TEXT NOT NULL,
    backbone         TEXT NOT NULL,
    representation   TEXT NOT NULL,
    variant          TEXT NOT NULL,
    runs             INTEGER NOT NULL CHECK (runs >= 1), -- finished ones
    seeds            TEXT NOT NULL, -- theirs, in order, as in 44, 45, 46
    run_id           INTEGER NOT NULL, -- the first of them, for what all have in common
    UNIQUE (sweep_id, dataset, backbone, representation, variant)
) STRICT;

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
CREATE INDEX sweep_runs_by_variant ON sweep_runs (sweep_id, variant);

-- Finished runs by configuration; takes configurations to be computed anew.
CREATE VIEW configuration_runs (sweep_id, dataset, backbone, representation, variant, seed, run_id)
AS SELECT
    sweep_runs.sweep_id, runs.dataset, runs.backbone, runs.representation, sweep_runs.variant, runs.seed, runs.run_id
FROM sweep_runs
JOIN runs ON runs.run_id = sweep_runs.run_id
WHERE sweep_runs.superseded = 0 AND runs.state = 'finished';

-- The mean and deviation of results, in one pass. Of values in [0, 1] this costs the deviation less than 1e-8.
-- SQLite has sqrt() only where it was compiled in, so Newton's method: down from above the root until it
-- falls no more.
CREATE VIEW configuration_moments
    (sweep_id, dataset, backbone, representation, variant, split, protocol, cohort, metric, k, mean, std, n)
AS SELECT sweep_id, dataset, backbone, representation, variant, split, protocol, cohort, metric, k, mean,
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
    SELECT sweep_id, dataset, backbone, representation, variant, split, protocol, cohort, metric, k,
        avg(value) AS mean,
        CASE
            WHEN count(*) = 1 THEN NULL
            WHEN min(value) = max(value) THEN 0.0
            ELSE (sum(value * value) - count(*) * avg(value) * avg(value)) / (count(*) - 1)
        END AS variance,
        count(*) AS n
    FROM configuration_runs
    JOIN metrics ON metrics.run_id = configuration_runs.run_id AND metrics.epoch IS NULL
    GROUP BY sweep_id, dataset, backbone, representation, variant, split, protocol, cohort, metric, k
);

CREATE TRIGGER configurations_refreshed INSTEAD OF INSERT ON configuration_runs
BEGIN
    DELETE FROM configuration_metrics WHERE configuration_id = (
        SELECT configuration_id FROM configurations
        WHERE sweep_id = NEW.sweep_id AND dataset = NEW.dataset AND backbone = NEW.backbone
          AND representation = NEW.representation AND variant = NEW.variant
    );
    INSERT INTO configurations (sweep_id, dataset, backbone, representation, variant, runs, seeds, run_id)
    SELECT sweep_id, dataset, backbone, representation, variant, count(*), group_concat(seed, ', '), min(run_id)
    FROM (
        SELECT * FROM configuration_runs
        WHERE sweep_id = NEW.sweep_id AND dataset = NEW.dataset AND backbone = NEW.backbone
          AND representation = NEW.representation AND variant = NEW.variant
        ORDER BY seed
    )
    WHERE TRUE
    GROUP BY sweep_id, dataset, backbone, representation, variant
    ON CONFLICT (sweep_id, dataset, backbone, representation, variant) DO UPDATE
    SET runs = excluded.runs, seeds = excluded.seeds, run_id = excluded.run_id;
    DELETE FROM configurations
    WHERE sweep_id = NEW.sweep_id AND dataset = NEW.dataset AND backbone = NEW.backbone
      AND representation = NEW.representation AND variant = NEW.variant
      AND NOT EXISTS (
          SELECT 1 FROM configuration_runs
          WHERE sweep_id = NEW.sweep_id AND dataset = NEW.dataset AND backbone = NEW.backbone
            AND representation = NEW.representation AND variant = NEW.variant
      );
    INSERT INTO configuration_metrics (configuration_id, split, protocol, cohort, metric, k, mean, std, n)
    SELECT configuration_id, split, protocol, cohort, metric, k, mean, std, n
    FROM configuration_moments AS moments
    JOIN configurations USING (sweep_id, dataset, backbone, representation, variant)
    WHERE moments.sweep_id = NEW.sweep_id AND moments.dataset = NEW.dataset AND moments.backbone = NEW.backbone
      AND moments.representation = NEW.representation AND moments.variant = NEW.variant;
END;

-- A run becomes a result, or stops being one. Its metrics are there by then.
CREATE TRIGGER configurations_of_run AFTER UPDATE OF state ON runs
WHEN (OLD.state = 'finished') <> (NEW.state = 'finished')
BEGIN
    INSERT INTO configuration_runs (sweep_id, dataset, backbone, representation, variant)
    SELECT sweep_id, NEW.dataset, NEW.backbone, NEW.representation, variant
    FROM sweep_runs WHERE run_id = NEW.run_id;
END;

-- A finished run enters a sweep, changes its place there, or leaves it.
CREATE TRIGGER configurations_of_new_place AFTER INSERT ON sweep_runs
WHEN (SELECT state = 'finished' FROM runs WHERE run_id = NEW.run_id)
BEGIN
    INSERT INTO configuration_runs (sweep_id, dataset, backbone, representation, variant)
    SELECT NEW.sweep_id, dataset, backbone, representation, NEW.variant FROM runs WHERE run_id = NEW.run_id;
END;

CREATE TRIGGER configurations_of_changed_place AFTER UPDATE OF variant, superseded ON sweep_runs
WHEN (OLD.variant <> NEW.variant OR OLD.superseded <> NEW.superseded)
    AND (SELECT state = 'finished' FROM runs WHERE run_id = NEW.run_id)
BEGIN
    INSERT INTO configuration_runs (sweep_id, dataset, backbone, representation, variant)
    SELECT OLD.sweep_id, dataset, backbone, representation, OLD.variant FROM runs WHERE run_id = NEW.run_id;
    INSERT INTO configuration_runs (sweep_id, dataset, backbone, representation, variant)
    SELECT NEW.sweep_id, dataset, backbone, representation, NEW.variant FROM runs WHERE run_id = NEW.run_id;
END;

CREATE TRIGGER configurations_of_old_place AFTER DELETE ON sweep_runs
BEGIN
    INSERT INTO configuration_runs (sweep_id, dataset, backbone, representation, variant)
    SELECT OLD.sweep_id, dataset, backbone, representation, OLD.variant FROM runs WHERE run_id = OLD.run_id;
END;

-- A run goes for good: it leaves its sweeps while its labels are still there.
CREATE TRIGGER configurations_of_gone_run BEFORE DELETE ON runs
BEGIN
    DELETE FROM sweep_runs WHERE run_id = OLD.run_id;
END;

-- What is there already.
INSERT INTO configurations (sweep_id, dataset, backbone, representation, variant, runs, seeds, run_id)
SELECT sweep_id, dataset, backbone, representation, variant, count(*), group_concat(seed, ', '), min(run_id)
FROM (SELECT * FROM configuration_runs ORDER BY sweep_id, dataset, backbone, representation, variant, seed)
GROUP BY sweep_id, dataset, backbone, representation, variant;

INSERT INTO configuration_metrics (configuration_id, split, protocol, cohort, metric, k, mean, std, n)
SELECT configuration_id, split, protocol, cohort, metric, k, mean, std, n
FROM configuration_moments JOIN configurations USING (sweep_id, dataset, backbone, representation, variant);

DROP VIEW best_per_backbone;
DROP VIEW leaderboard_mean;

CREATE VIEW leaderboard_mean
    (sweep, dataset, backbone, representation, variant, split, protocol, cohort, metric, k, mean, std, n)
AS SELECT
    sweeps.name, own.dataset, own.backbone, own.representation, own.variant, results.split, results.protocol,
    results.cohort, results.metric, results.k, results.mean, results.std, results.n
FROM configuration_metrics AS results
JOIN configurations AS own ON own.configuration_id = results.configuration_id
JOIN sweeps ON sweeps.sweep_id = own.sweep_id;

-- Test results of the configuration of each backbone that is best on the validation split (NDCG@10,
-- full ranking, everyone, mean over seeds). Choosing by the test split would report luck.
CREATE VIEW best_per_backbone
    (sweep, dataset, backbone, representation, variant, valid_ndcg_10, protocol, cohort, metric, k, mean, std, n)
AS WITH best AS (
    -- Columns beside max() are those of the row that has it: https://www.sqlite.org/lang_select.html#bareagg.
    SELECT own.sweep_id, own.dataset, own.backbone, own.representation, own.variant,
        valid.configuration_id, max(valid.mean) AS valid_ndcg_10
    FROM configuration_metrics AS valid
    JOIN configurations AS own ON own.configuration_id = valid.configuration_id
    WHERE valid.split = 'valid' AND valid.protocol = 'full' AND valid.cohort = 'all'
        AND valid.metric = 'ndcg' AND valid.k = 10
    GROUP BY own.sweep_id, own.dataset, own.backbone
)
SELECT sweeps.name, best.dataset, best.backbone, best.representation, best.variant, best.valid_ndcg_10,
    results.protocol, results.cohort, results.metric, results.k, results.mean, results.std, results.n
FROM best
JOIN sweeps ON sweeps.sweep_id = best.sweep_id
JOIN configuration_metrics AS results ON results.configuration_id = best.configuration_id
WHERE results.split = 'test';

-- Every configuration beside every other one of its sweep, dataset and backbone that was tested on the same
-- sequences and averaged over the same seeds. Name the baseline: WHERE baseline = 'id', and baseline_variant where there are several.
CREATE VIEW ablation
    (sweep, dataset, backbone, representation, variant, baseline, baseline_variant, split, protocol, cohort, metric,
     k, mean, baseline_mean, difference, percent, n)
AS SELECT
    sweeps.name, own.dataset, own.backbone, own.representation, own.variant, base.representation, base.variant,
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
