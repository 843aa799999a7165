//! `genair results reproduce`: a finished run once more, and whether the same comes out.

use std::io::IsTerminal;
use std::path::Path;

use genair_files::Cache;
use genair_protocol::RunEvent;
use genair_runner::{
    Comparison, Input, InputState, Interrupt, ReproduceError, Reproduction, Urgency,
};
use genair_store::{RunId, Store};
use indicatif::{MultiProgress, ProgressBar};
use serde::Serialize;

use crate::args::{CacheArgs, DatabaseArgs, Format, PluginArgs};
use crate::commands::Workshop;
use crate::exit::Exit;
use crate::output::{note, table};

#[derive(Serialize)]
struct Verdict<'a> {
    run_id: i64,
    reproduced: bool,
    inputs: &'a [Input],
    comparisons: &'a [Comparison],
}

pub(super) fn reproduce(
    format: Format,
    bars: &MultiProgress,
    run: i64,
    data: Option<&Path>,
    plugins: &PluginArgs,
    database: &DatabaseArgs,
    cache: &CacheArgs,
) -> anyhow::Result<Exit> {
    let mut store = Store::open_read_only(database.path())?;
    let workshop = Workshop::open(plugins)?;
    let reproduction = Reproduction::new(
        &mut store,
        RunId(run),
        data,
        &workshop.plugins,
        &Cache::new(cache.path()),
    )?;
    store.close()?;
    if format != Format::Quiet {
        tell(bars, reproduction.inputs());
    }
    let told = bars.clone();
    let interrupt = Interrupt::on_signals(move |urgency| match urgency {
        Urgency::Kill => note(&told, "killing the worker"),
        _ => note(&told, "stopping"),
    })?;
    let bar = (format != Format::Quiet && std::io::stderr().is_terminal())
        .then(|| bars.add(ProgressBar::new_spinner()));
    let outcome = reproduction.run(&workshop.trainer, &interrupt, &mut |event| {
        if let (
            Some(bar),
            RunEvent::Epoch {
                epoch, max_epochs, ..
            },
        ) = (&bar, event)
        {
            bar.set_message(format!("epoch {epoch}/{max_epochs}"));
            bar.tick();
        }
    });
    drop(bar);
    let comparisons = match outcome {
        Ok(comparisons) => comparisons,
        Err(ReproduceError::Interrupted) => return Ok(Exit::Interrupted),
        Err(error @ ReproduceError::Failed(_)) => {
            note(bars, format!("error: {error}"));
            return Ok(Exit::SomeFailed);
        }
        Err(error) => return Err(error.into()),
    };
    let verdict = Verdict {
        run_id: run,
        reproduced: comparisons.iter().all(|comparison| comparison.equal),
        inputs: reproduction.inputs(),
        comparisons: &comparisons,
    };
    format.show(&verdict, || text(&verdict))?;
    Ok(if verdict.reproduced {
        Exit::Done
    } else {
        Exit::Differs
    })
}

/// Says what is not as it was, before anything starts.
fn tell(bars: &MultiProgress, inputs: &[Input]) {
    for Input {
        input,
        state,
        stored,
        now,
    } in inputs
    {
        match state {
            InputState::Same => {}
            InputState::Changed => note(
                bars,
                format!("warning: {input} changed: {stored} stored, {now} now"),
            ),
            InputState::Missing => note(bars, format!("error: {input} missing: {now}")),
        }
    }
}

fn text(verdict: &Verdict<'_>) -> String {
    let rows = verdict.comparisons.iter().map(|comparison| {
        let state = if comparison.equal { "equal" } else { "DIFFERS" };
        [
            state.to_owned(),
            comparison.what.to_owned(),
            comparison.values.to_string(),
            comparison.differing.to_string(),
            comparison.first.clone().unwrap_or_default(),
        ]
    });
    let headers = ["", "what", "values", "differing", "first"];
    let run = verdict.run_id;
    let last = match verdict.reproduced {
        true => format!("run {run} came out again, bit for bit"),
        false => format!("run {run} did not come out again"),
    };
    format!(
        "{}\n\n{last}",
        table(&headers, &["values", "differing"], rows)
    )
}
