//! `genair recommend` and `genair export recommendations`: lists of items by a finished run.

use std::io::{BufWriter, Write};

use anyhow::Context;
use genair_files::{Cache, Partial};
use genair_protocol::{Readers, RecommendedList, ReportTask};
use genair_runner::{Interrupt, Lists, ListsMade, RecommendError, Recommender};
use genair_store::RunId;
use indicatif::ProgressBar;

use crate::args::{ListOptions, RecommendArgs, RecommendationsArgs};
use crate::commands::{Workshop, export};
use crate::exit::Exit;
use crate::output::{Output, table};
use crate::output_path::may_write;
use crate::progress::style;

pub(super) fn recommend(output: &Output, arguments: &RecommendArgs) -> anyhow::Result<Exit> {
    let readers = match arguments.history.is_empty() {
        true => Readers::Users(arguments.users.clone()),
        false => Readers::History(arguments.history.clone()),
    };
    let mut lists: Vec<RecommendedList> = Vec::new();
    let made = make(output, arguments.run, &arguments.lists, readers, |list| {
        lists.push(list);
        Ok(())
    });
    match made {
        Err(error) if is_interruption(&error) => return Ok(Exit::Interrupted),
        made => note_shorter(output, made?, arguments.lists.k),
    }
    let rows = || {
        let rows = lists.iter().flat_map(|list| {
            let user = list.user_id.clone().unwrap_or_default();
            rows_of(list)
                .map(move |[rank, item, title, score]| [user.clone(), rank, item, title, score])
        });
        rows.collect()
    };
    let headers = ["user_id", "rank", "item_id", "title", "score"];
    output.list(&lists, headers, rows, || {
        let lists: Vec<String> = lists.iter().map(text).collect();
        lists.join("\n\n")
    })
}

pub(super) fn recommendations(
    output: &Output,
    arguments: &RecommendationsArgs,
) -> anyhow::Result<Exit> {
    let (out, targets) = (&arguments.out, &arguments.targets);
    let database = arguments.lists.database.existing()?;
    for file in [Some(out), targets.as_ref()].into_iter().flatten() {
        may_write(file, &[&database])?;
        let known = file
            .extension()
            .is_some_and(|own| own == "csv" || own == "parquet");
        let file = file.display();
        anyhow::ensure!(
            known,
            "{file}: lists are written as .csv or .parquet; the file's extension says which"
        );
    }
    anyhow::ensure!(
        targets.as_ref() != Some(out),
        "`--out` and `--targets` name one file, {}; name two",
        out.display()
    );
    let writing = || format!("cannot write beside {}", out.display());
    let mut partial = Partial::beside(out).with_context(writing)?;
    let mut file = BufWriter::new(partial.file());
    let bar = match output.draws() {
        true => output
            .bars
            .add(ProgressBar::new_spinner().with_style(style("{pos} users"))),
        false => ProgressBar::hidden(),
    };
    let (run, lists) = (arguments.run, &arguments.lists);
    let made = make(output, run, lists, Readers::All, |list| {
        bar.inc(1);
        serde_json::to_writer(&mut file, &list)?;
        file.write_all(b"\n").with_context(writing)
    });
    bar.finish_and_clear();
    match made {
        Err(error) if is_interruption(&error) => return Ok(Exit::Interrupted),
        made => note_shorter(output, made?, lists.k),
    }
    file.flush().with_context(writing)?;
    drop(file);
    let task = ReportTask::Recommendations {
        lists: partial.path().to_owned(),
        out: out.clone(),
        targets: targets.clone(),
    };
    export::make(output, database, task)
}

/// Has the lists made, each handed on.
fn make(
    output: &Output,
    run: i64,
    arguments: &ListOptions,
    readers: Readers,
    on_list: impl FnMut(RecommendedList) -> anyhow::Result<()>,
) -> anyhow::Result<ListsMade> {
    let mut store = arguments.database.open()?;
    let workshop = Workshop::open(&arguments.plugins)?;
    let (data, cache) = (
        arguments.data.as_deref(),
        Cache::new(arguments.cache.path()),
    );
    let recommender = Recommender::new(&mut store, RunId(run), data, &workshop.plugins, &cache)?;
    store.close()?;
    for warning in recommender.warnings() {
        output.note(format!("warning: {warning}"));
    }
    let told = output.clone();
    let interrupt = Interrupt::on_signals(move |_| told.note("stopping"))?;
    let lists = Lists {
        readers,
        split: arguments.split,
        k: arguments.k as usize,
        with_history: arguments.with_history,
    };
    recommender.lists(&lists, &workshop.trainer, &interrupt, on_list)
}

fn is_interruption(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(RecommendError::Interrupted))
}

fn note_shorter(output: &Output, made: ListsMade, k: u32) {
    let ListsMade { lists, shorter } = made;
    if shorter > 0 {
        output.note(format!(
            "{shorter} of {lists} lists have fewer than {k} items: there are no more candidates"
        ));
    }
}

/// Rank, id, title and score of each item.
fn rows_of(list: &RecommendedList) -> impl Iterator<Item = [String; 4]> + '_ {
    list.items.iter().enumerate().map(|(rank, item)| {
        [
            rank.to_string(),
            item.item_id.clone(),
            item.title.clone().unwrap_or_default(),
            item.score.to_string(),
        ]
    })
}

/// A line about the user, then the list.
fn text(list: &RecommendedList) -> String {
    let who = match &list.user_id {
        Some(user) => format!("user {user}"),
        None => "history".to_owned(),
    };
    let items = match list.history {
        1 => "1 item".to_owned(),
        items => format!("{items} items"),
    };
    let target = list.target.as_ref().map(|target| {
        let title = target.title.as_ref();
        let title = title.map_or_else(String::new, |title| format!(" ({title})"));
        format!("; target {}{title} at rank {}", target.item_id, target.rank)
    });
    let headers = ["rank", "item_id", "title", "score"];
    let table = table(&headers, &["rank", "score"], rows_of(list));
    format!("{who}, {items}{}\n{table}", target.unwrap_or_default())
}
