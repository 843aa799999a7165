-- Views for the usual questions; docs/results-schema.md explains each. A configuration is what
-- differs between runs but the seed: dataset, backbone, representation and variant.

-- One metric of every run, without reading the others.
CREATE INDEX results_by_metric ON metrics (metric, k, split, protocol, cohort, run_id, value) WHERE epoch IS NULL;

-- The leaderboard over seeds. std is that of the sample (n - 1), NULL for a single run.
CREATE VIEW leaderboard_mean
    (sweep, dataset, backbone, representation, variant, split, protocol, cohort, metric, k, mean, std, n)
AS WITH moments AS (
    -- In one pass: SQLite carries a condition on the view into a plain aggregate, but not past a window
    -- function. Of values in [0, 1] this costs the deviation less than 1e-8.
    SELECT sweep, dataset, backbone, representation, variant, split, protocol, cohort, metric, k,
        avg(value) AS mean,
        CASE
            WHEN count(*) = 1 THEN NULL
            WHEN min(value) = max(value) THEN 0.0
            ELSE (sum(value * value) - count(*) * avg(value) * avg(value)) / (count(*) - 1)
        END AS variance,
        count(*) AS n
    FROM leaderboard
    GROUP BY sweep, dataset, backbone, representation, variant, split, protocol, cohort, metric, k
)
SELECT sweep, dataset, backbone, representation, variant, split, protocol, cohort, metric, k, mean,
    -- SQLite has sqrt() only where it was compiled in, so Newton's method: down from above the root
    -- until it falls no more.
    CASE WHEN variance > 0 THEN (
        WITH RECURSIVE newton (root, last) AS (
            SELECT variance + 1, variance + 2
            UNION ALL
            SELECT (root + variance / root) / 2, root FROM newton WHERE root < last
        )
        SELECT min(root) FROM newton
    ) ELSE variance END,
    n
FROM moments;

-- Test results of the configuration of each backbone that is best on the validation split (NDCG@10,
-- full ranking, everyone, mean over seeds). Choosing by the test split would report luck.
CREATE VIEW best_per_backbone
    (sweep, dataset, backbone, representation, variant, valid_ndcg_10, protocol, cohort, metric, k, mean, std, n)
AS WITH best AS (
    -- Columns beside max() are those of the row that has it: https://www.sqlite.org/lang_select.html#bareagg.
    SELECT sweep, dataset, backbone, representation, variant, max(mean) AS valid_ndcg_10
    FROM (
        SELECT sweep, dataset, backbone, representation, variant, avg(value) AS mean
        FROM leaderboard
        WHERE split = 'valid' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10
        GROUP BY sweep, dataset, backbone, representation, variant
    )
    GROUP BY sweep, dataset, backbone
)
SELECT sweep, dataset, backbone, representation, variant, valid_ndcg_10, protocol, cohort, metric, k, mean, std, n
FROM best
JOIN leaderboard_mean USING (sweep, dataset, backbone, representation, variant)
WHERE split = 'test';

-- One row per epoch of every run that has any, whatever became of the run.
CREATE VIEW learning_curves
    (sweep, run_id, state, dataset, backbone, representation, variant, seed, epoch, loss, calibration, valid, best,
     train_seconds)
AS SELECT
    sweeps.name, runs.run_id, runs.state, runs.dataset, runs.backbone, runs.representation, sweep_runs.variant,
    runs.seed, epochs.epoch, epochs.loss, epochs.calibration, epochs.valid, epochs.best, epochs.train_seconds
FROM sweep_runs
JOIN sweeps ON sweeps.sweep_id = sweep_runs.sweep_id
JOIN runs ON runs.run_id = sweep_runs.run_id
JOIN epochs ON epochs.run_id = runs.run_id
WHERE sweep_runs.superseded = 0;

-- What every finished run took, and on what. Compare only rows of one host, device and threads.
CREATE VIEW cost
    (sweep, run_id, dataset, backbone, representation, variant, seed, host, device, threads, parameters, epochs,
     best_epoch, seconds, train_seconds, seconds_per_epoch, cpu_seconds, peak_memory_mib)
AS SELECT
    sweeps.name, runs.run_id, runs.dataset, runs.backbone, runs.representation, sweep_runs.variant, runs.seed,
    runs.host, runs.device, runs.threads, runs.parameters, runs.epochs, runs.best_epoch, runs.seconds,
    runs.train_seconds, runs.train_seconds / nullif(runs.epochs, 0), runs.cpu_seconds,
    runs.peak_memory_bytes / 1048576.0
FROM sweep_runs
JOIN sweeps ON sweeps.sweep_id = sweep_runs.sweep_id
JOIN runs ON runs.run_id = sweep_runs.run_id
WHERE sweep_runs.superseded = 0 AND runs.state = 'finished';
