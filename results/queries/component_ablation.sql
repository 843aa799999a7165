-- Component ablation: every configuration beside a baseline, mean over the seeds of both. Name the baseline
-- in the first line of the statement.
WITH settings (baseline) AS (VALUES ('id'))
SELECT sweep, dataset, backbone, representation, variant, substr(configuration, 1, 8) AS configuration, baseline,
    baseline_variant, substr(baseline_configuration, 1, 8) AS baseline_configuration, protocol,
    metric || '@' || k AS metric, n AS seeds,
    round(mean, 4) AS mean,
    round(difference, 4) AS difference,
    round(percent, 1) AS percent
FROM settings
JOIN ablation USING (baseline)
WHERE split = 'test' AND cohort = 'all' AND k = 10 AND metric IN ('hr', 'ndcg')
    AND representation <> baseline
    AND baseline_axes IN (axes, '{}') -- The baseline of the same axes, or one that has none.
ORDER BY sweep, dataset, backbone, protocol, metric, difference DESC;
