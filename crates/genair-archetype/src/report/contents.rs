//! What a report tells, as plain data for its templates: numbers are text by here.

use std::collections::HashMap;

use genair_data::PartVectors;
use genair_protocol::PcaSummary;
use genair_protocol::{AnswerEnd, EngineRecord};
use serde_json::{Value, json};

use super::ReportInput;
use crate::neighbours::{Neighbour, Neighbours, is_zero};
use crate::projection::title;
use crate::provenance::{PartSummary, VectorsProvenance};

/// Numbers of components whose cumulative share of variance is told.
const CUMULATIVE_AT: [usize; 6] = [1, 2, 10, 50, 100, 384];

/// `parts` have a row for each item of the catalogue; `examples` are such rows.
pub(super) fn contents(
    input: &ReportInput<'_>,
    parts: &[PartVectors],
    examples: &[usize],
    figures: &[Value],
) -> Value {
    let provenance = VectorsProvenance::of(input.vectors);
    let provenance = provenance.as_ref();
    let records: Vec<&EngineRecord> = input
        .records
        .iter()
        .filter_map(|item| item.record.as_deref())
        .collect();
    let is_answered = |record: &&&EngineRecord| record.archetype.is_some();
    let answered = records.iter().filter(is_answered).count();
    let answers = answered > 0 || records.iter().any(|own| own.ended != AnswerEnd::Given);
    // A server need not count.
    let counted = records.iter().map(|record| record.prompt_tokens);
    let prompts = lengths("prompt", counted.filter(|&tokens| tokens > 0));
    let written = lengths("answer", records.iter().map(|record| record.new_tokens));
    let lengths = prompts.into_iter().chain(written.filter(|_| answers));
    json!({
        "dataset": input.dataset,
        "catalogue_sha256": input.catalogue.sha256(),
        "recipe_sha256": provenance.map(|own| &own.recipe_sha256),
        "settings": provenance.and_then(|own| serde_json::to_string_pretty(&own.settings).ok()),
        "counts": counts(input, records.len(), answers.then_some(answered)),
        "lengths": lengths.collect::<Vec<_>>(),
        "endings": if answers { endings(&records) } else { Vec::new() },
        "parts": described(input, parts),
        "figures": figures,
        "seed": input.seed,
        "examples": shown(input, parts, examples, answers),
    })
}

/// A line of a table.
fn row(name: &str, count: usize, of: usize) -> Value {
    let share = 100.0 * count as f64 / of.max(1) as f64;
    json!({ "name": name, "count": count, "share": format!("{share:.1} %") })
}

fn counts(input: &ReportInput<'_>, records: usize, answered: Option<usize>) -> Vec<Value> {
    let items = input.catalogue.items.len();
    let mut rows = vec![row("items", items, items)];
    if !input.records.is_empty() {
        let without = items - records;
        rows.push(row("items without metadata (zero vectors)", without, items));
    }
    if let Some(answered) = answered {
        let empty = records - answered;
        rows.push(row("empty answers (zero archetype)", empty, items));
    }
    rows
}

/// How long texts are, in tokens; none of no texts.
fn lengths(name: &str, tokens: impl Iterator<Item = usize>) -> Option<Value> {
    let mut tokens: Vec<usize> = tokens.collect();
    tokens.sort_unstable();
    let last = tokens.len().checked_sub(1)?;
    let mean = tokens.iter().sum::<usize>() as f64 / tokens.len() as f64;
    Some(json!({
        "name": name,
        "minimum": tokens[0],
        "median": tokens[last / 2],
        "mean": format!("{mean:.1}"),
        "p95": tokens[(last * 95).div_ceil(100)],
        "maximum": tokens[last],
    }))
}

fn ended(end: AnswerEnd) -> &'static str {
    match end {
        AnswerEnd::EndOfSequence => "the model ended it",
        AnswerEnd::Stop => "a stop string",
        AnswerEnd::Length => "the limit of tokens",
        AnswerEnd::Given => "given",
    }
}

fn endings(records: &[&EngineRecord]) -> Vec<Value> {
    let all = [
        AnswerEnd::EndOfSequence,
        AnswerEnd::Stop,
        AnswerEnd::Length,
        AnswerEnd::Given,
    ];
    let count = |end| records.iter().filter(|record| record.ended == end).count();
    let counted = all.into_iter().map(|end| (end, count(end)));
    counted
        .filter(|&(_, count)| count > 0)
        .map(|(end, count)| row(ended(end), count, records.len()))
        .collect()
}

/// Summaries as the file's provenance has them, of imported vectors too; else what the rows say.
fn described(input: &ReportInput<'_>, parts: &[PartVectors]) -> Vec<Value> {
    let summaries = input.vectors.provenance.get("parts").cloned();
    let summaries: Vec<PartSummary> = summaries
        .and_then(|parts| serde_json::from_value(parts).ok())
        .unwrap_or_default();
    let describe = |part: &PartVectors| {
        let summary = summaries.iter().find(|summary| summary.name == part.name);
        let rows = part.values.chunks_exact(part.width);
        let vectors = || rows.filter(|row| !is_zero(row)).count();
        json!({
            "name": part.name,
            "vectors": summary.map_or_else(vectors, |own| own.vectors),
            "width": summary.map_or(part.width, |own| own.width),
            "components": part.width,
            "pca": summary.and_then(|own| own.pca.as_ref()).map(variance),
        })
    };
    parts.iter().map(describe).collect()
}

/// What PCA kept of a part.
fn variance(pca: &PcaSummary) -> Value {
    let ratio = &pca.explained_variance_ratio;
    let share =
        |components: usize| format!("{:.1} %", 100.0 * ratio[..components].iter().sum::<f64>());
    let at = CUMULATIVE_AT.into_iter().filter(|&at| at < ratio.len());
    let cumulative = at.map(|at| json!({ "components": at, "share": share(at) }));
    json!({
        "rank": pca.rank,
        "total": share(ratio.len()),
        "cumulative": cumulative.collect::<Vec<_>>(),
    })
}

fn shown(
    input: &ReportInput<'_>,
    parts: &[PartVectors],
    examples: &[usize],
    answers: bool,
) -> Vec<Value> {
    let records: HashMap<&str, &EngineRecord> = input
        .records
        .iter()
        .filter_map(|item| Some((item.item.as_str(), item.record.as_deref()?)))
        .collect();
    let spaces: Vec<(&str, Neighbours)> = parts
        .iter()
        .map(|part| (part.name.as_str(), Neighbours::new(part)))
        .collect();
    let near = |found: Neighbour| {
        let title = title(&input.catalogue.items[found.row]);
        json!({ "title": title, "cosine": format!("{:.3}", found.cosine) })
    };
    let example = |&row: &usize| {
        let item = &input.catalogue.items[row];
        let answer = records.get(item.id.as_str()).filter(|_| answers);
        let answer = answer.map(|record| {
            json!({
                "text": record.text,
                "prompt_tokens": record.prompt_tokens,
                "new_tokens": record.new_tokens,
                "ended": ended(record.ended),
            })
        });
        let metadata = item.metadata.iter();
        let metadata = metadata.map(|(name, value)| json!({ "name": name, "value": text(value) }));
        let spaces = spaces.iter().map(|(part, neighbours)| {
            let nearest = neighbours.nearest(row, input.neighbours).into_iter();
            json!({ "part": part, "nearest": nearest.map(near).collect::<Vec<_>>() })
        });
        json!({
            "id": item.id,
            "title": title(item),
            "metadata": metadata.collect::<Vec<_>>(),
            "answer": answer,
            "spaces": spaces.collect::<Vec<_>>(),
        })
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
