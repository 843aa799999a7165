-- Test results of each backbone's configuration that is best on the validation split.
SELECT sweep, dataset, backbone, representation, variant, substr(configuration, 1, 8) AS configuration, protocol,
    round(max(mean) FILTER (WHERE metric = 'hr'), 4) AS "HR@10",
    round(max(mean) FILTER (WHERE metric = 'ndcg'), 4) AS "NDCG@10"
FROM best_per_backbone
WHERE cohort = 'all' AND k = 10
GROUP BY sweep, dataset, backbone, representation, variant, best_per_backbone.configuration, protocol
ORDER BY sweep, dataset, protocol, "NDCG@10" DESC;
