//! Public data sets by name: how their files are read, and where they come from.
//!
//! `kind = "movielens-1m"` in `[dataset.NAME]` stands for `kind = "table"` with the settings of `recipes.toml`, below
//! what the spec says itself. Fetches nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use genair_protocol::nearest;
use serde::Deserialize;
use toml::{Table, Value};

/// What the part of a data set is called in `recipes.toml`.
const PART: &str = "NAME";

static RECIPES: LazyLock<BTreeMap<String, Recipe>> = LazyLock::new(|| {
    let text = include_str!("recipes.toml");
    toml::from_str(text).expect("recipes are part of the program, and tested")
});

/// A public data set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What it is.
    pub about: String,
    /// What may follow the colon of its name; absent for a data set without parts.
    pub parts: Option<String>,
    /// The publisher's terms, in short.
    pub terms: String,
    /// The publisher's page.
    pub page: String,
    /// What a person has to do, where no program can fetch it.
    pub by_hand: Option<String>,
    /// The files that it is made of; empty where a person has to fetch them.
    #[serde(default)]
    pub files: Vec<RecipeFile>,
    /// Keys of `[dataset.NAME]`.
    dataset: Table,
}

/// A file as its publisher has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeFile {
    /// Its address; its last part is the name of the file.
    pub url: String,
    /// MD5, lower-case hex, where the publisher gives one.
    pub md5: Option<String>,
}

impl RecipeFile {
    /// Its name in a folder.
    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }
}

/// Why a name is none of a public data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecipe {
    /// There is no such data set.
    #[error("there is no data set `{name}`{}", nearest.as_ref().map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default())]
    Unknown {
        /// The name.
        name: String,
        /// A similar one.
        nearest: Option<String>,
    },
    /// The data set has parts, and the name has none.
    #[error("`{name}` has parts; write `{name}:` and {parts}")]
    Part {
        /// The name.
        name: String,
        /// What may follow.
        parts: String,
    },
    /// The data set has no parts, and the name has one.
    #[error("`{name}` has no parts; leave out what follows the colon")]
    NoParts {
        /// The name.
        name: String,
    },
}

/// All public data sets, by name.
pub fn recipes() -> &'static BTreeMap<String, Recipe> {
    &RECIPES
}

/// A public data set by its name, such as `movielens-1m` or `amazon-2014:Beauty`.
///
/// # Errors
/// There is none of this name.
pub fn recipe(name: &str) -> Result<Recipe, NoRecipe> {
    let (base, part) = match name.split_once(':') {
        Some((base, part)) => (base, Some(part)),
        None => (name, None),
    };
    let Some(recipe) = RECIPES.get(base) else {
        let names = RECIPES.keys().map(String::as_str);
        return Err(NoRecipe::Unknown {
            name: name.to_owned(),
            nearest: nearest(base, names).map(str::to_owned),
        });
    };
    let base = || base.to_owned();
    let is_part = |part: &&str| !part.is_empty() && !part.contains(['/', '\\']);
    match (&recipe.parts, part) {
        (None, None) => Ok(recipe.clone()),
        (None, Some(_)) => Err(NoRecipe::NoParts { name: base() }),
        (Some(parts), part) => match part.filter(is_part) {
            Some(part) => Ok(recipe.of_part(part)),
            None => Err(NoRecipe::Part {
                name: base(),
                parts: parts.clone(),
            }),
        },
    }
}

impl Recipe {
    fn of_part(&self, part: &str) -> Self {
        let mut own = self.clone();
        for file in &mut own.files {
            file.url = file.url.replace(PART, part);
        }
        own.dataset
            .iter_mut()
            .for_each(|(_, value)| fill_in(value, part));
        own
    }

    /// The keys of `[dataset.NAME]` that the recipe stands for.
    pub fn dataset(&self) -> Table {
        let mut dataset = self.dataset.clone();
        dataset.insert("kind".to_owned(), "table".into());
        dataset
    }
}

fn fill_in(value: &mut Value, part: &str) {
    match value {
        Value::String(text) => *text = text.replace(PART, part),
        Value::Array(values) => values.iter_mut().for_each(|value| fill_in(value, part)),
        _ => {}
    }
}

/// Puts the recipes that the datasets of a spec name below what it says itself. Returns the datasets and the names.
pub(crate) fn apply(tree: &mut Table) -> Vec<(String, String)> {
    let mut applied = Vec::new();
    let datasets = tree.get_mut("dataset").and_then(Value::as_table_mut);
    for (dataset, table) in datasets.into_iter().flatten() {
        let Some(table) = table.as_table_mut() else {
            continue;
        };
        let kind = table.get("kind").and_then(Value::as_str).map(str::to_owned);
        if let Some((name, recipe)) =
            kind.and_then(|kind| Some((kind.clone(), recipe(&kind).ok()?)))
        {
            table.remove("kind");
            put_below(table, recipe.dataset());
            applied.push((dataset.clone(), name));
        }
    }
    applied
}

/// Adds what a table lacks, in tables within it too. What says how a file is written belongs to the file: one of
/// another name has nothing of it.
fn put_below(table: &mut Table, below: Table) {
    let is_other = |key: &str| table.contains_key(key);
    let (interactions, items) = (is_other("interactions"), is_other("items"));
    for (key, value) in below {
        let is_of_other = match key.as_str() {
            "format" => interactions,
            "items_format" => items,
            _ => false,
        };
        if is_of_other {
            continue;
        }
        match (table.get_mut(&key), value) {
            (Some(Value::Table(own)), Value::Table(below)) => put_below(own, below),
            (Some(_), _) => {}
            (None, value) => drop(table.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_part_where_the_data_set_has_parts() {
        let of = |name: &str| recipe(name).map_err(|error| error.to_string());
        assert_eq!(
            of("amazon-2014:Beauty").unwrap().files[0].name(),
            "reviews_Beauty_5.json.gz"
        );
        assert_eq!(
            of("amazon-2014:Beauty").unwrap().dataset()["items"].as_str(),
            Some("meta_Beauty.json.gz")
        );
        for (name, expected) in [
            (
                "movielens-1n",
                "there is no data set `movielens-1n`; did you mean `movielens-1m`?",
            ),
            (
                "goodreads",
                "`goodreads` has parts; write `goodreads:` and a genre, such as poetry, comics_graphic or children",
            ),
            (
                "steam:x",
                "`steam` has no parts; leave out what follows the colon",
            ),
        ] {
            assert_eq!(of(name), Err(expected.to_owned()));
        }
        assert!(of("amazon-2014:../x").is_err());
    }

    #[test]
    fn what_a_spec_says_lies_above_its_recipe() {
        let mut tree: Table = toml::from_str(
            "[dataset.a]\nkind = \"steam\"\ncolumns.time = false\nmax_len = 9\n[dataset.b]\nkind = \"table\"",
        )
        .unwrap();
        assert_eq!(apply(&mut tree), [("a".to_owned(), "steam".to_owned())]);
        let of = |key: &str| tree["dataset"]["a"][key].clone();
        assert_eq!(of("kind").as_str(), Some("table"));
        assert_eq!(of("columns")["time"].as_bool(), Some(false));
        assert_eq!(of("columns")["user"].as_str(), Some("username"));
        assert_eq!(tree["dataset"]["b"].as_table().unwrap().len(), 1);
    }

    #[test]
    fn a_data_set_can_be_fetched_or_says_what_to_do() {
        for (name, recipe) in recipes() {
            assert_eq!(recipe.files.is_empty(), recipe.by_hand.is_some(), "{name}");
            assert_eq!(
                recipe.parts.is_some(),
                recipe.dataset["interactions"].to_string().contains(PART),
                "{name}"
            );
        }
    }
}
