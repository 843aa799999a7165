//! `genair results`: reading the database, and looking after it. One module per subcommand.

mod diff;
mod leaderboard;
mod list;
mod reproduce;
mod show;
mod sql;
mod upkeep;

use indicatif::MultiProgress;

use crate::args::{Format, Results};
use crate::commands::export;
use crate::exit::Exit;

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
            superseded,
            database,
        } => list::list(format, sweep.as_deref(), *superseded, database),
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
        Results::Leaderboard { sweep, database } => {
            leaderboard::leaderboard(format, sweep.as_deref(), database)
        }
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
