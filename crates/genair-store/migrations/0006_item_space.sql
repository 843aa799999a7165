-- A picture of a run's item space: a sample of items on its two principal axes, before training and by
-- the best epoch's weights.
CREATE TABLE item_space (
    run_id       INTEGER NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    epoch        INTEGER NOT NULL CHECK (epoch >= 0), -- 0 before training, else the best epoch
    item         INTEGER NOT NULL CHECK (item >= 1), -- number in the filtered dataset
    x            REAL NOT NULL,
    y            REAL NOT NULL,
    interactions INTEGER NOT NULL, -- of the item in the training part
    PRIMARY KEY (run_id, epoch, item)
) STRICT, WITHOUT ROWID;
