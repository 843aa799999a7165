-- The item space of each run before training (epoch 0) and by its best epoch's weights: uniformity, how far
-- items are from being spread evenly over the sphere (lower is more even); alignment and the correlation of
-- similarity with behaviour where the sweep has association scores; and how far the pictured items spread.
SELECT sweeps.name AS sweep, dataset, backbone, representation, variant, seed, diagnostics.epoch,
    round(max(value) FILTER (WHERE diagnostics.name = 'uniformity'), 4) AS uniformity,
    round(max(value) FILTER (WHERE diagnostics.name = 'alignment'), 4) AS alignment,
    round(max(value) FILTER (WHERE diagnostics.name = 'association_spearman'), 4) AS association_spearman,
    (SELECT count(*) FROM item_space AS shown
     WHERE shown.run_id = runs.run_id AND shown.epoch = diagnostics.epoch) AS pictured_items,
    (SELECT round(avg(x * x + y * y), 4) FROM item_space AS shown
     WHERE shown.run_id = runs.run_id AND shown.epoch = diagnostics.epoch) AS variance_in_picture
FROM sweep_runs
JOIN sweeps USING (sweep_id)
JOIN runs USING (run_id)
JOIN diagnostics USING (run_id)
WHERE NOT superseded AND state = 'finished'
GROUP BY sweep, runs.run_id, diagnostics.epoch
ORDER BY sweep, dataset, backbone, representation, variant, seed, diagnostics.epoch;
