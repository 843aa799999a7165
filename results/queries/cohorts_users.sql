-- Short and long histories: NDCG@10 and HR@10 of the users whose input is shorter than runs.long_user,
-- and of the others.
SELECT sweep, dataset, backbone, representation, variant, substr(configuration, 1, 8) AS configuration,
    metric || '@' || k AS metric,
    round(max(mean) FILTER (WHERE cohort = 'short-user'), 4) AS short,
    round(max(std) FILTER (WHERE cohort = 'short-user'), 4) AS "std of short",
    round(max(mean) FILTER (WHERE cohort = 'long-user'), 4) AS long,
    round(max(std) FILTER (WHERE cohort = 'long-user'), 4) AS "std of long"
FROM leaderboard_mean
WHERE split = 'test' AND protocol = 'full' AND k = 10 AND metric IN ('hr', 'ndcg')
    AND cohort IN ('short-user', 'long-user')
GROUP BY sweep, dataset, backbone, representation, variant, leaderboard_mean.configuration, metric, k
ORDER BY sweep, dataset, metric, backbone, representation, variant;
