//! `genair archetype import`: vectors from other programs.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use genair_archetype::{ImportFile, Installation, RowIds, VectorsForm, in_trainer};
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
    may_write(out, &read.map(|path| path.as_path()).collect::<Vec<_>>())?;
    let ids = row_ids(output, arguments)?;
    let installation = Installation::new("");
    let reduce = in_trainer(&installation, &|| false);
    let form = VectorsForm::components(arguments.components);
    let vectors = genair_archetype::import(&files, &ids, &form, None, &reduce)?;
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

/// Which item each row is: as a list says, or the spec's items in their order.
fn row_ids(output: &Output, arguments: &ImportArgs) -> anyhow::Result<RowIds> {
    let spec = arguments.spec.as_deref();
    let catalogue = spec.map(|spec| catalogue(spec, arguments)).transpose()?;
    let Some(list) = &arguments.items else {
        let catalogue = catalogue.context("name a list of item ids, or a spec")?;
        return Ok(RowIds::catalogue(&catalogue));
    };
    let ids = RowIds::read(list)?;
    if let Some(catalogue) = catalogue {
        let listed: HashSet<&String> = ids.ids().iter().collect();
        let mut absent = catalogue
            .items
            .iter()
            .filter(|item| !listed.contains(&item.id));
        if let Some(first) = absent.next() {
            let (more, all) = (absent.count() + 1, catalogue.items.len());
            let list = list.display();
            output.note(format!(
                "warning: {list} lacks {more} of the dataset's {all} items, the first is `{}`",
                first.id
            ));
        }
    }
    Ok(ids)
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
