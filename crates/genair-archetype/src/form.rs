//! The form of item vectors: parts apart or joined, principal components, whitening, and the groups that vectors may
//! be shuffled in. What is made here is the same for archetypes, texts and imported vectors.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

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
    /// The items that components are fitted to; absent: all. Of a split with cold items, those that training sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted: Option<FittedItems>,
}

/// The items that principal components are fitted to. As text it is the hash of their ids alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FittedItems {
    sha256: String,
    /// None where it was read from a text.
    ids: Arc<HashSet<String>>,
}

impl FittedItems {
    /// Those with these ids, in any order.
    pub fn new(ids: impl IntoIterator<Item = String>) -> Self {
        let sorted: BTreeSet<String> = ids.into_iter().collect();
        // A list of texts cannot fail to serialise.
        let text = serde_json::to_string(&sorted).unwrap_or_default();
        Self {
            sha256: genair_files::sha256(text),
            ids: Arc::new(sorted.into_iter().collect()),
        }
    }

    fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

impl From<String> for FittedItems {
    fn from(sha256: String) -> Self {
        Self {
            sha256,
            ids: Arc::default(),
        }
    }
}

impl From<FittedItems> for String {
    fn from(items: FittedItems) -> Self {
        items.sha256
    }
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

    /// Whether it fits principal components.
    pub fn is_fitted(&self) -> bool {
        self.components > 0 || self.whiten.ridge().is_some()
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

/// Parts in their form, and what was made of each. `items` are the ids of the rows.
///
/// # Errors
/// [`AssembleError::NoVectors`] and [`AssembleError::Pca`].
pub(crate) fn formed(
    mut parts: Vec<Rows>,
    items: &[String],
    form: &VectorsForm,
    reduce: &Reduce<'_>,
) -> Result<(Vec<PartVectors>, Vec<PartSummary>), AssembleError> {
    let is_fitted = |id: &String| form.fitted.as_ref().is_none_or(|fitted| fitted.has(id));
    let fitted: Vec<bool> = items.iter().map(is_fitted).collect();
    if form.joint && parts.len() > 1 {
        parts = vec![joined(&parts, &fitted)?];
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
    let made = parts
        .iter()
        .map(|part| reduced(part, &fitted, form, reduce));
    Ok(made.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
}

/// All parts side by side. Where an item has the first part alone, the others are the mean of theirs, which is zero
/// once they are centred.
fn joined(parts: &[Rows], fitted: &[bool]) -> Result<Rows, AssembleError> {
    let means = parts.iter().map(|part| mean(part, fitted));
    let means = means.collect::<Result<Vec<_>, _>>()?;
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

fn mean(part: &Rows, fitted: &[bool]) -> Result<Vec<f32>, AssembleError> {
    let present = part.rows.iter().zip(fitted).filter(|(_, fitted)| **fitted);
    let present: Vec<&Vec<f32>> = present.filter_map(|(row, _)| row.as_ref()).collect();
    let width = width_of(part, fitted)?;
    let mean_of = |component: usize| {
        let sum: f64 = present.iter().map(|row| f64::from(row[component])).sum();
        (sum / present.len() as f64) as f32
    };
    Ok((0..width).map(mean_of).collect())
}

/// Components of a row, if one is there to be fitted to.
fn width_of(part: &Rows, fitted: &[bool]) -> Result<usize, AssembleError> {
    let mut rows = part.rows.iter().zip(fitted);
    let first = rows.find_map(|(row, fitted)| row.as_ref().filter(|_| *fitted));
    first.map(Vec::len).ok_or_else(|| AssembleError::NoVectors {
        part: part.name.clone(),
        items: fitted.iter().filter(|fitted| **fitted).count(),
    })
}

/// Reduces the rows there are, and fills up with zero rows.
fn reduced(
    part: &Rows,
    fitted: &[bool],
    form: &VectorsForm,
    reduce: &Reduce<'_>,
) -> Result<(PartVectors, PartSummary), AssembleError> {
    let Rows { name, rows } = part;
    let width = width_of(part, fitted)?;
    // Those that are fitted to come first.
    let present = (0..rows.len()).filter(|&item| rows[item].is_some());
    let (mut order, others): (Vec<usize>, Vec<usize>) = present.partition(|&item| fitted[item]);
    let fitted = order.len();
    order.extend(others);
    let present: Vec<&[f32]> = order
        .iter()
        .filter_map(|&item| rows[item].as_deref())
        .collect();
    let (pca, kept, values) = if !form.is_fitted() {
        (None, width, present.concat())
    } else {
        let how = Reduction {
            components: match form.components {
                0 => width,
                components => components,
            },
            ridge: form.whiten.ridge(),
            fitted,
        };
        let reduced = reduce(&present, how).map_err(|source| AssembleError::Pca {
            part: name.clone(),
            source,
        })?;
        let kept = reduced.summary.components;
        (Some(reduced.summary), kept, reduced.values)
    };
    let present_rows = values.chunks_exact(kept);
    let mut values = vec![0.0; rows.len() * kept];
    for (item, row) in order.into_iter().zip(present_rows) {
        values[item * kept..(item + 1) * kept].copy_from_slice(row);
    }
    let vectors = PartVectors {
        name: name.clone(),
        width: kept,
        values,
    };
    let summary = PartSummary {
        name: name.clone(),
        vectors: present.len(),
        fitted: form.fitted.is_some().then_some(fitted),
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
        let fields: BTreeSet<&String> = fields.collect();
        return Err(AssembleError::NoField {
            field: field.to_owned(),
            fields: fields.into_iter().cloned().collect(),
        });
    }
    let categories = telling(catalogue, Some(field));
    let names: BTreeSet<&String> = categories.iter().flatten().collect();
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

    fn ids(items: usize) -> Vec<String> {
        (0..items).map(|item| format!("i{item}")).collect()
    }

    /// The rows that may be fitted to, and their number.
    #[test]
    fn cold_items_are_transformed_and_not_fitted_to() {
        let text = part("text", &[Some(&[1.0]), Some(&[7.0]), None, Some(&[3.0])]);
        let seen = std::cell::RefCell::new(Vec::new());
        let reduce = |rows: &[&[f32]], how: Reduction| {
            seen.borrow_mut().push((rows.concat(), how.fitted));
            truncate(rows, how)
        };
        let fitted = |items: &[&str]| FittedItems::new(items.iter().map(|id| (*id).to_owned()));
        let form = VectorsForm {
            fitted: Some(fitted(&["i3", "i0", "i2"])),
            ..VectorsForm::components(1)
        };
        let (parts, summaries) = formed(vec![text], &ids(4), &form, &reduce).unwrap();
        assert_eq!(seen.into_inner(), [(vec![1.0, 3.0, 7.0], 2)]);
        assert_eq!(parts[0].values, [1.0, 7.0, 0.0, 3.0]);
        assert_eq!((summaries[0].vectors, summaries[0].fitted), (3, Some(2)));
        // The text of a recipe has the hash alone, whatever the order.
        let json = serde_json::to_string(&form).unwrap();
        assert_eq!(form.fitted, Some(fitted(&["i0", "i2", "i3"])));
        let same = fitted(&["i0", "i3"]);
        assert!(json.contains(&form.fitted.unwrap().sha256));
        assert!(!json.contains(&same.sha256) && !json.contains("i3"));
        assert!(
            !serde_json::to_string(&VectorsForm::components(1))
                .unwrap()
                .contains("fitted")
        );
    }

    #[test]
    fn joined_parts_stand_side_by_side_and_what_is_missing_is_the_mean() {
        let context = part("context", &[Some(&[1.0]), Some(&[2.0]), None]);
        let answer = part("archetype", &[Some(&[4.0, 5.0]), None, None]);
        let form = VectorsForm {
            joint: true,
            ..VectorsForm::default()
        };
        let (parts, summaries) = formed(vec![context, answer], &ids(3), &form, &truncate).unwrap();
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
            formed(vec![text()], &ids(2), &form, &reduce).unwrap();
        }
        let how = |components, ridge| Reduction {
            components,
            ridge: Some(ridge),
            fitted: 2,
        };
        assert_eq!(asked.into_inner(), [how(2, 0.0), how(1, 2.0)]);
    }
}
