//! What was made, for people: counts, lengths, explained variance, examples and figures, as Markdown and as
//! one HTML file that needs no other.
//!
//! Owns what is told and how it is laid out. All text from data is escaped by the template engine. Computes
//! nothing that training uses.

mod contents;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use genair_data::{Catalogue, ItemVectors, PartVectors};
use genair_files::{FileError, doing};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{
    AutoEscape, Environment, Output, State, UndefinedBehavior, Value, escape_formatter,
};
use rand::seq::index;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::generate::ItemArchetype;
use crate::projection::{self, Categories, ProjectionError};
use contents::contents;

/// Marks templates whose values are escaped for Markdown.
const MARKDOWN: &str = "markdown";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A template fails, which is a bug.
    #[error("the report's template fails")]
    Template(#[from] minijinja::Error),
}

/// What a report is of.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// The dataset's name.
    pub dataset: &'a str,
    /// All items.
    pub catalogue: &'a Catalogue,
    /// What came of them, in any order; none for imported vectors.
    pub records: &'a [ItemArchetype],
    /// Their vectors.
    pub vectors: &'a ItemVectors,
    /// The metadata field to colour figures by; absent: `genres`, `genre`, `categories` or `category`.
    pub category_field: Option<&'a str>,
    /// Items shown in full.
    pub examples: usize,
    /// Nearest items shown for each example and part.
    pub neighbours: usize,
    /// Draws the examples.
    pub seed: u64,
}

/// A report as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Markdown that names the figures by their files.
    pub markdown: String,
    /// A page with the figures in it.
    pub html: String,
    /// Figures: file name and SVG.
    pub figures: Vec<(String, String)>,
}

impl Report {
    /// Makes it. The same input gives the same text.
    ///
    /// # Errors
    /// [`ReportError::Template`].
    pub fn new(input: &ReportInput<'_>) -> Result<Self, ReportError> {
        let parts = aligned(input.vectors, input.catalogue);
        let categories = Categories::new(input.catalogue, input.category_field);
        let mut figures = Vec::new();
        let mut drawn = Vec::new();
        for (place, part) in (1..).zip(&parts) {
            let rng = stream(input.seed, &part.name);
            match projection::draw(part, input.catalogue, &categories, rng) {
                Ok(svg) => {
                    let file = format!("projection-{place}-{}.svg", file_name(&part.name));
                    drawn.push(json!({ "part": part.name, "file": file, "svg": svg }));
                    figures.push((file, svg));
                }
                // A space of equal vectors is worth telling, not worth failing.
                Err(ProjectionError::Pca(problem)) => {
                    let problem = problem.to_string();
                    drawn.push(json!({ "part": part.name, "file": null, "problem": problem }));
                }
                Err(ProjectionError::Template(error)) => return Err(error.into()),
            }
        }
        let contents = contents(input, &parts, &examples(input), &drawn);
        let environment = environment()?;
        let render = |name: &str| environment.get_template(name)?.render(Serde(&contents));
        Ok(Self {
            markdown: render("report.md")?,
            html: render("report.html")?,
            figures,
        })
    }

    /// Writes `report.html`, `report.md` and the figures into a folder, which is created where it is missing;
    /// says the files. Each appears whole or not at all.
    ///
    /// # Errors
    /// [`ReportError::File`].
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
        std::fs::create_dir_all(folder).map_err(doing("write", folder))?;
        let pages = [("report.html", &self.html), ("report.md", &self.markdown)];
        let figures = self.figures.iter().map(|(name, svg)| (name.as_str(), svg));
        let mut written = Vec::new();
        for (name, text) in pages.into_iter().chain(figures) {
            let path = folder.join(name);
            genair_files::write(&path, text).map_err(doing("write", &path))?;
            written.push(path);
        }
        Ok(written)
    }
}

/// The parts with a row for each item of the catalogue, in its order; zero where the vectors lack it.
fn aligned(vectors: &ItemVectors, catalogue: &Catalogue) -> Vec<PartVectors> {
    let rows = vectors.rows();
    let align = |part: &PartVectors| {
        let zero = vec![0.0; part.width];
        let row = |id: &str| rows.get(id).map_or(&zero[..], |&row| part.row(row));
        PartVectors {
            name: part.name.clone(),
            width: part.width,
            values: catalogue
                .items
                .iter()
                .flat_map(|item| row(&item.id))
                .copied()
                .collect(),
        }
    };
    vectors.parts.iter().map(align).collect()
}

/// Rows of the catalogue to show in full, ascending: of those with a record, or of all where there are no
/// records.
fn examples(input: &ReportInput<'_>) -> Vec<usize> {
    let recorded: HashSet<&str> = input
        .records
        .iter()
        .filter(|item| item.record.is_some())
        .map(|item| item.item.as_str())
        .collect();
    let shown = |&row: &usize| recorded.contains(input.catalogue.items[row].id.as_str());
    let all = 0..input.catalogue.items.len();
    let candidates: Vec<usize> = match input.records {
        [] => all.collect(),
        _ => all.filter(shown).collect(),
    };
    let amount = input.examples.min(candidates.len());
    let chosen = index::sample(
        &mut stream(input.seed, "examples"),
        candidates.len(),
        amount,
    );
    let mut rows: Vec<usize> = chosen.into_iter().map(|place| candidates[place]).collect();
    rows.sort_unstable();
    rows
}

fn stream(seed: u64, purpose: &str) -> Xoshiro256PlusPlus {
    let digest = Sha256::digest(format!("archetype report {seed} {purpose}"));
    Xoshiro256PlusPlus::from_seed(digest.into())
}

fn file_name(part: &str) -> String {
    part.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect()
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_auto_escape_callback(|name| match name.ends_with(".md") {
        true => AutoEscape::Custom(MARKDOWN.into()),
        false => AutoEscape::Html,
    });
    environment.set_formatter(escape);
    environment.add_template("report.md", include_str!("report/report.md"))?;
    environment.add_template("report.html", include_str!("report/report.html"))?;
    Ok(environment)
}

/// Escapes for the kind of template.
fn escape(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    match state.auto_escape() {
        AutoEscape::Custom(kind) if kind == MARKDOWN && !value.is_safe() => {
            Ok(out.write_str(&markdown(&value.to_string()))?)
        }
        AutoEscape::Custom(_) => Ok(write!(out, "{value}")?),
        _ => escape_formatter(out, state, value),
    }
}

/// Text that Markdown shows as it is, on one line.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '>' | '!' => {
                escaped.extend(['\\', c])
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
