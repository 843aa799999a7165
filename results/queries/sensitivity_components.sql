-- Sensitivity to components, the principal components of each part of the vectors:
-- a point per value and configuration, with the band of one standard deviation over seeds.
WITH swept AS (
    SELECT DISTINCT cost.sweep, cost.dataset, cost.backbone, cost.representation, cost.variant,
        CASE WHEN instr(',' || cost.variant, ',components=') > 0 -- The axis's number: a cast takes what looks like one.
            THEN CAST(substr(',' || cost.variant, instr(',' || cost.variant, ',components=') + 12) AS INTEGER) END AS components
    FROM cost
    JOIN runs USING (run_id)
)
SELECT sweep, dataset, backbone, representation, variant, components, n AS seeds,
    round(mean, 4) AS "NDCG@10", round(mean - std, 4) AS low, round(mean + std, 4) AS high
FROM swept
JOIN leaderboard_mean USING (sweep, dataset, backbone, representation, variant)
WHERE components IS NOT NULL
    AND split = 'test' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10
ORDER BY sweep, dataset, backbone, representation, components;
