//! Records to item vectors: which parts there are, what an item without an answer gets, how each part is
//! reduced, and the recipe whose hash names the file.
//!
//! The rules, each counted in [`VectorsProvenance`]: an item without metadata has zero vectors; an item
//! without an answer has a zero archetype; neither takes part in the fit, so that after PCA zero is
//! the mean. Where there are fewer directions than components asked for, the rank is used. Knows
//! nothing of engines.

use std::path::PathBuf;

use genair_data::{Catalogue, ItemVectors};
use genair_files::Cache;
use genair_protocol::EngineRecord;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::ArchetypeError;
use crate::form::{Rows, VectorsForm, formed, groups as groups_by};
use crate::generate::{Generated, ItemArchetype};
use crate::installation::Installation;
use crate::pca::{PcaError, Reduce};
use crate::prompt::PromptSpec;
use crate::provenance::{ItemCounts, VectorsProvenance};
use crate::recipe::recipe_sha256;
use crate::record::{VectorError, decode_vector};
use crate::settings::ArchetypeSpec;

/// Part of every recipe's hash: changes when the numbers for an unchanged recipe do.
pub(crate) const RECIPE_VERSION: u32 = 3;

/// Why records do not become vectors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// A record's mean is damaged, or of another width than those before it.
    #[error(
        "the record of item `{item}` has no usable mean for `{part}`; remove its line from the cache"
    )]
    Mean {
        /// The item's raw id.
        item: String,
        /// The part.
        part: &'static str,
        /// What is wrong with it.
        source: VectorError,
    },
    /// No item has the part.
    #[error(
        "none of the {items} items has a vector for `{part}`; {}", match part.as_str() {
            "archetype" => "items without metadata have no prompt, and where all answers are empty, another prompt or a \
                            larger `generation.min_new_tokens` may help",
            _ => "items without metadata have no prompt: is the file of the items in the dataset's folder, with the fields \
                  that the prompt names?",
        }
    )]
    NoVectors {
        /// The part.
        part: String,
        /// How many items there are.
        items: usize,
    },
    /// There are no principal components.
    #[error(
        "cannot reduce `{part}`; set `components` to 0 and leave out `whiten` to keep its vectors as they are"
    )]
    Pca {
        /// The part.
        part: String,
        /// Why.
        source: PcaError,
    },
    /// Items were to be grouped by a field whose values tell nothing apart.
    #[error(
        "`{field}`, which `within` names, has fewer than two categories; values that more than 80 % of the items have do \
         not count, so name another field or leave `within` out"
    )]
    OneGroup {
        /// The field.
        field: String,
    },
    /// Items were to be grouped by a field that none of them has.
    #[error("no item has the field `{field}` that `within` names; it must be one of: {}", fields.join(", "))]
    NoField {
        /// The field.
        field: String,
        /// The fields there are.
        fields: Vec<String>,
    },
}

/// All that decides the vectors of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorsRecipe {
    /// [`recipe_sha256`]: items, prompt, models and sampling.
    pub archetypes_sha256: String,
    /// [`Catalogue::sha256`], which the other hash covers too.
    pub catalogue_sha256: String,
    /// What is taken from the records.
    pub parts: RecordParts,
    /// What is made of them.
    pub form: VectorsForm,
}

/// What is taken from the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordParts {
    /// Parts `context` and `archetype`: hidden states over prompt and answer.
    #[default]
    Archetype,
    /// Part `context` alone: hidden states over the prompt, which nothing answers.
    Context,
    /// Part `text`: a sentence encoder's vector of the prompt.
    Text,
}

impl RecordParts {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Archetype => &["context", "archetype"],
            Self::Context => &["context"],
            Self::Text => &["text"],
        }
    }
}

impl VectorsRecipe {
    /// For the archetypes of a catalogue. Needs no model of the catalogue of models to be fetched.
    ///
    /// # Errors
    /// Those of [`recipe_sha256`].
    pub fn new(
        catalogue: &Catalogue,
        spec: &ArchetypeSpec,
        form: &VectorsForm,
        installation: &Installation,
    ) -> Result<Self, ArchetypeError> {
        Ok(Self {
            archetypes_sha256: recipe_sha256(catalogue, spec, installation)?,
            catalogue_sha256: catalogue.sha256(),
            parts: spec.record_parts(),
            form: form.clone(),
        })
    }

    /// SHA-256, lower-case hex, of the recipe and of the way vectors are assembled.
    pub fn sha256(&self) -> String {
        // A struct has its fields in one order, and strings and numbers cannot fail to serialise.
        let text = serde_json::to_string(&(RECIPE_VERSION, self)).unwrap_or_default();
        genair_files::sha256(text)
    }

    /// Where a cache has the vectors.
    pub fn path(&self, cache: &Cache) -> PathBuf {
        cache.vectors(&self.sha256())
    }

    /// The vectors a cache has for the recipe. A file that cannot be read or is of another recipe
    /// counts as absent, with a warning in the log: it can be made again.
    pub fn cached(&self, cache: &Cache) -> Option<ItemVectors> {
        let path = self.path(cache);
        if !path.exists() {
            return None;
        }
        let vectors = ItemVectors::read(&path)
            .inspect_err(|error| {
                tracing::warn!(
                    "{error} ({:?}); it is made again",
                    std::error::Error::source(error)
                )
            })
            .ok()?;
        let provenance = VectorsProvenance::of(&vectors);
        if provenance.is_some_and(|provenance| provenance.recipe_sha256 == self.sha256()) {
            return Some(vectors);
        }
        tracing::warn!(
            "`{}` is of another recipe; it is made again",
            path.display()
        );
        None
    }
}

/// Makes the vectors of all items, in their order. `prompt` is the one the records were made with; it
/// is recorded, no more. The catalogue is that of the recipe.
///
/// # Errors
/// [`AssembleError`].
pub fn assemble(
    recipe: &VectorsRecipe,
    catalogue: &Catalogue,
    prompt: &PromptSpec,
    generated: &Generated,
    reduce: &Reduce<'_>,
) -> Result<ItemVectors, AssembleError> {
    let items = &generated.items;
    let rows = recipe.parts.names().iter().map(|&name| {
        Ok(Rows {
            name: name.to_owned(),
            rows: means(name, items)?,
        })
    });
    let rows = rows.collect::<Result<Vec<_>, AssembleError>>()?;
    let ids: Vec<String> = items.iter().map(|item| item.item.clone()).collect();
    let (parts, summaries) = formed(rows, &ids, &recipe.form, reduce)?;
    let groups = recipe.form.groups.as_deref();
    let groups = groups
        .map(|field| groups_by(field, &ids, catalogue))
        .transpose()?;
    let is_empty = |record: &&EngineRecord| match recipe.parts {
        RecordParts::Archetype => record.archetype.is_none(),
        RecordParts::Context | RecordParts::Text => false,
    };
    let provenance = VectorsProvenance {
        recipe: recipe.clone(),
        recipe_sha256: recipe.sha256(),
        settings: json!({ "records": generated.settings, "prompt": prompt }),
        counts: ItemCounts {
            items: items.len(),
            without_metadata: items.iter().filter(|item| item.record.is_none()).count(),
            equal_prompts: {
                let counts = &generated.counts;
                (counts.items - counts.without_metadata).saturating_sub(counts.prompts)
            },
            empty_answers: items
                .iter()
                .filter_map(|item| item.record.as_deref())
                .filter(is_empty)
                .count(),
        },
        parts: summaries,
    };
    Ok(ItemVectors {
        items: ids,
        parts,
        groups,
        provenance: provenance.into_map(),
    })
}

/// The rows of a part; none for an item that has no such vector.
fn means(
    part: &'static str,
    items: &[ItemArchetype],
) -> Result<Vec<Option<Vec<f32>>>, AssembleError> {
    // The first record says how wide all of them are.
    let mut width = None;
    items
        .iter()
        .map(|item| {
            let text = match (item.record.as_deref(), part) {
                (Some(record), "archetype") => record.archetype.as_deref(),
                (record, _) => record.map(|record| record.context.as_str()),
            };
            let Some(text) = text else { return Ok(None) };
            let width = *width.get_or_insert_with(|| components(text));
            let mean = decode_vector(text, width).map_err(|source| AssembleError::Mean {
                item: item.item.clone(),
                part,
                source,
            })?;
            Ok(Some(mean))
        })
        .collect()
}

/// Numbers in a text of [`decode_vector`], at least 1.
pub(crate) fn components(text: &str) -> usize {
    let bytes = text.trim_end_matches('=').len() * 6 / 8;
    (bytes / size_of::<f32>()).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use genair_protocol::AnswerEnd;

    use super::*;
    use crate::generate::GenerationCounts;
    use crate::pca::truncate;
    use crate::record::encode_vector;

    fn record(context: &[f32], archetype: Option<&[f32]>) -> EngineRecord {
        EngineRecord {
            key: String::new(),
            text: String::new(),
            prompt_tokens: 3,
            new_tokens: 2,
            ended: AnswerEnd::Length,
            context: encode_vector(context),
            archetype: archetype.map(encode_vector),
            tokens: None,
        }
    }

    fn recipe(components: usize) -> VectorsRecipe {
        VectorsRecipe {
            archetypes_sha256: "a5".to_owned(),
            catalogue_sha256: "ca".to_owned(),
            parts: RecordParts::Archetype,
            form: VectorsForm::components(components),
        }
    }

    /// Three items with answers, one without an answer, one without metadata, in mixed order.
    fn records() -> [Option<EngineRecord>; 5] {
        [
            Some(record(&[1.0, 0.0], Some(&[1.0, 5.0]))),
            None,
            Some(record(&[9.0, 4.0], None)),
            Some(record(&[2.0, 1.0], Some(&[3.0, 5.0]))),
            Some(record(&[0.0, 0.5], Some(&[2.0, 5.0]))),
        ]
    }

    fn assembled(
        recipe: &VectorsRecipe,
        records: impl IntoIterator<Item = Option<EngineRecord>>,
    ) -> Result<ItemVectors, AssembleError> {
        let items = ["a", "b", "c", "d", "e"].into_iter().zip(records);
        let generated = Generated {
            items: items
                .map(|(item, record)| ItemArchetype {
                    item: item.to_owned(),
                    prompt: None,
                    record: record.map(Arc::new),
                })
                .collect(),
            settings: Vec::new(),
            counts: GenerationCounts::default(),
        };
        let catalogue = Catalogue { items: Vec::new() };
        assemble(
            recipe,
            &catalogue,
            &PromptSpec::default(),
            &generated,
            &truncate,
        )
    }

    #[test]
    fn raw_means_are_kept_and_what_is_missing_is_zero_and_counted() {
        let vectors = assembled(&recipe(0), records()).unwrap();
        assert_eq!(vectors.items, ["a", "b", "c", "d", "e"]);
        assert_eq!(
            vectors.part("context").unwrap().values,
            [1.0, 0.0, 0.0, 0.0, 9.0, 4.0, 2.0, 1.0, 0.0, 0.5]
        );
        assert_eq!(
            vectors.part("archetype").unwrap().values,
            [1.0, 5.0, 0.0, 0.0, 0.0, 0.0, 3.0, 5.0, 2.0, 5.0]
        );
        let provenance = VectorsProvenance::of(&vectors).unwrap();
        assert_eq!(
            provenance.counts,
            ItemCounts {
                items: 5,
                without_metadata: 1,
                equal_prompts: 0,
                empty_answers: 1
            }
        );
        let found: Vec<usize> = provenance.parts.iter().map(|part| part.vectors).collect();
        assert_eq!(found, [4, 3]);
    }

    #[test]
    fn only_items_with_a_vector_are_fitted_and_the_summary_is_recorded() {
        let vectors = assembled(&recipe(1), records()).unwrap();
        let archetype = vectors.part("archetype").unwrap();
        assert_eq!(
            (archetype.width, &archetype.values[..]),
            (1, &[1.0, 0.0, 0.0, 3.0, 2.0][..])
        );
        let provenance = VectorsProvenance::of(&vectors).unwrap();
        let pca = provenance.parts[1].pca.clone().unwrap();
        assert_eq!((pca.asked, pca.components, pca.rank), (1, 1, 1));
    }

    #[test]
    fn a_sentence_vector_is_one_part() {
        let recipe = VectorsRecipe {
            parts: RecordParts::Text,
            ..recipe(0)
        };
        let vectors = assembled(&recipe, records()).unwrap();
        assert_eq!(vectors.parts.len(), 1);
        assert_eq!(vectors.part("text").unwrap().row(2), [9.0, 4.0]);
        assert_eq!(
            VectorsProvenance::of(&vectors)
                .unwrap()
                .counts
                .empty_answers,
            0
        );
    }

    #[test]
    fn prompts_that_nothing_answers_have_a_context_and_no_empty_answers() {
        let recipe = VectorsRecipe {
            parts: RecordParts::Context,
            ..recipe(0)
        };
        let vectors = assembled(&recipe, records()).unwrap();
        assert_eq!(vectors.parts.len(), 1);
        assert_eq!(vectors.part("context").unwrap().row(2), [9.0, 4.0]);
        let counts = VectorsProvenance::of(&vectors).unwrap().counts;
        assert_eq!((counts.without_metadata, counts.empty_answers), (1, 0));
        assert_ne!(recipe.sha256(), self::recipe(0).sha256());
    }

    #[test]
    fn damaged_records_are_named() {
        let told = |record: EngineRecord| {
            let mut records = records();
            records[3] = Some(record);
            match assembled(&recipe(0), records).unwrap_err() {
                AssembleError::Mean { item, part, source } => {
                    assert_eq!((item.as_str(), part), ("d", "context"));
                    source
                }
                other => panic!("{other}"),
            }
        };
        assert_eq!(
            told(record(&[1.0, 2.0, 3.0], None)),
            VectorError::Length {
                found: 12,
                expected: 8
            }
        );
        assert!(matches!(
            told(record(&[1.0, f32::NAN], None)),
            VectorError::NotFinite { component: 1, .. }
        ));
        let broken = EngineRecord {
            context: "!".to_owned(),
            ..record(&[], None)
        };
        assert!(matches!(told(broken), VectorError::Base64 { .. }));
    }

    #[test]
    fn an_empty_mean_is_refused() {
        let records = [Some(record(&[], None))];
        assert!(assembled(&recipe(0), records).is_err());
    }

    #[test]
    fn no_answer_at_all_is_an_error_with_advice() {
        let records = [Some(record(&[1.0], None)), Some(record(&[2.0], None))];
        let error = assembled(&recipe(1), records).unwrap_err().to_string();
        assert!(
            error.contains("`archetype`") && error.contains("min_new_tokens"),
            "{error}"
        );
    }

    #[test]
    fn the_cache_serves_its_own_recipe_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let (mine, other) = (recipe(1), recipe(2));
        assert_ne!(mine.sha256(), other.sha256());
        assert_eq!(mine.cached(&cache), None);
        let vectors = assembled(&mine, records()).unwrap();
        vectors.write(&mine.path(&cache)).unwrap();
        assert_eq!(mine.cached(&cache), Some(vectors));
        assert_eq!(other.cached(&cache), None);
        std::fs::copy(mine.path(&cache), other.path(&cache)).unwrap();
        assert_eq!(other.cached(&cache), None);
        std::fs::write(mine.path(&cache), "half a fi").unwrap();
        assert_eq!(mine.cached(&cache), None);
    }
}
