-- Sensitivity to alpha, the weight of the calibration term:
-- a point per value and configuration, with the band of one standard deviation over seeds.
WITH swept AS (
    SELECT sweeps.name AS sweep, own.dataset, own.backbone, own.representation, own.variant,
        own.configuration, json_extract(runs.spec, '$.representation.calibration.alpha') AS alpha
    FROM configurations AS own
    JOIN sweeps USING (sweep_id)
    JOIN runs USING (run_id)
)
SELECT sweep, dataset, backbone, representation, variant,
    substr(configuration, 1, 8) AS configuration, alpha, n AS seeds,
    round(mean, 4) AS "NDCG@10", round(mean - std, 4) AS low, round(mean + std, 4) AS high
FROM swept
JOIN leaderboard_mean USING (sweep, dataset, backbone, representation, variant, configuration)
WHERE alpha IS NOT NULL
    AND split = 'test' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10
ORDER BY sweep, dataset, backbone, representation, alpha;
