//! `genair archetype`: writing archetypes of items and looking at them.

mod batch;
mod import;

use std::path::{Path, PathBuf};

use anyhow::Context;
use genair_archetype::{
    Installation, Neighbours, RecordParts, Report, ReportInput, in_trainer, models, title,
};
use genair_data::{Catalogue, CatalogueItem, ItemVectors};
use genair_files::Cache;
use genair_runner::{Archetypes, Interrupt};
use genair_spec::{ArchetypeJob, SpecFile};
use itertools::Itertools;
use serde::Serialize;
use serde_json::json;

use crate::args::{Archetype, ArchetypeArgs, Model};
use crate::exit::Exit;
use crate::generation::{GenerationBar, tell_download};
use crate::output::{Output, table};
use crate::output_path::may_fill;

/// Items shown in full by a report, and neighbours of each.
const EXAMPLES: usize = 10;
const NEIGHBOURS: usize = 5;
/// Draws a report's examples.
const SEED: u64 = 44;

pub(super) fn archetype(output: &Output, command: &Archetype) -> anyhow::Result<Exit> {
    match command {
        Archetype::Prompt { of, item } => prompt(output, of, item.as_deref()),
        Archetype::Generate(of) => generate(output, of),
        Archetype::Show {
            of,
            item,
            neighbours,
        } => show(output, of, item, *neighbours),
        Archetype::Report { of, out, category } => {
            report(output, of, out.as_deref(), category.as_deref())
        }
        Archetype::Import(arguments) => import::import(output, arguments),
        Archetype::ExportPrompts { of, out } => batch::export_prompts(output, of, out),
        Archetype::ImportAnswers { of, answers } => batch::import_answers(output, of, answers),
        Archetype::Model(command) => model(output, command),
    }
}

fn prompt(output: &Output, of: &ArchetypeArgs, item: Option<&str>) -> anyhow::Result<Exit> {
    let job = job(of)?;
    let installation = Installation::new(of.cache.path());
    let catalogue = genair_runner::catalogue(&job.data, &installation.cache)?;
    let item = match item {
        Some(id) => item_of(&catalogue, id, &job.dataset)?.1,
        None => {
            (catalogue.items.first()).with_context(|| format!("`{}` has no items", job.dataset))?
        }
    };
    let prompt = genair_archetype::prompt(&item.metadata, &job.settings, &installation)?;
    let value = json!({
        "dataset": job.dataset, "item": item.id, "metadata": item.metadata, "prompt": prompt,
    });
    output.show(&value, || {
        prompt.unwrap_or_else(|| format!("item `{}` has no metadata, so no prompt", item.id))
    })
}

#[derive(Serialize)]
struct Made<'a> {
    dataset: &'a str,
    representation: &'a str,
    archetypes: PathBuf,
    vectors: &'a Path,
    counts: genair_archetype::GenerationCounts,
}

/// A header and what it says of a job that is done.
type Column = (&'static str, fn(&Made<'_>) -> String);

const COLUMNS: [Column; 7] = [
    ("dataset", |own| own.dataset.to_owned()),
    ("representation", |own| own.representation.to_owned()),
    ("items", |own| own.counts.items.to_string()),
    ("made", |own| own.counts.made.to_string()),
    ("without metadata", |own| {
        own.counts.without_metadata.to_string()
    }),
    ("empty answers", |own| own.counts.empty_answers.to_string()),
    ("vectors", |own| own.vectors.display().to_string()),
];

fn generate(output: &Output, of: &ArchetypeArgs) -> anyhow::Result<Exit> {
    let jobs = jobs(of)?;
    let mut done = Vec::new();
    for job in &jobs {
        let catalogue = genair_runner::catalogue(&job.data, &Cache::new(of.cache.path()))?;
        match run(output, of, job, catalogue)? {
            Some(made) => done.push((job, made)),
            None => return Ok(Exit::Interrupted),
        }
    }
    let rows = done.iter().map(|(job, made)| Made {
        dataset: &job.dataset,
        representation: &job.representation,
        archetypes: made.file.path.with_extension("archetypes.jsonl"),
        vectors: &made.file.path,
        counts: made.generated.counts,
    });
    let rows: Vec<Made<'_>> = rows.collect();
    output.show(&rows, || {
        let headers = COLUMNS.map(|(name, _)| name);
        let cells = rows.iter().map(|row| COLUMNS.map(|(_, cell)| cell(row)));
        table(&headers, &headers[2..6], cells)
    })
}

/// One job to its end; `None` after a request to stop.
fn run(
    output: &Output,
    of: &ArchetypeArgs,
    job: &ArchetypeJob,
    catalogue: Catalogue,
) -> anyhow::Result<Option<Archetypes>> {
    let told = output.clone();
    let stopping = move |_| told.note("stopping; the same command goes on from here");
    // Of several jobs the first one has installed it.
    let interrupt = Interrupt::on_signals(stopping).unwrap_or_default();
    let installation = Installation::new(of.cache.path());
    let what = match job.settings.record_parts() {
        RecordParts::Archetype => "archetypes",
        RecordParts::Context => "prompts",
        RecordParts::Text => "texts",
    };
    let label = format!("{what} of {}", job.dataset);
    let mut bar = GenerationBar::new(output.clone(), label);
    let form = genair_runner::fitted(&job.form, &job.data, &installation.cache)?;
    let made = genair_runner::archetypes(
        catalogue,
        &job.settings,
        &form,
        &installation,
        &mut |progress| bar.show(&progress),
        &|| interrupt.requested(),
    );
    match made {
        Ok(made) => Ok(Some(made)),
        Err(error) if error.is_interruption() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show(output: &Output, of: &ArchetypeArgs, id: &str, k: usize) -> anyhow::Result<Exit> {
    let job = job(of)?;
    let catalogue = genair_runner::catalogue(&job.data, &Cache::new(of.cache.path()))?;
    // Before anything is written for the others.
    let (row, _) = item_of(&catalogue, id, &job.dataset)?;
    let Some(made) = run(output, of, &job, catalogue)? else {
        return Ok(Exit::Interrupted);
    };
    let item = &made.catalogue.items[row];
    let own = &made.generated.items[row];
    let record = own.record.as_ref().filter(|_| has_answers(&job));
    let answer = record.map(|record| record.text.as_str());
    let spaces = nearest(&made.vectors, &made.catalogue, row, k);
    let value = json!({
        "dataset": job.dataset, "item": item.id, "metadata": item.metadata,
        "prompt": own.prompt, "answer": answer, "ended": record.map(|record| record.ended),
        "neighbours": spaces,
    });
    output.show(&value, || {
        let mut text = format!("{} ({})\n", title(item), item.id);
        for (name, value) in &item.metadata {
            text += &format!("  {name}: {value}\n");
        }
        let none = "(none: the item has no metadata)";
        text += &format!("\nprompt\n  {}\n", own.prompt.as_deref().unwrap_or(none));
        if has_answers(&job) {
            text += &format!("\narchetype\n  {}\n", answer.unwrap_or(none).trim());
        }
        for space in &spaces {
            text += &format!("\nnearest in `{}`\n", space.part);
            for neighbour in &space.items {
                let (title, item) = (neighbour.title, neighbour.item);
                text += &format!("  {:.3}  {title} ({item})\n", neighbour.cosine);
            }
        }
        text
    })
}

#[derive(Serialize)]
struct Space<'a> {
    part: &'a str,
    items: Vec<Near<'a>>,
}

#[derive(Serialize)]
struct Near<'a> {
    item: &'a str,
    title: &'a str,
    cosine: f32,
}

fn nearest<'a>(
    vectors: &'a ItemVectors,
    catalogue: &'a Catalogue,
    row: usize,
    k: usize,
) -> Vec<Space<'a>> {
    let near = |found: genair_archetype::Neighbour| {
        let item = &catalogue.items[found.row];
        Near {
            item: &item.id,
            title: title(item),
            cosine: found.cosine,
        }
    };
    let spaces = vectors.parts.iter().map(|part| {
        let found = Neighbours::new(part).nearest(row, k).into_iter();
        Space {
            part: &part.name,
            items: found.map(near).collect(),
        }
    });
    spaces.collect()
}

fn report(
    output: &Output,
    of: &ArchetypeArgs,
    out: Option<&Path>,
    category: Option<&str>,
) -> anyhow::Result<Exit> {
    let job = job(of)?;
    let catalogue = genair_runner::catalogue(&job.data, &Cache::new(of.cache.path()))?;
    let Some(made) = run(output, of, &job, catalogue)? else {
        return Ok(Exit::Interrupted);
    };
    let installation = Installation::new(of.cache.path());
    let input = ReportInput {
        dataset: &job.dataset,
        catalogue: &made.catalogue,
        records: &made.generated.items,
        vectors: &made.vectors,
        category_field: category,
        examples: EXAMPLES,
        neighbours: NEIGHBOURS,
        seed: SEED,
    };
    let report = Report::new(&input, &in_trainer(&installation, &|| false))?;
    let default = PathBuf::from(format!("results/archetypes-{}", job.dataset));
    let out = out.unwrap_or(&default);
    may_fill(out, &["html", "md", "svg"], &[&of.spec])?;
    let files = report.write(out)?;
    output.show(&json!({ "files": files }), || {
        files.iter().map(|file| file.display()).join("\n")
    })
}

fn model(output: &Output, command: &Model) -> anyhow::Result<Exit> {
    match command {
        Model::List(cache) => {
            let installation = Installation::new(cache.path());
            let rows: Vec<_> = models::CATALOGUE
                .iter()
                .map(|model| (model, !models::is_missing(model.name, &installation)))
                .collect();
            let value = rows.iter().map(|(model, present)| {
                json!({ "name": model.name, "about": model.about, "present": present })
            });
            output.show(&value.collect::<Vec<_>>(), || {
                let cells = rows.iter().map(|(model, present)| {
                    let here = if *present { "here" } else { "to fetch" };
                    [model.name, here, model.about].map(str::to_owned)
                });
                table(&["name", "state", "about"], &[], cells)
            })
        }
        Model::Fetch { name, url, cache } => {
            let installation = Installation::new(cache.path());
            let told = &mut |progress| tell_download(output, &progress);
            let (folder, fetched) = models::fetch(name, url.as_deref(), &installation, told)?;
            let value = json!({ "name": name, "path": folder, "already_there": !fetched });
            output.show(&value, || {
                let how = if fetched {
                    "fetched"
                } else {
                    "is there already, verified"
                };
                format!("{}: {how}", folder.display())
            })
        }
    }
}

/// Every job of a spec, or those of the chosen dataset and representation; at least one.
fn jobs(of: &ArchetypeArgs) -> anyhow::Result<Vec<ArchetypeJob>> {
    let file = SpecFile::read(&of.spec, &of.set.options())?;
    let mut jobs = file.archetypes()?;
    let spec = of.spec.display();
    anyhow::ensure!(!jobs.is_empty(), "{spec} has no [dataset.NAME]");
    if let Some(wanted) = &of.dataset {
        let names = jobs.iter().map(|job| &job.dataset).dedup().join(", ");
        jobs.retain(|job| job.dataset == *wanted);
        anyhow::ensure!(
            !jobs.is_empty(),
            "no dataset `{wanted}` in {spec}; there are: {names}"
        );
    }
    if let Some(wanted) = &of.representation {
        jobs.retain(|job| job.representation == *wanted);
        let all = file.representations();
        let mut known = all.iter().map(|(name, kind)| format!("{name} ({kind})"));
        let known = match all.is_empty() {
            true => "none".to_owned(),
            false => known.join(", "),
        };
        anyhow::ensure!(
            !jobs.is_empty(),
            "{spec} has no representation `{wanted}` of kind archetype or text; its representations: {known}"
        );
    }
    Ok(jobs)
}

/// The one job a command is about.
fn job(of: &ArchetypeArgs) -> anyhow::Result<ArchetypeJob> {
    let mut jobs = jobs(of)?;
    // Where an axis goes over its parts, the first one has answers, and the other one their prompts.
    jobs.dedup_by(|next, first| {
        (&next.dataset, &next.representation) == (&first.dataset, &first.representation)
    });
    let spec = of.spec.display();
    let first = &jobs[0];
    if let Some(other) = jobs.iter().find(|job| job.dataset != first.dataset) {
        anyhow::bail!(
            "{spec} has several datasets; choose one with --dataset ({}, {}, ...)",
            first.dataset,
            other.dataset
        );
    }
    // Representations that differ in what a run does with the vectors are the same here.
    let same = |job: &ArchetypeJob| (&job.settings, &job.form) == (&first.settings, &first.form);
    if !jobs.iter().all(same) {
        let kind = |job: &ArchetypeJob| match job.settings.record_parts() {
            RecordParts::Archetype | RecordParts::Context => "archetype",
            RecordParts::Text => "text",
        };
        let known = |job: &ArchetypeJob| format!("{} ({})", job.representation, kind(job));
        let known = jobs.iter().map(known).join(", ");
        anyhow::bail!(
            "{spec} has several representations with a prompt; choose one with --representation: {known}"
        );
    }
    Ok(jobs.swap_remove(0))
}

/// Whether something is written about the items, and they are not only read.
fn has_answers(job: &ArchetypeJob) -> bool {
    job.settings.record_parts() == RecordParts::Archetype
}

fn item_of<'c>(
    catalogue: &'c Catalogue,
    id: &str,
    dataset: &str,
) -> anyhow::Result<(usize, &'c CatalogueItem)> {
    let mut items = catalogue.items.iter().enumerate();
    items.find(|(_, item)| item.id == id).ok_or_else(|| {
        let examples = catalogue
            .items
            .iter()
            .take(3)
            .map(|item| &item.id)
            .join(", ");
        anyhow::anyhow!(
            "`{dataset}` has no item `{id}`; ids are those of its items file, such as {examples}"
        )
    })
}
