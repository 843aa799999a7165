//! `genair results`: reading the database, and looking after it. One module per subcommand.

mod delete;
mod diff;
mod leaderboard;
mod list;
mod reproduce;
mod show;
mod sql;
mod upkeep;

use genair_protocol::{Cohort, Split};
use genair_store::RunFilter;
use indicatif::MultiProgress;

use crate::args::{Format, MeasureArgs, Results};
use crate::commands::export;
use crate::exit::Exit;
use crate::standings::Shown;

pub(super) use leaderboard::standings_of;

pub(super) fn results(
    format: Format,
    bars: &MultiProgress,
    command: &Results,
) -> anyhow::Result<Exit> {
    match command {
        Results::Html(arguments) => export::html(format, arguments),
        Results::ExportRanks(arguments) => export::ranks(format, arguments),
        Results::List {
            sweep,
            state,
            superseded,
            measure,
            database,
        } => {
            let filter = RunFilter {
                sweep: sweep.clone(),
                state: *state,
                superseded: *superseded,
                shown: one_result(measure),
            };
            list::list(format, &filter, database)
        }
        Results::Show { run, database } => show::show(format, *run, database),
        Results::Code { run, database } => show::code(format, *run, database),
        Results::Diff { a, b, database } => diff::diff(format, [*a, *b], database),
        Results::Reproduce {
            run,
            data,
            plugins,
            database,
            cache,
        } => reproduce::reproduce(
            format,
            bars,
            *run,
            data.as_deref(),
            plugins,
            database,
            cache,
        ),
        Results::Leaderboard {
            sweep,
            split,
            measure,
            database,
        } => {
            let shown = results_over_seeds(*split, measure);
            leaderboard::leaderboard(format, sweep.as_deref(), shown, database)
        }
        Results::Delete {
            runs,
            sweep,
            yes,
            database,
        } => delete::delete(format, runs, sweep.as_deref(), *yes, database),
        Results::Sql {
            statement,
            file,
            database,
        } => sql::sql(format, statement.as_deref(), file.as_deref(), database),
        Results::Vacuum { database } => upkeep::vacuum(format, database),
        Results::Backup { to, database } => upkeep::backup(format, to, database),
        Results::Merge { others, database } => upkeep::merge(format, others, database),
    }
}

fn one_result(measure: &MeasureArgs) -> genair_store::Shown {
    let usual = genair_store::Shown::default();
    genair_store::Shown {
        metric: measure.metric.unwrap_or(usual.metric),
        k: measure.k.unwrap_or(usual.k),
        protocol: measure.protocol.unwrap_or(usual.protocol),
        cohort: measure.cohort.unwrap_or(usual.cohort),
    }
}

fn results_over_seeds(split: Option<Split>, measure: &MeasureArgs) -> Shown {
    Shown {
        split: split.unwrap_or(Split::Test),
        cohort: measure.cohort.unwrap_or(Cohort::All),
        protocol: measure.protocol,
        metric: measure.metric,
        k: measure.k,
    }
}
