-- Sensitivity to components, the principal components of each part of the vectors:
-- a point per value and configuration, with the band of one standard deviation over seeds.
WITH swept AS (
    SELECT *, CAST(axes ->> 'components' AS INTEGER) AS components
    FROM leaderboard_mean
    WHERE split = 'test' AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10
)
SELECT sweep, dataset, backbone, representation, variant, substr(configuration, 1, 8) AS configuration,
    components, n AS seeds,
    round(mean, 4) AS "NDCG@10", round(mean - std, 4) AS low, round(mean + std, 4) AS high
FROM swept
WHERE components IS NOT NULL
ORDER BY sweep, dataset, backbone, representation, components;
