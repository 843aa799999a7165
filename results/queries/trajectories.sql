-- A search as it went: how far each run of a sweep with pruned runs got, and its best validation on the way.
SELECT sweep, dataset, backbone, representation, variant, seed, run_id, state, max(epoch) AS epochs,
    round(max(valid), 5) AS best_valid,
    round(sum(train_seconds), 1) AS train_seconds
FROM learning_curves AS curves
WHERE state IN ('finished', 'pruned')
    -- Asked of runs as well, for which there is an index.
    AND run_id IN (SELECT run_id FROM sweep_runs WHERE sweep_id IN (
        SELECT sweep_id FROM sweep_runs JOIN runs USING (run_id) WHERE state = 'pruned'))
    AND sweep IN (SELECT sweeps.name FROM runs JOIN sweep_runs USING (run_id) JOIN sweeps USING (sweep_id)
        WHERE state = 'pruned')
GROUP BY sweep, run_id
ORDER BY sweep, dataset, best_valid DESC;
