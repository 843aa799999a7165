//! The database as a page.

use std::path::{Path, PathBuf};

use anyhow::Context;
use genair_report::html::{PageFigure, PageSpec, write_page};

use crate::args::HtmlArgs;
use crate::exit::Exit;
use crate::output::{Output, count};
use crate::output_path::{may_be_page, may_write};

pub(crate) fn html(output: &Output, arguments: &HtmlArgs) -> anyhow::Result<Exit> {
    let database = arguments.database.path();
    let mut drawn = Vec::new();
    for folder in &arguments.figures {
        drawn.extend(figures_of(folder)?);
    }
    let read: Vec<&Path> = drawn
        .iter()
        .chain([&database])
        .map(PathBuf::as_path)
        .collect();
    let beside = || database.with_extension("html");
    let out = arguments.out.clone().unwrap_or_else(beside);
    may_write(&out, &read)?;
    may_be_page(&out)?;
    let mut store = arguments.database.open()?;
    let spec = PageSpec {
        title: arguments.title.clone(),
        sweeps: arguments.sweeps.clone(),
        figures: drawn
            .into_iter()
            .map(figure)
            .collect::<anyhow::Result<_>>()?,
    };
    let page = write_page(&mut store, &spec, &out)?;
    output.show(&page, || {
        let kibibytes = page.bytes.div_ceil(1024);
        let left = match page.runs_with_ranks {
            n if n == page.runs => String::new(),
            n => format!(", ranks of {n} to compare by"),
        };
        let (file, runs) = (page.file.display(), count(page.runs, "run"));
        format!("{file}: {runs}{left}, {kibibytes} KiB")
    })
}

/// The SVG files of a folder by name, at least one.
fn figures_of(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read the figures in {}", folder.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(unreadable)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "svg"));
    files.sort();
    anyhow::ensure!(
        !files.is_empty(),
        "{} holds no .svg file; `genair report SPEC.toml --out FOLDER` makes figures",
        folder.display()
    );
    Ok(files)
}

fn figure(file: PathBuf) -> anyhow::Result<PageFigure> {
    let svg = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_stem().unwrap_or_default();
    Ok(PageFigure::new(&name.to_string_lossy(), svg))
}
