//! `genair results`: reading the database, and looking after it. One module per subcommand.

mod delete;
mod diff;
mod leaderboard;
mod list;
mod reproduce;
mod show;
mod sql;
mod upkeep;

use genair_store::RunId;

use crate::args::Results;
use crate::commands::export;
use crate::exit::Exit;
use crate::output::Output;

pub(super) use leaderboard::standings_of;

pub(super) fn results(output: &Output, command: &Results) -> anyhow::Result<Exit> {
    match command {
        Results::Html(arguments) => export::html(output, arguments),
        Results::ExportRanks(arguments) => export::ranks(output, arguments),
        Results::List(arguments) => list::list(output, arguments),
        Results::Show(arguments) => show::show(output, arguments),
        Results::Code(arguments) => show::code(output, arguments),
        Results::Diff { a, b, database } => {
            diff::diff(output, &mut database.open()?, [RunId(*a), RunId(*b)])
        }
        Results::Reproduce(arguments) => reproduce::reproduce(output, arguments),
        Results::Leaderboard(arguments) => leaderboard::leaderboard(output, arguments),
        Results::Delete(arguments) => delete::delete(output, arguments),
        Results::Sql {
            statement,
            file,
            database,
        } => sql::sql(
            output.format,
            statement.as_deref(),
            file.as_deref(),
            database,
        ),
        Results::Vacuum(database) => upkeep::vacuum(output, database),
        Results::Backup { to, database } => upkeep::backup(output, to, database),
        Results::Rebuild { folder, database } => upkeep::rebuild(output, folder, database),
        Results::Merge { others, database } => upkeep::merge(output, others, database),
    }
}
