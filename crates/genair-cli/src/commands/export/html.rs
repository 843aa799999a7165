//! The database as a page.

use std::path::{Path, PathBuf};

use anyhow::Context;
use genair_report::html::{PageFigure, PageSpec, write_page};
use genair_store::Store;

use crate::args::{Format, HtmlArgs};
use crate::exit::Exit;
use crate::output::count;

pub(crate) fn html(format: Format, arguments: &HtmlArgs) -> anyhow::Result<Exit> {
    let mut store = Store::open_read_only(arguments.database.path())?;
    let mut figures = Vec::new();
    for folder in &arguments.figures {
        figures.extend(figures_of(folder)?);
    }
    let spec = PageSpec {
        title: arguments.title.clone(),
        sweeps: arguments.sweeps.clone(),
        figures,
    };
    let beside = || arguments.database.path().with_extension("html");
    let out = arguments.out.clone().unwrap_or_else(beside);
    let page = write_page(&mut store, &spec, &out)?;
    format.show(&page, || {
        let kibibytes = page.bytes.div_ceil(1024);
        let left = match page.runs_with_ranks {
            n if n == page.runs => String::new(),
            n => format!(", ranks of {n} to compare by"),
        };
        format!(
            "{}: {}{left}, {kibibytes} KiB",
            page.file.display(),
            count(page.runs, "run")
        )
    })?;
    Ok(Exit::Done)
}

/// The SVG files of a folder by name, at least one.
fn figures_of(folder: &Path) -> anyhow::Result<Vec<PageFigure>> {
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
    let figure = |file: PathBuf| {
        let svg = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.file_stem().unwrap_or_default();
        Ok(PageFigure::new(&name.to_string_lossy(), svg))
    };
    files.into_iter().map(figure).collect()
}
