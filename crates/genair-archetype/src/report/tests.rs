use std::sync::Arc;

use genair_data::CatalogueItem;
use genair_protocol::{AnswerEnd, EngineRecord};
use serde_json::json;

use super::*;
use crate::assemble::{RecordParts, VectorsRecipe, assemble};
use crate::form::VectorsForm;
use crate::generate::{Generated, GenerationCounts};
use crate::pca::truncate;
use crate::prompt::PromptSpec;
use crate::record::encode_vector;

/// Twenty items; every fifth has no metadata, every fourth of the others no answer.
fn catalogue() -> Catalogue {
    let item = |row: usize| CatalogueItem {
        id: format!("i{row}"),
        metadata: match row % 5 {
            0 => serde_json::Map::new(),
            _ => json!({ "title": format!("<b>Film</b> *{row}*"), "genres": ["Drama", "War"] })
                .as_object()
                .unwrap()
                .clone(),
        },
    };
    Catalogue {
        items: (0..20).map(item).collect(),
    }
}

fn records(catalogue: &Catalogue) -> Vec<Option<EngineRecord>> {
    let record = |row: usize| EngineRecord {
        key: String::new(),
        text: match row % 4 {
            0 => String::new(),
            _ => format!("people who\n<script>like()</script> {row}"),
        },
        prompt_tokens: 10 + row,
        new_tokens: row,
        ended: match row % 4 {
            0 => AnswerEnd::EndOfSequence,
            _ => AnswerEnd::Length,
        },
        context: encode_vector(&[row as f32, (row * row) as f32, 1.0]),
        archetype: (!row.is_multiple_of(4)).then(|| encode_vector(&[1.0, -(row as f32), 0.5])),
        tokens: None,
    };
    let items = catalogue.items.iter().enumerate();
    items
        .map(|(row, item)| (!item.metadata.is_empty()).then(|| record(row)))
        .collect()
}

/// Makes a report of the catalogue, or of its vectors alone.
fn report(with_records: bool, seed: u64) -> Report {
    let catalogue = catalogue();
    let items = catalogue.items.iter().zip(records(&catalogue));
    let generated = Generated {
        items: items
            .map(|(item, record)| ItemArchetype {
                item: item.id.clone(),
                prompt: None,
                record: record.map(Arc::new),
            })
            .collect(),
        settings: Vec::new(),
        counts: GenerationCounts::default(),
    };
    let recipe = VectorsRecipe {
        archetypes_sha256: "a5".to_owned(),
        catalogue_sha256: catalogue.sha256(),
        parts: RecordParts::Archetype,
        form: VectorsForm::components(384),
    };
    let prompt: PromptSpec = serde_json::from_value(json!({ "ending": "</pre>tiny" })).unwrap();
    let mut vectors = assemble(&recipe, &catalogue, &prompt, &generated, &truncate).unwrap();
    // Rows are found by id, whatever their order.
    vectors.items.reverse();
    for part in &mut vectors.parts {
        part.values = part
            .values
            .chunks(part.width)
            .rev()
            .flatten()
            .copied()
            .collect();
    }
    let input = ReportInput {
        dataset: "films & more",
        catalogue: &catalogue,
        records: if with_records { &generated.items } else { &[] },
        vectors: &vectors,
        category_field: None,
        examples: 4,
        neighbours: 2,
        seed,
    };
    Report::new(&input, &truncate).unwrap()
}

#[test]
fn what_was_counted_is_told() {
    let report = report(true, 44);
    for row in [
        "| items | 20 | 100.0 % |",
        "| items without metadata (zero vectors) | 4 | 20.0 % |",
        "| empty answers (zero archetype) | 4 | 20.0 % |",
        "| prompt | 11 | 19 | 20.0 | 29 | 29 |",
        "| the model ended it | 4 | 25.0 % |",
        "| the limit of tokens | 12 | 75.0 % |",
        "| context | 16 | 3 | 3 | 3 | 100.0 % | 1: 33.3 %, 2: 66.7 % |",
        "| archetype | 12 | 3 | 3 | 3 | 100.0 % |",
    ] {
        assert!(report.markdown.contains(row), "{row}\n{}", report.markdown);
    }
    assert_eq!(report.markdown.matches("\n### ").count(), 4);
    assert_eq!(
        report.html.matches("<section class=\"example\">").count(),
        4
    );
    assert_eq!(report.html.matches("<svg").count(), 2);
}

#[test]
fn nothing_from_data_is_markup() {
    let report = report(true, 44);
    for text in [&report.html, &report.markdown, &report.figures[0].1] {
        for markup in ["<b>", "<script", "</pre>tiny"] {
            // A fenced block of Markdown holds no markup.
            let body = text.split("```json").next().unwrap();
            assert!(!body.contains(markup), "{markup}\n{body}");
        }
    }
    assert!(report.html.contains("&lt;b&gt;Film"), "{}", report.html);
    assert!(
        report.markdown.contains("&lt;b\\>Film&lt;/b\\> \\*"),
        "{}",
        report.markdown
    );
    assert!(report.html.contains("films &amp; more"));
}

#[test]
fn the_seed_draws_the_examples_and_nothing_else_does() {
    assert_eq!(report(true, 44), report(true, 44));
    let examples = |seed| -> Vec<String> {
        let report = report(true, seed);
        report
            .markdown
            .lines()
            .filter(|line| line.starts_with("### "))
            .map(str::to_owned)
            .collect()
    };
    assert_ne!(examples(44), examples(45));
}

#[test]
fn imported_vectors_have_a_report_without_answers() {
    let report = report(false, 44);
    assert!(
        !report.markdown.contains("Answer") && !report.markdown.contains("Lengths"),
        "{}",
        report.markdown
    );
    assert!(report.markdown.contains("Nearest by context: "));
    assert_eq!(report.figures.len(), 2);
}

#[test]
fn files_are_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new/report");
    let report = report(true, 44);
    let written = report.write(&folder).unwrap();
    let names: Vec<_> = written
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "report.html",
            "report.md",
            "projection-1-context.svg",
            "projection-2-archetype.svg"
        ]
    );
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);
    assert!(
        report
            .markdown
            .contains("![archetype](projection-2-archetype.svg)")
    );
}
