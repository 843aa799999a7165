//! A part of the vectors in two dimensions, drawn: the first two principal components of its items, by
//! category, as an SVG file that reads well on light and dark ground.
//!
//! Owns which items are drawn and in which colour. The drawing itself is a template, which escapes
//! all that comes from data.

use genair_data::{Catalogue, CatalogueItem, PartVectors};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use rand::seq::index;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

use crate::categories::{count, telling};
use crate::neighbours::is_zero;
use crate::pca::{PcaError, Reduce, Reduction};

/// Points of a figure at the most: more are a sample.
const MAX_POINTS: usize = 4000;
/// Colours of a figure: Okabe and Ito's without black and yellow, which one of the grounds swallows.
const COLOURS: [&str; 6] = [
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9",
];
/// The rest.
const OTHER: &str = "#8a8a8a";
/// Side of the square of points, and the space around it, in the figure's units.
const SIDE: f64 = 480.0;
const MARGIN: f64 = 36.0;

/// A category of each item, to colour by.
pub(crate) struct Categories {
    /// Names with a colour of their own, the most frequent first.
    names: Vec<String>,
    /// By row: an index into `names`, which for others is their number.
    of_item: Vec<usize>,
}

impl Categories {
    /// By a metadata field, or by the first of the usual ones that an item has. An item's category is
    /// the first value there that most items do not share.
    pub(crate) fn new(catalogue: &Catalogue, field: Option<&str>) -> Self {
        let telling = telling(catalogue, field);
        let mut names: Vec<(&String, usize)> =
            count(telling.iter().flatten()).into_iter().collect();
        // Stable: of equals the alphabetically first.
        names.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        names.truncate(COLOURS.len());
        let names: Vec<String> = names.into_iter().map(|(name, _)| name.clone()).collect();
        let of_item = telling
            .iter()
            .map(|name| {
                names
                    .iter()
                    .position(|known| Some(known) == name.as_ref())
                    .unwrap_or(names.len())
            })
            .collect();
        Self { names, of_item }
    }
}

/// What an item is called: its title or name, else its id.
pub fn title(item: &CatalogueItem) -> &str {
    let named = ["title", "name"]
        .into_iter()
        .find_map(|field| item.metadata.get(field)?.as_str());
    named
        .filter(|name| !name.trim().is_empty())
        .unwrap_or(&item.id)
}

#[derive(Serialize)]
struct Figure {
    part: String,
    side: f64,
    margin: f64,
    width: f64,
    height: f64,
    x_label: String,
    y_label: String,
    points: Vec<Point>,
    legend: Vec<Legend>,
    left_out: Option<String>,
}

#[derive(Serialize)]
struct Point {
    x: String,
    y: String,
    colour: &'static str,
    title: String,
}

#[derive(Serialize)]
struct Legend {
    colour: &'static str,
    y: f64,
    label: String,
}

/// Draws a part whose rows are the catalogue's items. Items without a vector are left out, as are those
/// beyond a seeded sample of a large catalogue; the figure says so.
pub(crate) fn draw(
    part: &PartVectors,
    catalogue: &Catalogue,
    categories: &Categories,
    mut rng: Xoshiro256PlusPlus,
    reduce: &Reduce<'_>,
) -> Result<String, ProjectionError> {
    let rows: Vec<usize> = (0..catalogue.items.len())
        .filter(|&row| !is_zero(part.row(row)))
        .collect();
    let vectors: Vec<&[f32]> = rows.iter().map(|&row| part.row(row)).collect();
    let plane = Reduction {
        components: 2,
        ridge: None,
        fitted: vectors.len(),
    };
    let reduced = reduce(&vectors, plane)?;
    let (plane, components) = (reduced.values, reduced.summary.components);
    let reach = plane
        .iter()
        .fold(f32::MIN_POSITIVE, |reach, value| reach.max(value.abs()));
    // One scale for both axes, so that distances are what they look like.
    let place = |value: f32| {
        format!(
            "{:.1}",
            MARGIN + SIDE / 2.0 * (1.0 + f64::from(value / reach))
        )
    };
    let mut chosen: Vec<usize> = if rows.len() > MAX_POINTS {
        index::sample(&mut rng, rows.len(), MAX_POINTS).into_vec()
    } else {
        (0..rows.len()).collect()
    };
    chosen.sort_unstable();
    let colour = |category: usize| {
        COLOURS[..categories.names.len()]
            .get(category)
            .copied()
            .unwrap_or(OTHER)
    };
    let points = chosen.iter().map(|&place_of| {
        let coordinate = |axis: usize| {
            let in_row = (axis < components).then(|| plane[place_of * components + axis]);
            in_row.unwrap_or(0.0)
        };
        let row = rows[place_of];
        Point {
            x: place(coordinate(0)),
            // Up is positive.
            y: place(-coordinate(1)),
            colour: colour(categories.of_item[row]),
            title: printable(title(&catalogue.items[row])),
        }
    });
    let points: Vec<Point> = points.collect();
    let count_of = |category: usize| {
        rows.iter()
            .filter(|&&row| categories.of_item[row] == category)
            .count()
    };
    let named = categories
        .names
        .iter()
        .map(|name| printable(name))
        .chain(["other or none".to_owned()]);
    let legend = named.enumerate().map(|(category, name)| Legend {
        colour: colour(category),
        y: MARGIN + 24.0 + 22.0 * category as f64,
        label: format!("{name} ({})", count_of(category)),
    });
    let shares = reduced.summary.explained_variance_ratio;
    let axis = |axis: usize| {
        let share = shares.get(axis).copied().unwrap_or_default();
        format!("component {}, {:.1} % of variance", axis + 1, 100.0 * share)
    };
    let without = catalogue.items.len() - rows.len();
    let left_out = match (points.len() < rows.len(), without) {
        (false, 0) => None,
        (false, without) => Some(format!("without a vector, left out: {without}")),
        (true, without) => Some(format!(
            "a sample of {}; without a vector, left out: {without}",
            points.len()
        )),
    };
    let figure = Figure {
        part: printable(&part.name),
        side: SIDE,
        margin: MARGIN,
        width: SIDE + 2.0 * MARGIN + 230.0,
        height: SIDE + 2.0 * MARGIN,
        x_label: axis(0),
        y_label: axis(1),
        legend: legend.collect(),
        points,
        left_out,
    };
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    Ok(environment.render_str(include_str!("report/projection.svg"), Serde(figure))?)
}

/// Why a part cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectionError {
    #[error(transparent)]
    Pca(#[from] PcaError),
    #[error(transparent)]
    Template(#[from] minijinja::Error),
}

/// Without control characters, which XML refuses.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::rand_core::SeedableRng;
    use serde_json::json;

    use serde_json::Value;

    use super::*;
    use crate::pca::truncate;

    fn catalogue(metadata: &[Value]) -> Catalogue {
        let items = metadata
            .iter()
            .enumerate()
            .map(|(row, metadata)| CatalogueItem {
                id: format!("i{row}"),
                metadata: metadata.as_object().unwrap().clone(),
            });
        Catalogue {
            items: items.collect(),
        }
    }

    #[test]
    fn a_category_is_the_first_value_that_tells_items_apart() {
        let catalogue = catalogue(&[
            json!({ "categories": ["Beauty", "Hair"] }),
            json!({ "categories": ["Beauty", "Nails", "Polish"] }),
            json!({ "categories": ["Beauty", "Nails"] }),
            json!({ "categories": ["Beauty"] }),
            json!({}),
        ]);
        // At four of five, "Beauty" is not common yet.
        let categories = Categories::new(&catalogue, None);
        assert_eq!(
            (categories.names, categories.of_item),
            (vec!["Beauty".to_owned()], vec![0, 0, 0, 0, 1])
        );
        let four = Catalogue {
            items: catalogue.items[..4].to_vec(),
        };
        let categories = Categories::new(&four, None);
        assert_eq!(categories.names, ["Nails", "Hair"]);
        assert_eq!(categories.of_item, [1, 0, 0, 2]);
        assert_eq!(Categories::new(&catalogue, Some("brand")).of_item, [0; 5]);
    }

    #[test]
    fn names_are_titles_or_ids() {
        let catalogue = catalogue(&[json!({ "title": "T" }), json!({ "title": " ", "name": 7 })]);
        let names: Vec<&str> = catalogue.items.iter().map(title).collect();
        assert_eq!(names, ["T", "i1"]);
    }

    #[test]
    fn the_figure_is_escaped_has_each_item_and_repeats() {
        let catalogue = catalogue(&[
            json!({ "title": "<script>\u{1}", "genres": ["a & b"] }),
            json!({ "title": "two", "genres": "drama" }),
            json!({ "title": "three" }),
            json!({ "title": "without a vector" }),
        ]);
        let part = PartVectors {
            name: "context".to_owned(),
            width: 3,
            values: vec![3.0, 0.0, 0.0, -3.0, 1.0, 0.0, 0.5, 0.0, 0.25, 0.0, 0.0, 0.0],
        };
        let categories = Categories::new(&catalogue, None);
        let figure = || {
            draw(
                &part,
                &catalogue,
                &categories,
                Xoshiro256PlusPlus::seed_from_u64(1),
                &truncate,
            )
            .unwrap()
        };
        let svg = figure();
        assert_eq!(svg, figure());
        assert_eq!(svg.matches("<circle class=\"point\"").count(), 3);
        assert!(
            svg.contains("&lt;script&gt; <") && !svg.contains("<script"),
            "{svg}"
        );
        assert!(svg.contains("a &amp; b (1)"), "{svg}");
        assert!(svg.contains("without a vector, left out: 1"), "{svg}");
        // The first item is the farthest to one side of the first axis, and its place is in the frame.
        assert!(
            svg.contains("cx=\"36.0\"") || svg.contains("cx=\"516.0\""),
            "{svg}"
        );
    }
}
