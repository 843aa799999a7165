-- Component ablation: every representation beside a baseline, seed by seed, then mean difference over
-- seeds. Name the baseline in the first line of the statement.
WITH settings (baseline) AS (VALUES ('id'))
SELECT other.sweep, other.dataset, other.backbone, other.representation, other.variant, other.protocol,
    other.metric || '@' || other.k AS metric,
    count(*) AS seeds,
    round(avg(other.value), 4) AS mean,
    round(avg(other.value - base.value), 4) AS difference,
    round(100 * (avg(other.value) / nullif(avg(base.value), 0) - 1), 1) AS percent
FROM settings
JOIN leaderboard AS base ON base.representation = settings.baseline
JOIN leaderboard AS other USING (sweep, dataset, backbone, seed, split, protocol, cohort, metric, k)
WHERE other.split = 'test' AND other.cohort = 'all' AND other.k = 10 AND other.metric IN ('hr', 'ndcg')
    AND other.representation <> base.representation
    AND base.variant IN (other.variant, '') -- The baseline of the same variant, or one that has no axes.
GROUP BY other.sweep, other.dataset, other.backbone, other.representation, other.variant, other.protocol, metric
ORDER BY other.sweep, other.dataset, other.backbone, other.protocol, metric, difference DESC;
