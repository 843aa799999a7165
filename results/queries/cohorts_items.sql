-- Rare and popular targets: NDCG@10 and HR@10 of the users whose target has fewer training interactions
-- than runs.head_item, and of the others.
SELECT sweep, dataset, backbone, representation, variant, substr(configuration, 1, 8) AS configuration,
    metric || '@' || k AS metric,
    round(max(mean) FILTER (WHERE cohort = 'tail-item'), 4) AS tail,
    round(max(std) FILTER (WHERE cohort = 'tail-item'), 4) AS "std of tail",
    round(max(mean) FILTER (WHERE cohort = 'head-item'), 4) AS head,
    round(max(std) FILTER (WHERE cohort = 'head-item'), 4) AS "std of head"
FROM leaderboard_mean
WHERE split = 'test' AND protocol = 'full' AND k = 10 AND metric IN ('hr', 'ndcg')
    AND cohort IN ('tail-item', 'head-item')
GROUP BY sweep, dataset, backbone, representation, variant, leaderboard_mean.configuration, metric, k
ORDER BY sweep, dataset, metric, backbone, representation, variant;
