-- How a run that was stopped came to go on: ASHA promotes what has come to be among the best of its rung, or
-- somebody asked for it (--continue-pruned), and then it is not judged again.
ALTER TABLE prune_decisions ADD COLUMN continued TEXT CHECK (continued IN ('promoted', 'asked'));

UPDATE prune_decisions SET continued = 'asked'
WHERE pruned = 1 AND run_id IN (SELECT run_id FROM runs WHERE state <> 'pruned');
