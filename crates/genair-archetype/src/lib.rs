//! Item metadata to archetypes, and archetypes to item vectors: prompts, engines, the record cache, PCA, import and report.
