//! A database as one HTML file that needs no other: leaderboard, runs with their specs and curves,
//! comparisons, failures, figures.
//!
//! Owns what is told and how compactly. The page's own scripts (`page/*.js`) show it, and only they run:
//! its Content-Security-Policy names them by their hash and allows no connection, so that text from a
//! database stays text. What the page computes (means over seeds, paired tests) it computes from the
//! database's own numbers, bit for bit.

mod blocks;
mod curves;
mod details;
mod index;
mod ranks;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use genair_store::Store;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::ReportError;
use crate::figure::described;
use crate::write::write_file;
use blocks::Blocks;
use index::Index;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");

/// The scripts, which share one scope, in the order in which they need each other.
const SCRIPTS: [&str; 12] = [
    include_str!("page/dom.js"),
    include_str!("page/format.js"),
    include_str!("page/statistics.js"),
    include_str!("page/data.js"),
    include_str!("page/charts.js"),
    include_str!("page/filters.js"),
    include_str!("page/leaderboard.js"),
    include_str!("page/runs.js"),
    include_str!("page/run.js"),
    include_str!("page/compare.js"),
    include_str!("page/figures.js"),
    include_str!("page/main.js"),
];

/// What a page is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSpec {
    /// Its heading; by default, the database's file name.
    pub title: Option<String>,
    /// Only these sweeps; empty means all.
    pub sweeps: Vec<String>,
    /// Figures to show beside those that the page draws itself.
    pub figures: Vec<PageFigure>,
}

/// A figure made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFigure {
    /// What stands under it.
    pub caption: String,
    /// The picture, which needs no other file.
    pub svg: String,
}

impl PageFigure {
    /// A picture from a file of this name. Its caption is that of the report that made it, or else the name.
    pub fn new(name: &str, svg: String) -> Self {
        let caption = described(&svg).unwrap_or_else(|| name.replace(['-', '_'], " "));
        Self { caption, svg }
    }
}

/// A page that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenPage {
    /// Its file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// Runs in it.
    pub runs: usize,
    /// Runs whose users' ranks are in it, so that the page can test their differences.
    pub runs_with_ranks: usize,
}

/// Writes the page of a database.
///
/// # Errors
/// A database without a sweep; an unknown sweep; a file that cannot be written.
pub fn write_page(
    store: &mut Store,
    spec: &PageSpec,
    path: &Path,
) -> Result<WrittenPage, ReportError> {
    let mut index = Index::read(store, &spec.sweeps)?;
    let mut blocks = Blocks::default();
    index.add_measures(store, &mut blocks)?;
    curves::add(store, &mut index, &mut blocks)?;
    details::add(store, &index, &mut blocks)?;
    let runs_with_ranks = ranks::add(store, &mut index, &mut blocks)?;
    blocks.add_json("index", &index);

    let database = store.path().file_name().unwrap_or_default();
    let database = database.to_string_lossy();
    let script = script();
    let figures: Vec<_> = spec
        .figures
        .iter()
        .map(|figure| context! { caption => &figure.caption, data => STANDARD.encode(&figure.svg) })
        .collect();
    let page = context! {
        title => spec.title.as_deref().unwrap_or(&database),
        database,
        version => env!("CARGO_PKG_VERSION"),
        made_at => index.made_at,
        runs => index.runs.len(),
        sweeps => index.sweeps.len(),
        figures,
        style => STYLE,
        script_sha256 => STANDARD.encode(Sha256::digest(&script)),
        script,
        blocks => blocks.html(),
    };
    let page = render(&page).map_err(|source| ReportError::Template { source })?;
    write_file(path, &page)?;
    Ok(WrittenPage {
        file: path.to_owned(),
        bytes: page.len(),
        runs: index.runs.len(),
        runs_with_ranks,
    })
}

fn script() -> String {
    format!("(() => {{\n\"use strict\";\n{}}})();\n", SCRIPTS.concat())
}

fn render(page: &minijinja::Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The name's ending turns on escaping.
    environment.add_template("page.html", TEMPLATE)?;
    environment.get_template("page.html")?.render(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_cannot_end_their_own_element() {
        let script = script();
        assert!(!script.contains("</script") && !script.contains("<!--"));
        assert!(!STYLE.contains("</style"));
    }

    #[test]
    fn the_page_names_nothing_outside_of_itself() {
        for part in [TEMPLATE, STYLE, &script()] {
            let addresses = part.match_indices("://");
            for (at, _) in addresses {
                let around = &part[at.saturating_sub(4)..(at + 20).min(part.len())];
                // The name of a vocabulary, which nobody fetches.
                assert!(around.contains("http://www.w3.org/2"), "{around}");
            }
            assert!(!part.contains("@import") && !part.contains("url("));
        }
    }
}
