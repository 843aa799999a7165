//! `genair archetype import`: vectors from other programs.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use genair_archetype::{
    FinalNorm, ImportFile, Installation, Readers, RowIds, VectorsForm, in_report, in_trainer,
};
use genair_data::Catalogue;
use genair_spec::SpecFile;
use itertools::Itertools;
use serde_json::json;

use crate::args::ImportArgs;
use crate::exit::Exit;
use crate::output::Output;
use crate::output_path::may_write;

pub(super) fn import(output: &Output, arguments: &ImportArgs) -> anyhow::Result<Exit> {
    let files = arguments.files.iter().map(|text| import_file(text));
    let files: Vec<ImportFile> = files.collect();
    let is_spec = |file: &&ImportFile| file.path.extension() == Some("toml".as_ref());
    if let Some(file) = files.iter().find(is_spec) {
        let path = file.path.display();
        anyhow::bail!("`{path}` is a spec and no file of vectors; write --spec {path}");
    }
    let out = &arguments.out;
    let read = files.iter().map(|file| &file.path);
    let read = read.chain(&arguments.items).chain(&arguments.spec);
    let read = read.chain(&arguments.norm);
    may_write(out, &read.map(|path| path.as_path()).collect::<Vec<_>>())?;
    let spec = arguments.spec.as_deref();
    let catalogue = spec.map(|spec| catalogue(spec, arguments)).transpose()?;
    let ids = row_ids(output, arguments, &files, catalogue.as_ref())?;
    let installation = Installation::new("");
    let reduce = in_trainer(&installation, &|| false);
    let norm = arguments.norm.as_deref();
    let norm = norm.map(|file| FinalNorm::read(file, arguments.norm_eps));
    let norm = norm.transpose()?;
    let readers = Readers {
        to_csv: &in_report(&installation, &|| false),
        norm: norm.as_ref(),
    };
    let form = VectorsForm::components(arguments.components);
    let vectors = genair_archetype::import(&files, &ids, &form, None, &reduce, &readers)?;
    if let (RowIds::Own { .. }, Some(catalogue)) = (&ids, &catalogue) {
        warn_of_absent(output, "the rows lack", &vectors.items, catalogue);
    }
    let sha256 = vectors.write(out)?;
    let parts = vectors.parts.iter();
    let parts = parts.map(|part| json!({ "name": part.name, "width": part.width }));
    let (rows, parts) = (vectors.items.len(), parts.collect::<Vec<_>>());
    let value = json!({ "file": out, "sha256": sha256, "items": rows, "parts": parts });
    output.show(&value, || {
        let parts = vectors.parts.iter();
        let mut parts = parts.map(|part| format!("{} of {}", part.name, part.width));
        let parts = parts.join(", ");
        format!("{}: {rows} items, {parts}", out.display())
    })
}

/// `PART=FILE`, or a file; what has a slash before its `=` is a file.
fn import_file(text: &str) -> ImportFile {
    let (part, path) = match text.split_once('=') {
        Some((part, path)) if !part.contains('/') => (Some(part.to_owned()), path),
        _ => (None, text),
    };
    let path = path.into();
    ImportFile { path, part }
}

/// Which item each row is: as a list says, as the files say, or the spec's items in their order.
fn row_ids(
    output: &Output,
    arguments: &ImportArgs,
    files: &[ImportFile],
    catalogue: Option<&Catalogue>,
) -> anyhow::Result<RowIds> {
    if let Some(column) = &arguments.id_column {
        return Ok(RowIds::Own {
            column: Some(column.clone()),
        });
    }
    if let Some(list) = &arguments.items {
        let ids = RowIds::read(list)?;
        if let (Some(catalogue), Some(ids)) = (catalogue, ids.ids()) {
            let lacks = format!("{} lacks", list.display());
            warn_of_absent(output, &lacks, ids, catalogue);
        }
        return Ok(ids);
    }
    // A folder of hidden states has a file for each item, named after it.
    if files.iter().all(|file| file.path.is_dir()) {
        return Ok(RowIds::Own { column: None });
    }
    let catalogue = catalogue.context(
        "which item is each row? name a list of ids (--items), the column that has them (--id-column), or a spec whose \
         items the rows follow (--spec)",
    )?;
    Ok(RowIds::catalogue(catalogue))
}

/// Tells how many of the dataset's items have no row.
fn warn_of_absent(output: &Output, lacks: &str, ids: &[String], catalogue: &Catalogue) {
    let listed: HashSet<&String> = ids.iter().collect();
    let mut absent = catalogue
        .items
        .iter()
        .filter(|item| !listed.contains(&item.id));
    if let Some(first) = absent.next() {
        let (more, all) = (absent.count() + 1, catalogue.items.len());
        output.note(format!(
            "warning: {lacks} {more} of the dataset's {all} items, the first is `{}`",
            first.id
        ));
    }
}

/// The items of the spec's dataset, of which nothing but the datasets is read; filters and other variants do not
/// change them.
fn catalogue(spec: &Path, arguments: &ImportArgs) -> anyhow::Result<Catalogue> {
    let mut datasets = SpecFile::read(spec, &arguments.set.options())?.datasets()?;
    let names = datasets.iter().map(|(name, ..)| name).dedup().join(", ");
    let spec = spec.display();
    anyhow::ensure!(!datasets.is_empty(), "{spec} has no [dataset.NAME]");
    if let Some(wanted) = &arguments.dataset {
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
