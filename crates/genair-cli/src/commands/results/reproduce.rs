//! `genair results reproduce`: a finished run once more, and whether the same comes out.

use genair_files::Cache;
use genair_protocol::RunEvent;
use genair_runner::{
    Comparison, Input, InputState, Interrupt, ReproduceError, Reproduction, Urgency,
};
use genair_store::RunId;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::args::ReproduceArgs;
use crate::commands::Workshop;
use crate::exit::Exit;
use crate::output::{Output, table};

#[derive(Serialize)]
struct Verdict<'a> {
    run_id: RunId,
    reproduced: bool,
    inputs: &'a [Input],
    comparisons: &'a [Comparison],
}

pub(super) fn reproduce(output: &Output, arguments: &ReproduceArgs) -> anyhow::Result<Exit> {
    let run = RunId(arguments.run);
    let mut store = arguments.database.open()?;
    let workshop = Workshop::open(&arguments.plugins)?;
    let (data, cache) = (
        arguments.data.as_deref(),
        Cache::new(arguments.cache.path()),
    );
    let reproduction = Reproduction::new(&mut store, run, data, &workshop.plugins, &cache)?;
    store.close()?;
    tell(output, reproduction.inputs());
    let told = output.clone();
    let interrupt = Interrupt::on_signals(move |urgency| match urgency {
        Urgency::Kill => told.note("killing the worker"),
        _ => told.note("stopping"),
    })?;
    let bar = match output.draws() {
        true => output.bars.add(ProgressBar::new_spinner()),
        false => ProgressBar::hidden(),
    };
    let outcome = reproduction.run(&workshop.trainer, &interrupt, &mut |event| {
        if let RunEvent::Epoch {
            epoch, max_epochs, ..
        } = event
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
            output.error(format!("error: {error}"));
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
    output.show(&verdict, || text(&verdict))?;
    Ok(if verdict.reproduced {
        Exit::Done
    } else {
        Exit::Differs
    })
}

/// Says what is not as it was, before anything starts.
fn tell(output: &Output, inputs: &[Input]) {
    for own in inputs {
        let (input, stored, now) = (&own.input, &own.stored, &own.now);
        match own.state {
            InputState::Same => {}
            InputState::Changed => output.note(format!(
                "warning: {input} changed: {stored} stored, {now} now"
            )),
            InputState::Missing => output.error(format!("error: {input} missing: {now}")),
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
    let table = table(&headers, &["values", "differing"], rows);
    format!("{table}\n\n{last}")
}
