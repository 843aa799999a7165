//! `genair archetype`: writing archetypes of items and looking at them.

use std::path::{Path, PathBuf};

use genair_archetype::{
    ImportFile, Installation, Neighbours, Report, ReportInput, RowIds, models, title,
};
use genair_data::{Catalogue, CatalogueItem, ItemVectors};
use genair_runner::spec::{ArchetypeJob, SpecFile};
use genair_runner::{Archetypes, Interrupt};
use indicatif::MultiProgress;
use serde::Serialize;
use serde_json::json;

use crate::args::{Archetype, ArchetypeArgs, Format, Model};
use crate::exit::Exit;
use crate::generation::{GenerationBar, tell_download};
use crate::output::{note, table};
use crate::output_path::{may_fill, may_write};

/// Items shown in full by a report, and neighbours of each.
const EXAMPLES: usize = 10;
const NEIGHBOURS: usize = 5;
/// Draws a report's examples.
const SEED: u64 = 44;

pub(super) fn archetype(
    format: Format,
    bars: &MultiProgress,
    command: &Archetype,
) -> anyhow::Result<Exit> {
    match command {
        Archetype::Prompt { of, item } => prompt(format, of, item.as_deref()),
        Archetype::Generate { of } => generate(format, bars, of),
        Archetype::Show {
            of,
            item,
            neighbours,
        } => show(format, bars, of, item, *neighbours),
        Archetype::Report { of, out, category } => {
            report(format, bars, of, out.as_deref(), category.as_deref())
        }
        Archetype::Import {
            files,
            items,
            components,
            of,
            out,
        } => import(format, of, files, items.as_deref(), *components, out),
        Archetype::Model(command) => model(format, bars, command),
    }
}

fn prompt(format: Format, of: &ArchetypeArgs, item: Option<&str>) -> anyhow::Result<Exit> {
    let job = job(of)?;
    let catalogue = genair_data::catalogue(&job.data)?;
    let item = match item {
        Some(id) => item_of(&catalogue, id, &job.dataset)?.1,
        None => match catalogue.items.first() {
            Some(first) => first,
            None => anyhow::bail!("`{}` has no items", job.dataset),
        },
    };
    let installation = Installation::new(of.cache.path());
    let prompt = genair_archetype::prompt(&item.metadata, &job.settings, &installation)?;
    let value = json!({
        "dataset": job.dataset, "item": item.id, "metadata": item.metadata, "prompt": prompt,
    });
    format.show(&value, || {
        prompt.unwrap_or_else(|| format!("item `{}` has no metadata, so no prompt", item.id))
    })?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Made<'a> {
    dataset: &'a str,
    representation: &'a str,
    archetypes: PathBuf,
    vectors: &'a Path,
    counts: genair_archetype::GenerationCounts,
}

fn generate(format: Format, bars: &MultiProgress, of: &ArchetypeArgs) -> anyhow::Result<Exit> {
    let mut jobs = jobs(of)?;
    if let Some(wanted) = &of.representation {
        jobs.retain(|job| job.representation == *wanted);
    }
    let mut done = Vec::new();
    for job in &jobs {
        match run(format, bars, of, job)? {
            Some(made) => done.push((job, made)),
            None => return Ok(Exit::Interrupted),
        }
    }
    let rows: Vec<Made<'_>> = done
        .iter()
        .map(|(job, made)| Made {
            dataset: &job.dataset,
            representation: &job.representation,
            archetypes: made.file.path.with_extension("archetypes.jsonl"),
            vectors: &made.file.path,
            counts: made.generated.counts,
        })
        .collect();
    format.show(&rows, || {
        let headers = [
            "dataset",
            "representation",
            "items",
            "made",
            "without metadata",
            "empty answers",
            "vectors",
        ];
        let cells = rows.iter().map(|row| {
            let counts = row.counts;
            let numbers = [
                counts.items,
                counts.made,
                counts.without_metadata,
                counts.empty_answers,
            ];
            let [items, made, without, empty] = numbers.map(|n| n.to_string());
            [
                row.dataset.to_owned(),
                row.representation.to_owned(),
                items,
                made,
                without,
                empty,
                row.vectors.display().to_string(),
            ]
        });
        table(&headers, &headers[2..6], cells)
    })?;
    Ok(Exit::Done)
}

/// One job to its end; `None` after a request to stop.
fn run(
    format: Format,
    bars: &MultiProgress,
    of: &ArchetypeArgs,
    job: &ArchetypeJob,
) -> anyhow::Result<Option<Archetypes>> {
    let told = bars.clone();
    let interrupt = Interrupt::on_signals(move |_| {
        note(&told, "stopping; the same command goes on from here");
    })
    .unwrap_or_default(); // Of several jobs the first one has installed it.
    let installation = Installation::new(of.cache.path());
    let label = format!("archetypes of {}", job.dataset);
    let mut bar = (format != Format::Quiet).then(|| GenerationBar::new(bars.clone(), label));
    let made = genair_runner::archetypes(
        &job.data,
        &job.settings,
        job.components,
        &installation,
        &mut |progress| {
            if let Some(bar) = &mut bar {
                bar.show(&progress);
            }
        },
        &|| interrupt.requested(),
    );
    match made {
        Ok(made) => Ok(Some(made)),
        Err(error) if error.is_interruption() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show(
    format: Format,
    bars: &MultiProgress,
    of: &ArchetypeArgs,
    id: &str,
    k: usize,
) -> anyhow::Result<Exit> {
    let job = job(of)?;
    let catalogue = genair_data::catalogue(&job.data)?;
    let (row, item) = item_of(&catalogue, id, &job.dataset)?;
    let Some(made) = run(format, bars, of, &job)? else {
        return Ok(Exit::Interrupted);
    };
    let own = &made.generated.items[row];
    let answer = own.record.as_ref().map(|record| record.text.as_str());
    let spaces = nearest(&made.vectors, &catalogue, row, k);
    let value = json!({
        "dataset": job.dataset, "item": item.id, "metadata": item.metadata,
        "prompt": own.prompt, "answer": answer, "ended": own.record.as_ref().map(|record| record.ended),
        "neighbours": spaces,
    });
    format.show(&value, || {
        let mut text = format!("{} ({})\n", title(item), item.id);
        for (name, value) in &item.metadata {
            text += &format!("  {name}: {value}\n");
        }
        let none = "(none: the item has no metadata)";
        text += &format!("\nprompt\n  {}\n", own.prompt.as_deref().unwrap_or(none));
        text += &format!("\narchetype\n  {}\n", answer.unwrap_or(none).trim());
        for space in &spaces {
            text += &format!("\nnearest in `{}`\n", space.part);
            for neighbour in &space.items {
                text += &format!(
                    "  {:.3}  {} ({})\n",
                    neighbour.cosine, neighbour.title, neighbour.item
                );
            }
        }
        text
    })?;
    Ok(Exit::Done)
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
    let spaces = vectors.parts.iter().map(|part| Space {
        part: &part.name,
        items: Neighbours::new(part)
            .nearest(row, k)
            .into_iter()
            .map(near)
            .collect(),
    });
    spaces.collect()
}

fn report(
    format: Format,
    bars: &MultiProgress,
    of: &ArchetypeArgs,
    out: Option<&Path>,
    category: Option<&str>,
) -> anyhow::Result<Exit> {
    let job = job(of)?;
    let Some(made) = run(format, bars, of, &job)? else {
        return Ok(Exit::Interrupted);
    };
    let report = Report::new(&ReportInput {
        dataset: &job.dataset,
        catalogue: &made.catalogue,
        records: &made.generated.items,
        vectors: &made.vectors,
        category_field: category,
        examples: EXAMPLES,
        neighbours: NEIGHBOURS,
        seed: SEED,
    })?;
    let default = PathBuf::from(format!("results/archetypes-{}", job.dataset));
    let out = out.unwrap_or(&default);
    may_fill(out, &["html", "md", "svg"], &[&of.spec])?;
    let files = report.write(out)?;
    format.show(&json!({ "files": files }), || {
        let names = files.iter().map(|file| file.display().to_string());
        names.collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Done)
}

fn import(
    format: Format,
    of: &ArchetypeArgs,
    files: &[String],
    items: Option<&Path>,
    components: usize,
    out: &Path,
) -> anyhow::Result<Exit> {
    let ids = match items {
        Some(items) => RowIds::read(items)?,
        None => RowIds::catalogue(&genair_data::catalogue(&job(of)?.data)?),
    };
    let files: Vec<ImportFile> = files
        .iter()
        .map(|text| match text.split_once('=') {
            Some((part, path)) => ImportFile {
                path: path.into(),
                part: Some(part.to_owned()),
            },
            None => ImportFile {
                path: text.into(),
                part: None,
            },
        })
        .collect();
    let read = files.iter().map(|file| file.path.as_path());
    let read = read.chain(items).chain([of.spec.as_path()]);
    may_write(out, &read.collect::<Vec<_>>())?;
    let vectors = genair_archetype::import(&files, &ids, components)?;
    let sha256 = vectors.write(out)?;
    let parts: Vec<_> = vectors
        .parts
        .iter()
        .map(|part| json!({ "name": part.name, "width": part.width }))
        .collect();
    let rows = vectors.items.len();
    let value = json!({ "file": out, "sha256": sha256, "items": rows, "parts": parts });
    format.show(&value, || {
        let parts = vectors
            .parts
            .iter()
            .map(|part| format!("{} of {}", part.name, part.width));
        let parts = parts.collect::<Vec<_>>().join(", ");
        format!("{}: {rows} items, {parts}", out.display())
    })?;
    Ok(Exit::Done)
}

fn model(format: Format, bars: &MultiProgress, command: &Model) -> anyhow::Result<Exit> {
    match command {
        Model::List { cache } => {
            let installation = Installation::new(cache.path());
            let rows: Vec<_> = models::CATALOGUE
                .iter()
                .map(|model| (model, !models::is_missing(model.name, &installation)))
                .collect();
            let value = rows.iter().map(|(model, present)| {
                json!({ "name": model.name, "about": model.about, "present": present })
            });
            format.show(&value.collect::<Vec<_>>(), || {
                let cells = rows.iter().map(|(model, present)| {
                    let here = if *present { "here" } else { "to fetch" };
                    [model.name, here, model.about].map(str::to_owned)
                });
                table(&["name", "state", "about"], &[], cells)
            })?;
        }
        Model::Fetch { name, url, cache } => {
            let installation = Installation::new(cache.path());
            let (folder, fetched) =
                models::fetch(name, url.as_deref(), &installation, &mut |progress| {
                    tell_download(bars, &progress);
                })?;
            let value = json!({ "name": name, "path": folder, "already_there": !fetched });
            format.show(&value, || {
                let how = if fetched {
                    "fetched"
                } else {
                    "is there already, verified"
                };
                format!("{}: {how}", folder.display())
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Every job of a spec, or of one dataset of it; at least one.
fn jobs(of: &ArchetypeArgs) -> anyhow::Result<Vec<ArchetypeJob>> {
    let mut jobs = SpecFile::read(&of.spec, &of.set.options())?.archetypes()?;
    let spec = of.spec.display();
    anyhow::ensure!(!jobs.is_empty(), "{spec} has no [dataset.NAME]");
    if let Some(wanted) = &of.dataset {
        let mut names: Vec<_> = jobs.iter().map(|job| job.dataset.clone()).collect();
        names.dedup();
        jobs.retain(|job| job.dataset == *wanted);
        let names = names.join(", ");
        anyhow::ensure!(
            !jobs.is_empty(),
            "no dataset `{wanted}` in {spec}; there are: {names}"
        );
    }
    Ok(jobs)
}

/// The one job a command is about.
fn job(of: &ArchetypeArgs) -> anyhow::Result<ArchetypeJob> {
    let jobs = jobs(of)?;
    let first = jobs[0].dataset.clone();
    if let Some(other) = jobs.iter().find(|job| job.dataset != first) {
        anyhow::bail!(
            "{} has several datasets; choose one with --dataset ({first}, {}, ...)",
            of.spec.display(),
            other.dataset
        );
    }
    let known: Vec<_> = jobs.iter().map(|job| job.representation.clone()).collect();
    let wanted = of.representation.as_ref();
    let found = jobs
        .into_iter()
        .find(|job| wanted.is_none_or(|wanted| job.representation == *wanted));
    found.ok_or_else(|| {
        anyhow::anyhow!(
            "no representation of kind archetype `{}` in {}; there are: {}",
            wanted.map(String::as_str).unwrap_or_default(),
            of.spec.display(),
            known.join(", ")
        )
    })
}

fn item_of<'c>(
    catalogue: &'c Catalogue,
    id: &str,
    dataset: &str,
) -> anyhow::Result<(usize, &'c CatalogueItem)> {
    let mut items = catalogue.items.iter().enumerate();
    items.find(|(_, item)| item.id == id).ok_or_else(|| {
        let examples: Vec<_> = catalogue
            .items
            .iter()
            .take(3)
            .map(|i| i.id.as_str())
            .collect();
        anyhow::anyhow!(
            "`{dataset}` has no item `{id}`; ids are those of its items file, such as {}",
            examples.join(", ")
        )
    })
}
