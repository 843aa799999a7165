//! What a report tells, as plain data for its templates: numbers are text by here.

use std::collections::HashMap;

use genair_data::{CatalogueItem, PartVectors};
use genair_protocol::{AnswerEnd, EngineRecord};
use serde::Serialize;
use serde_json::Value;

use super::ReportInput;
use crate::neighbours::{Neighbours, is_zero};
use crate::projection::title;
use crate::provenance::{PartSummary, VectorsProvenance};

/// Numbers of components whose cumulative share of variance is told.
const CUMULATIVE_AT: [usize; 6] = [1, 2, 10, 50, 100, 384];

#[derive(Serialize)]
pub(super) struct Contents {
    dataset: String,
    catalogue_sha256: String,
    recipe_sha256: Option<String>,
    settings: Option<String>,
    counts: Vec<Row>,
    lengths: Vec<Lengths>,
    endings: Vec<Row>,
    parts: Vec<Part>,
    figures: Vec<Figure>,
    seed: u64,
    examples: Vec<Example>,
}

/// A line of a table.
#[derive(Serialize)]
struct Row {
    name: String,
    count: usize,
    share: String,
}

/// How long texts are, in tokens.
#[derive(Serialize)]
struct Lengths {
    name: &'static str,
    minimum: usize,
    median: usize,
    mean: String,
    p95: usize,
    maximum: usize,
}

#[derive(Serialize)]
struct Part {
    name: String,
    vectors: usize,
    width: usize,
    components: usize,
    pca: Option<Variance>,
}

/// What PCA kept of a part.
#[derive(Serialize)]
struct Variance {
    asked: usize,
    rank: usize,
    total: String,
    cumulative: Vec<Cumulative>,
}

#[derive(Serialize)]
struct Cumulative {
    components: usize,
    share: String,
}

/// A part in two dimensions, or why it cannot be drawn.
#[derive(Serialize)]
pub(super) struct Figure {
    pub(super) part: String,
    /// Absent where there is none.
    pub(super) file: Option<String>,
    pub(super) svg: String,
    pub(super) problem: String,
}

#[derive(Serialize)]
struct Example {
    id: String,
    title: String,
    metadata: Vec<Field>,
    /// Absent where there is no record.
    answer: Option<Answer>,
    spaces: Vec<Space>,
}

#[derive(Serialize)]
struct Field {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Answer {
    text: String,
    prompt_tokens: usize,
    new_tokens: usize,
    ended: &'static str,
}

/// An item's nearest in one part.
#[derive(Serialize)]
struct Space {
    part: String,
    nearest: Vec<Near>,
}

#[derive(Serialize)]
struct Near {
    id: String,
    title: String,
    cosine: String,
}

impl Contents {
    /// `parts` have a row for each item of the catalogue; `examples` are such rows.
    pub(super) fn new(
        input: &ReportInput<'_>,
        parts: &[PartVectors],
        examples: &[usize],
        figures: Vec<Figure>,
    ) -> Self {
        let provenance = VectorsProvenance::of(input.vectors);
        let records: Vec<&EngineRecord> = input
            .records
            .iter()
            .filter_map(|item| item.record.as_deref())
            .collect();
        let answered: Vec<&EngineRecord> = records
            .iter()
            .copied()
            .filter(|record| record.archetype.is_some())
            .collect();
        let answers = records
            .iter()
            .any(|record| record.archetype.is_some() || record.ended != AnswerEnd::Given);
        let lengths = [
            (
                "prompt",
                lengths("prompt", records.iter().map(|record| record.prompt_tokens)),
            ),
            (
                "answer",
                lengths("answer", records.iter().map(|record| record.new_tokens)),
            ),
        ];
        Self {
            dataset: input.dataset.to_owned(),
            catalogue_sha256: input.catalogue.sha256(),
            recipe_sha256: provenance
                .as_ref()
                .map(|provenance| provenance.recipe_sha256.clone()),
            settings: provenance
                .as_ref()
                .and_then(|provenance| serde_json::to_string_pretty(&provenance.settings).ok()),
            counts: counts(input, records.len(), answers.then_some(answered.len())),
            lengths: lengths
                .into_iter()
                .filter(|(name, _)| answers || *name == "prompt")
                .filter_map(|(_, lengths)| lengths)
                .collect(),
            endings: if answers {
                endings(&records)
            } else {
                Vec::new()
            },
            parts: described(input, parts),
            figures,
            seed: input.seed,
            examples: shown(input, parts, examples, answers),
        }
    }
}

fn percent(count: usize, of: usize) -> String {
    format!("{:.1} %", 100.0 * count as f64 / of.max(1) as f64)
}

fn counts(input: &ReportInput<'_>, records: usize, answered: Option<usize>) -> Vec<Row> {
    let items = input.catalogue.items.len();
    let mut rows = vec![("items", items)];
    if !input.records.is_empty() {
        rows.push(("items without metadata (zero vectors)", items - records));
    }
    if let Some(answered) = answered {
        rows.push(("empty answers (zero archetype)", records - answered));
    }
    let row = |(name, count): (&str, usize)| Row {
        name: name.to_owned(),
        count,
        share: percent(count, items),
    };
    rows.into_iter().map(row).collect()
}

/// None of no numbers.
fn lengths(name: &'static str, tokens: impl Iterator<Item = usize>) -> Option<Lengths> {
    let mut tokens: Vec<usize> = tokens.collect();
    tokens.sort_unstable();
    let last = tokens.len().checked_sub(1)?;
    Some(Lengths {
        name,
        minimum: tokens[0],
        median: tokens[last / 2],
        mean: format!(
            "{:.1}",
            tokens.iter().sum::<usize>() as f64 / tokens.len() as f64
        ),
        p95: tokens[(last * 95).div_ceil(100)],
        maximum: tokens[last],
    })
}

fn ended(end: AnswerEnd) -> &'static str {
    match end {
        AnswerEnd::EndOfSequence => "the model ended it",
        AnswerEnd::Stop => "a stop string",
        AnswerEnd::Length => "the limit of tokens",
        AnswerEnd::Given => "given",
    }
}

fn endings(records: &[&EngineRecord]) -> Vec<Row> {
    [
        AnswerEnd::EndOfSequence,
        AnswerEnd::Stop,
        AnswerEnd::Length,
        AnswerEnd::Given,
    ]
    .into_iter()
    .map(|end| {
        (
            end,
            records.iter().filter(|record| record.ended == end).count(),
        )
    })
    .filter(|&(_, count)| count > 0)
    .map(|(end, count)| Row {
        name: ended(end).to_owned(),
        count,
        share: percent(count, records.len()),
    })
    .collect()
}

/// Summaries as the file's provenance has them, of imported vectors too; else what the rows say.
fn described(input: &ReportInput<'_>, parts: &[PartVectors]) -> Vec<Part> {
    let summaries = input.vectors.provenance.get("parts").cloned();
    let summaries: Vec<PartSummary> = summaries
        .and_then(|parts| serde_json::from_value(parts).ok())
        .unwrap_or_default();
    let describe =
        |part: &PartVectors| match summaries.iter().find(|summary| summary.name == part.name) {
            Some(summary) => Part {
                name: part.name.clone(),
                vectors: summary.vectors,
                width: summary.width,
                components: part.width,
                pca: summary
                    .pca
                    .as_ref()
                    .map(|pca| variance(pca.asked, pca.rank, &pca.explained_variance_ratio)),
            },
            None => Part {
                name: part.name.clone(),
                vectors: part
                    .values
                    .chunks_exact(part.width)
                    .filter(|row| !is_zero(row))
                    .count(),
                width: part.width,
                components: part.width,
                pca: None,
            },
        };
    parts.iter().map(describe).collect()
}

fn variance(asked: usize, rank: usize, ratio: &[f64]) -> Variance {
    let share =
        |components: usize| format!("{:.1} %", 100.0 * ratio[..components].iter().sum::<f64>());
    let at = CUMULATIVE_AT
        .into_iter()
        .filter(|&components| components < ratio.len());
    Variance {
        asked,
        rank,
        total: share(ratio.len()),
        cumulative: at
            .map(|components| Cumulative {
                components,
                share: share(components),
            })
            .collect(),
    }
}

fn shown(
    input: &ReportInput<'_>,
    parts: &[PartVectors],
    examples: &[usize],
    answers: bool,
) -> Vec<Example> {
    let records: HashMap<&str, &EngineRecord> = input
        .records
        .iter()
        .filter_map(|item| Some((item.item.as_str(), item.record.as_deref()?)))
        .collect();
    let spaces: Vec<(&str, Neighbours)> = parts
        .iter()
        .map(|part| (part.name.as_str(), Neighbours::new(part)))
        .collect();
    let near = |row: usize, neighbours: &Neighbours| {
        let nearest = neighbours.nearest(row, input.neighbours);
        let near = |cosine: f32, item: &CatalogueItem| Near {
            id: item.id.clone(),
            title: title(item).to_owned(),
            cosine: format!("{cosine:.3}"),
        };
        nearest
            .into_iter()
            .map(|found| near(found.cosine, &input.catalogue.items[found.row]))
            .collect()
    };
    let example = |&row: &usize| {
        let item = &input.catalogue.items[row];
        let answer = records
            .get(item.id.as_str())
            .filter(|_| answers)
            .map(|record| Answer {
                text: record.text.clone(),
                prompt_tokens: record.prompt_tokens,
                new_tokens: record.new_tokens,
                ended: ended(record.ended),
            });
        Example {
            id: item.id.clone(),
            title: title(item).to_owned(),
            metadata: item
                .metadata
                .iter()
                .map(|(name, value)| Field {
                    name: name.clone(),
                    value: text(value),
                })
                .collect(),
            answer,
            spaces: spaces
                .iter()
                .map(|(part, neighbours)| Space {
                    part: (*part).to_owned(),
                    nearest: near(row, neighbours),
                })
                .collect(),
        }
    };
    examples.iter().map(example).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
