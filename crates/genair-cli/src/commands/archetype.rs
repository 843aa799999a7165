//! `genair archetype`: writing archetypes of items and looking at them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use genair_archetype::{
    EngineKind, ImportFile, Installation, Neighbours, Report, ReportInput, RowIds, in_trainer,
    models, title,
};
use genair_data::{Catalogue, CatalogueItem, ItemVectors};
use genair_files::Cache;
use genair_runner::{Archetypes, Interrupt};
use genair_spec::{ArchetypeJob, SpecFile};
use indicatif::MultiProgress;
use serde::Serialize;
use serde_json::json;

use crate::args::{Archetype, ArchetypeArgs, Format, Model, SetArgs};
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
            spec,
            set,
            dataset,
            out,
        } => {
            let of = spec.as_ref().map(|spec| DatasetOf {
                spec,
                set,
                dataset: dataset.as_deref(),
            });
            let rows = Rows {
                items: items.as_deref(),
                of,
            };
            import(format, bars, files, &rows, *components, out)
        }
        Archetype::Model(command) => model(format, bars, command),
    }
}

fn prompt(format: Format, of: &ArchetypeArgs, item: Option<&str>) -> anyhow::Result<Exit> {
    let job = job(of)?;
    let installation = Installation::new(of.cache.path());
    let catalogue = genair_runner::catalogue(&job.data, &installation.cache)?;
    let item = match item {
        Some(id) => item_of(&catalogue, id, &job.dataset)?.1,
        None => match catalogue.items.first() {
            Some(first) => first,
            None => anyhow::bail!("`{}` has no items", job.dataset),
        },
    };
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
    let jobs = jobs(of)?;
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
    let what = if is_text(job) { "texts" } else { "archetypes" };
    let label = format!("{what} of {}", job.dataset);
    let mut bar = (format != Format::Quiet).then(|| GenerationBar::new(bars.clone(), label));
    let catalogue = genair_runner::catalogue(&job.data, &installation.cache)?;
    let made = genair_runner::archetypes(
        catalogue,
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
    let cache = Cache::new(of.cache.path());
    // Before anything is written for the others.
    item_of(
        &genair_runner::catalogue(&job.data, &cache)?,
        id,
        &job.dataset,
    )?;
    let Some(made) = run(format, bars, of, &job)? else {
        return Ok(Exit::Interrupted);
    };
    let (row, item) = item_of(&made.catalogue, id, &job.dataset)?;
    let own = &made.generated.items[row];
    let record = own.record.as_ref().filter(|_| !is_text(&job)); // An encoder answers nothing.
    let answer = record.map(|record| record.text.as_str());
    let spaces = nearest(&made.vectors, &made.catalogue, row, k);
    let value = json!({
        "dataset": job.dataset, "item": item.id, "metadata": item.metadata,
        "prompt": own.prompt, "answer": answer, "ended": record.map(|record| record.ended),
        "neighbours": spaces,
    });
    format.show(&value, || {
        let mut text = format!("{} ({})\n", title(item), item.id);
        for (name, value) in &item.metadata {
            text += &format!("  {name}: {value}\n");
        }
        let none = "(none: the item has no metadata)";
        text += &format!("\nprompt\n  {}\n", own.prompt.as_deref().unwrap_or(none));
        if !is_text(&job) {
            text += &format!("\narchetype\n  {}\n", answer.unwrap_or(none).trim());
        }
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
    format.show(&json!({ "files": files }), || {
        let names = files.iter().map(|file| file.display().to_string());
        names.collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Done)
}

/// A dataset of a spec, of which nothing but the datasets is read.
struct DatasetOf<'a> {
    spec: &'a Path,
    set: &'a SetArgs,
    dataset: Option<&'a str>,
}

/// What says which item each row is; one of the two at least.
struct Rows<'a> {
    items: Option<&'a Path>,
    of: Option<DatasetOf<'a>>,
}

impl Rows<'_> {
    fn ids(&self, bars: &MultiProgress) -> anyhow::Result<RowIds> {
        let catalogue = self.of.as_ref().map(DatasetOf::catalogue).transpose()?;
        let Some(list) = self.items else {
            let catalogue = catalogue.context("name a list of item ids, or a spec")?;
            return Ok(RowIds::catalogue(&catalogue));
        };
        let ids = RowIds::read(list)?;
        if let Some(catalogue) = catalogue {
            let listed: HashSet<&str> = ids.ids().iter().map(String::as_str).collect();
            let mut absent = catalogue.items.iter();
            let mut absent = absent
                .by_ref()
                .filter(|item| !listed.contains(item.id.as_str()));
            if let Some(first) = absent.next() {
                let (more, all) = (absent.count() + 1, catalogue.items.len());
                let list = list.display();
                let text = format!(
                    "warning: {list} lacks {more} of the data set's {all} items, the first is `{}`",
                    first.id
                );
                note(bars, text);
            }
        }
        Ok(ids)
    }
}

impl DatasetOf<'_> {
    /// Its items; filters and other variants do not change them.
    fn catalogue(&self) -> anyhow::Result<Catalogue> {
        let mut datasets = SpecFile::read(self.spec, &self.set.options())?.datasets()?;
        let mut names: Vec<_> = datasets.iter().map(|(name, ..)| name.clone()).collect();
        names.dedup();
        let (spec, names) = (self.spec.display(), names.join(", "));
        anyhow::ensure!(!datasets.is_empty(), "{spec} has no [dataset.NAME]");
        if let Some(wanted) = self.dataset {
            datasets.retain(|(name, ..)| name == wanted);
            anyhow::ensure!(
                !datasets.is_empty(),
                "no dataset `{wanted}` in {spec}; there are: {names}"
            );
        }
        let (first, _, data) = &datasets[0];
        anyhow::ensure!(
            datasets.iter().all(|(name, ..)| name == first),
            "{spec} has several datasets; choose one with --dataset: {names}"
        );
        Ok(genair_data::catalogue(data)?)
    }
}

/// `PART=FILE`, or a file; what has a slash before its `=` is a file.
fn import_file(text: &str) -> ImportFile {
    match text.split_once('=') {
        Some((part, path)) if !part.contains('/') => ImportFile {
            path: path.into(),
            part: Some(part.to_owned()),
        },
        _ => ImportFile {
            path: text.into(),
            part: None,
        },
    }
}

fn import(
    format: Format,
    bars: &MultiProgress,
    files: &[String],
    rows: &Rows<'_>,
    components: usize,
    out: &Path,
) -> anyhow::Result<Exit> {
    let files: Vec<ImportFile> = files.iter().map(|text| import_file(text)).collect();
    let is_spec = |file: &&ImportFile| file.path.extension() == Some("toml".as_ref());
    if let Some(file) = files.iter().find(is_spec) {
        let path = file.path.display();
        anyhow::bail!("`{path}` is a spec and no file of vectors; write --spec {path}");
    }
    let read = files.iter().map(|file| file.path.as_path());
    let read = read
        .chain(rows.items)
        .chain(rows.of.as_ref().map(|of| of.spec));
    may_write(out, &read.collect::<Vec<_>>())?;
    let ids = rows.ids(bars)?;
    let installation = Installation::new("");
    let reduce = in_trainer(&installation, &|| false);
    let vectors = genair_archetype::import(&files, &ids, components, &reduce)?;
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

/// Every job of a spec, or those of the chosen dataset and representation; at least one.
fn jobs(of: &ArchetypeArgs) -> anyhow::Result<Vec<ArchetypeJob>> {
    let file = SpecFile::read(&of.spec, &of.set.options())?;
    let mut jobs = file.archetypes()?;
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
    if let Some(wanted) = &of.representation {
        jobs.retain(|job| job.representation == *wanted);
        let all = file.representations();
        let known = all.iter().map(|(name, kind)| format!("{name} ({kind})"));
        let known = match all.is_empty() {
            true => "none".to_owned(),
            false => known.collect::<Vec<_>>().join(", "),
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
    let same =
        |job: &ArchetypeJob| (&job.settings, job.components) == (&first.settings, first.components);
    if !jobs.iter().all(same) {
        let kind = |job| if is_text(job) { "text" } else { "archetype" };
        let known = jobs
            .iter()
            .map(|job| format!("{} ({})", job.representation, kind(job)));
        let known = known.collect::<Vec<_>>().join(", ");
        anyhow::bail!(
            "{spec} has several representations with a prompt; choose one with --representation: {known}"
        );
    }
    Ok(jobs.swap_remove(0))
}

/// Whether an encoder reads the item's text, and nothing is written about it.
fn is_text(job: &ArchetypeJob) -> bool {
    job.settings.engine == EngineKind::Encoder
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
