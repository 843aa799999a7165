-- Main table: mean and standard deviation over seeds of each configuration, on the test split.
SELECT sweep, dataset, backbone, representation, variant, substr(configuration, 1, 8) AS configuration, protocol,
    max(n) AS seeds,
    round(max(mean) FILTER (WHERE metric = 'hr'), 4) AS "HR@10",
    round(max(std) FILTER (WHERE metric = 'hr'), 4) AS "std of HR@10",
    round(max(mean) FILTER (WHERE metric = 'ndcg'), 4) AS "NDCG@10",
    round(max(std) FILTER (WHERE metric = 'ndcg'), 4) AS "std of NDCG@10"
FROM leaderboard_mean
WHERE split = 'test' AND cohort = 'all' AND k = 10 AND metric IN ('hr', 'ndcg')
GROUP BY sweep, dataset, backbone, representation, variant, leaderboard_mean.configuration, protocol
ORDER BY sweep, dataset, protocol, "NDCG@10" DESC;
