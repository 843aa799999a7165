//! The form of item vectors: parts apart or joined, principal components, whitening, and the groups that vectors may
//! be shuffled in. What is made here is the same for archetypes, texts and imported vectors.

use std::collections::{BTreeMap, HashMap};

use genair_data::{Catalogue, PartVectors};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::assemble::AssembleError;
use crate::categories::telling;
use crate::pca::{Reduce, Reduction};
use crate::provenance::PartSummary;

/// The name of a part that all parts were joined in.
const JOINT: &str = "both";

/// What is made of vectors as they come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorsForm {
    /// Principal components of each part, or of all parts joined; 0: the vectors as they are, or all components where
    /// they are whitened.
    pub components: usize,
    /// How variances are made equal.
    #[serde(default)]
    pub whiten: Whitening,
    /// Whether all parts are joined before they are reduced.
    #[serde(default)]
    pub joint: bool,
    /// The metadata field by which items are grouped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
}

impl Eq for VectorsForm {}

impl VectorsForm {
    /// So many principal components, no more.
    pub fn components(components: usize) -> Self {
        Self {
            components,
            ..Self::default()
        }
    }

    /// Whether it leaves vectors as they come.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// How the variances of principal components are made equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Whitening {
    /// Not at all.
    #[default]
    None,
    /// Every component has variance 1 (WhitenRec, ICDE 2024).
    Full,
    /// Component `k` is multiplied by `sqrt(n / (s_k^2 + ridge))`, with `s_k` its singular value over `n` items, so that
    /// weak components stay weak (ACE, SIGIR 2026, has 50 for vectors of length 1). At least 0; 0 is `full`.
    Ridge(#[schemars(range(min = 0))] f64),
}

impl Whitening {
    /// What is added to squared singular values; `None`: no whitening.
    pub fn ridge(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Full => Some(0.0),
            Self::Ridge(ridge) => Some(ridge),
        }
    }
}

/// The rows of a part before its reduction; none for an item without such a vector.
pub(crate) struct Rows {
    pub(crate) name: String,
    pub(crate) rows: Vec<Option<Vec<f32>>>,
}

/// Parts in their form, and what was made of each.
///
/// # Errors
/// [`AssembleError::NoVectors`] and [`AssembleError::Pca`].
pub(crate) fn formed(
    mut parts: Vec<Rows>,
    form: &VectorsForm,
    reduce: &Reduce<'_>,
) -> Result<(Vec<PartVectors>, Vec<PartSummary>), AssembleError> {
    if form.joint && parts.len() > 1 {
        parts = vec![joined(&parts)?];
    }
    for part in &parts {
        let rows: Vec<&Vec<f32>> = part.rows.iter().flatten().collect();
        if rows.len() > 1 && rows.iter().all(|row| *row == rows[0]) {
            tracing::warn!(
                "all {} vectors of `{}` are equal, so they tell no items apart",
                rows.len(),
                part.name
            );
        }
    }
    let made = parts.iter().map(|part| reduced(part, form, reduce));
    Ok(made.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
}

/// All parts side by side. Where an item has the first part alone, the others are the mean of theirs, which is zero
/// once they are centred.
fn joined(parts: &[Rows]) -> Result<Rows, AssembleError> {
    let means = parts.iter().map(mean).collect::<Result<Vec<_>, _>>()?;
    let items = parts.first().map_or(0, |part| part.rows.len());
    let row = |item: usize| {
        parts.first()?.rows[item].as_ref()?;
        let of_item = parts.iter().zip(&means).flat_map(|(part, mean)| {
            let row = part.rows[item].as_ref().unwrap_or(mean);
            row.iter().copied()
        });
        Some(of_item.collect())
    };
    Ok(Rows {
        name: JOINT.to_owned(),
        rows: (0..items).map(row).collect(),
    })
}

fn mean(part: &Rows) -> Result<Vec<f32>, AssembleError> {
    let present: Vec<&Vec<f32>> = part.rows.iter().flatten().collect();
    let width = width_of(part)?;
    let mean_of = |component: usize| {
        let sum: f64 = present.iter().map(|row| f64::from(row[component])).sum();
        (sum / present.len() as f64) as f32
    };
    Ok((0..width).map(mean_of).collect())
}

fn width_of(part: &Rows) -> Result<usize, AssembleError> {
    let first = part.rows.iter().flatten().next();
    first.map(Vec::len).ok_or_else(|| AssembleError::NoVectors {
        part: part.name.clone(),
        items: part.rows.len(),
    })
}

/// Reduces the rows there are, and fills up with zero rows.
fn reduced(
    part: &Rows,
    form: &VectorsForm,
    reduce: &Reduce<'_>,
) -> Result<(PartVectors, PartSummary), AssembleError> {
    let Rows { name, rows } = part;
    let width = width_of(part)?;
    let present: Vec<&[f32]> = rows.iter().flatten().map(Vec::as_slice).collect();
    let whitens = form.whiten.ridge().is_some();
    let (pca, kept, values) = if form.components == 0 && !whitens {
        (None, width, present.concat())
    } else {
        let how = Reduction {
            components: match form.components {
                0 => width,
                components => components,
            },
            ridge: form.whiten.ridge(),
        };
        let reduced = reduce(&present, how).map_err(|source| AssembleError::Pca {
            part: name.clone(),
            source,
        })?;
        let kept = reduced.summary.components;
        (Some(reduced.summary), kept, reduced.values)
    };
    let mut present_rows = values.chunks_exact(kept);
    let mut values = Vec::with_capacity(rows.len() * kept);
    for row in rows {
        match row.as_ref().and_then(|_| present_rows.next()) {
            Some(row) => values.extend_from_slice(row),
            None => values.resize(values.len() + kept, 0.0),
        }
    }
    let vectors = PartVectors {
        name: name.clone(),
        width: kept,
        values,
    };
    let summary = PartSummary {
        name: name.clone(),
        vectors: present.len(),
        width,
        pca,
    };
    Ok((vectors, summary))
}

/// The group of each item: a number for each category in the field, 0 for items without one. An item of several
/// categories is in the group of the first that most items do not share.
///
/// # Errors
/// [`AssembleError::NoField`] where no item has the field, [`AssembleError::OneGroup`] where its values tell no items
/// apart.
pub(crate) fn groups(
    field: &str,
    items: &[String],
    catalogue: &Catalogue,
) -> Result<Vec<u32>, AssembleError> {
    if !catalogue
        .items
        .iter()
        .any(|item| item.metadata.contains_key(field))
    {
        let fields = catalogue.items.iter().flat_map(|item| item.metadata.keys());
        let fields: std::collections::BTreeSet<&String> = fields.collect();
        return Err(AssembleError::NoField {
            field: field.to_owned(),
            fields: fields.into_iter().cloned().collect(),
        });
    }
    let categories = telling(catalogue, Some(field));
    let names: std::collections::BTreeSet<&String> = categories.iter().flatten().collect();
    let numbers: BTreeMap<&String, u32> = names.into_iter().zip(1..).collect();
    if numbers.len() < 2 {
        let field = field.to_owned();
        return Err(AssembleError::OneGroup { field });
    }
    let without = categories.iter().filter(|name| name.is_none()).count();
    tracing::info!(
        "`{field}` has {} categories; {without} of {} items have none, and are a group of their own",
        numbers.len(),
        categories.len()
    );
    let of_id: HashMap<&str, u32> = catalogue
        .items
        .iter()
        .zip(&categories)
        .map(|(item, name)| {
            let number = name.as_ref().map_or(0, |name| numbers[name]);
            (item.id.as_str(), number)
        })
        .collect();
    Ok(items
        .iter()
        .map(|item| of_id.get(item.as_str()).copied().unwrap_or_default())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pca::truncate;

    fn part(name: &str, rows: &[Option<&[f32]>]) -> Rows {
        Rows {
            name: name.to_owned(),
            rows: rows.iter().map(|row| row.map(<[f32]>::to_vec)).collect(),
        }
    }

    #[test]
    fn joined_parts_stand_side_by_side_and_what_is_missing_is_the_mean() {
        let context = part("context", &[Some(&[1.0]), Some(&[2.0]), None]);
        let answer = part("archetype", &[Some(&[4.0, 5.0]), None, None]);
        let form = VectorsForm {
            joint: true,
            ..VectorsForm::default()
        };
        let (parts, summaries) = formed(vec![context, answer], &form, &truncate).unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].name, "both");
        assert_eq!(
            parts[0].values,
            [1.0, 4.0, 5.0, 2.0, 4.0, 5.0, 0.0, 0.0, 0.0]
        );
        assert_eq!((summaries[0].vectors, summaries[0].width), (2, 3));
    }

    #[test]
    fn whitening_without_a_number_of_components_keeps_all_of_them() {
        let asked = std::cell::RefCell::new(Vec::new());
        let reduce = |rows: &[&[f32]], how: Reduction| {
            asked.borrow_mut().push(how);
            truncate(rows, how)
        };
        let text = || part("text", &[Some(&[1.0, 0.0]), Some(&[0.0, 1.0])]);
        for (components, whiten) in [(0, Whitening::Full), (1, Whitening::Ridge(2.0))] {
            let form = VectorsForm {
                components,
                whiten,
                ..VectorsForm::default()
            };
            formed(vec![text()], &form, &reduce).unwrap();
        }
        let how = |components, ridge| Reduction {
            components,
            ridge: Some(ridge),
        };
        assert_eq!(asked.into_inner(), [how(2, 0.0), how(1, 2.0)]);
    }
}
