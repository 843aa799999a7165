//! From a spec to a dataset, and the fingerprint that stands for what a spec yields.

use genair_files::Sha256;

use crate::interactions::Interactions;
use crate::{Catalogue, DataError, Dataset, filter, read, synthetic};
use genair_protocol::{DatasetKind, DatasetSpec};

/// What a spec names, read or generated once: its catalogue and its dataset are made of it.
#[derive(Clone, Debug)]
pub struct Source(Interactions);

impl Source {
    /// Every interaction, in its order; only row-by-row rules are applied.
    ///
    /// # Errors
    /// The first [`DataError`] met; nothing is skipped in silence.
    pub fn read(spec: &DatasetSpec) -> Result<Self, DataError> {
        refuse_problems(spec)?;
        let interactions = match spec.kind {
            DatasetKind::Table | DatasetKind::Recbole => read::read(spec)?,
            DatasetKind::Synthetic => synthetic::generate(spec),
        };
        Ok(Self(interactions))
    }

    /// Its items, before any filter.
    pub fn catalogue(&self) -> Catalogue {
        Catalogue::of(&self.0)
    }

    /// Filters, orders and splits it.
    ///
    /// # Errors
    /// The filters leave no user with three interactions.
    pub fn into_dataset(self, spec: &DatasetSpec) -> Result<Dataset, DataError> {
        let mut interactions = self.0;
        filter::repeats(&mut interactions, spec.repeats.unwrap_or_default());
        if let Some(core) = &spec.k_core {
            filter::k_core(&mut interactions, core);
        }
        Dataset::new(interactions, spec)
    }
}

/// Reads or generates, filters, orders and splits.
///
/// # Errors
/// The first [`DataError`] met; nothing is skipped in silence.
pub fn load(spec: &DatasetSpec) -> Result<Dataset, DataError> {
    Source::read(spec)?.into_dataset(spec)
}

fn refuse_problems(spec: &DatasetSpec) -> Result<(), DataError> {
    let problems = spec.validate();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(DataError::Spec { problems })
    }
}

/// SHA-256, lower-case hex, of all that decides what [`load`] yields: the files' bytes and the spec,
/// the folder's place left out. Reads the files once and parses nothing.
///
/// # Errors
/// [`DataError::Spec`], or that a file cannot be found or read.
pub fn fingerprint(spec: &DatasetSpec) -> Result<String, DataError> {
    refuse_problems(spec)?;
    let settings = DatasetSpec {
        path: None,
        ..spec.clone()
    };
    let mut digest = Sha256::default();
    digest.update("genair-data 1\n");
    // Keys are written in the order of the struct and absent ones left out, so that the text is
    // canonical; a map with text keys cannot fail to serialise.
    digest.update(serde_json::to_string(&settings).unwrap_or_default());
    if spec.kind == DatasetKind::Synthetic {
        digest.update(format!("\ngenerator {}\n", synthetic::VERSION));
    } else {
        let files = read::locate(spec)?;
        digest.update("\n");
        for file in &files.interactions {
            digest.update(format!("interactions {}\n", read::hash_file(file)?));
        }
        for file in &files.items {
            digest.update(format!("items {}\n", read::hash_file(file)?));
        }
        if let Some(file) = &files.id_map {
            digest.update(format!("id map {}\n", read::hash_file(file)?));
        }
    }
    Ok(digest.finish())
}
