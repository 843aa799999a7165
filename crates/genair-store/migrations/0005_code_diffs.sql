-- Differences of the source are kept compressed from here on; `diff` is empty then.
ALTER TABLE code_diffs ADD COLUMN gzip BLOB;
