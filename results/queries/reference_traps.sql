-- How much of a published number is a trap of its code: each form beside the honest one (causal where the
-- backbone may be, padding masked) of the same sweep and seeds. Made for a sweep that varies nothing else.
WITH forms AS (
    SELECT sweeps.name AS sweep, own.dataset, own.backbone, own.representation, own.variant, own.configuration,
        seeds,
        coalesce(json_extract(runs.spec, '$.backbone.params.causal'), 1) AS causal,
        coalesce(json_extract(runs.spec, '$.backbone.params.key_padding_mask'), 1) AS key_padding_mask
    FROM configurations AS own
    JOIN sweeps USING (sweep_id)
    JOIN runs USING (run_id)
),
results AS (
    SELECT * FROM forms
    JOIN leaderboard_mean USING (sweep, dataset, backbone, representation, variant, configuration)
    WHERE sweep IN (SELECT sweep FROM forms WHERE NOT (causal AND key_padding_mask))
        AND split = 'test' AND cohort = 'all' AND k = 10 AND metric IN ('hr', 'ndcg')
)
SELECT form.sweep, form.dataset, form.backbone, form.representation, form.variant,
    substr(form.configuration, 1, 8) AS configuration, form.causal, form.key_padding_mask, form.protocol,
    form.metric || '@' || form.k AS metric, form.n AS seeds,
    round(form.mean, 4) AS mean, round(form.std, 4) AS std,
    round(form.mean - honest.mean, 4) AS difference
FROM results AS form
JOIN results AS honest USING (sweep, dataset, backbone, representation, seeds, protocol, metric, k)
WHERE honest.causal AND honest.key_padding_mask
ORDER BY form.sweep, form.dataset, form.backbone, form.representation, form.protocol, metric, form.causal DESC,
    form.key_padding_mask DESC;
