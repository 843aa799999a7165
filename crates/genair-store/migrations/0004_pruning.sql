-- How runs were judged while they trained, whether they went on or not; never deleted by a new attempt.
CREATE TABLE prune_decisions (
    run_id     INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    rung       INTEGER NOT NULL CHECK (rung >= 0), -- asha: of grace * reduction^rung epochs; median: epochs after the grace
    epoch      INTEGER NOT NULL CHECK (epoch >= 1), -- the validation it was judged after
    rule       TEXT NOT NULL CHECK (rule IN ('asha', 'median')),
    value      REAL NOT NULL, -- the best validation so far
    threshold  REAL, -- just good enough; NULL where there was nothing to compare with
    compared   INTEGER NOT NULL CHECK (compared >= 0), -- other runs
    pruned     INTEGER NOT NULL CHECK (pruned IN (0, 1)),
    decided_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    PRIMARY KEY (run_id, rung)
) STRICT, WITHOUT ROWID;
