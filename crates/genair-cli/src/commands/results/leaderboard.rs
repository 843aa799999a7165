//! `genair results leaderboard`: finished runs over seeds.

use genair_eval::{Cohort, Split};
use genair_store::Store;

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::standings::{self, Standing};

pub(super) fn leaderboard(
    format: Format,
    sweep: Option<&str>,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let mut store = Store::open_read_only(database.path())?;
    let standings = standings_of(&mut store, sweep, format)?;
    format.show(&standings, || standings::text(&standings))?;
    Ok(Exit::Done)
}

/// The leaderboard on the test split with all users, of one sweep or of all: what the format shows of it.
pub(in crate::commands) fn standings_of(
    store: &mut Store,
    sweep: Option<&str>,
    format: Format,
) -> anyhow::Result<Vec<Standing>> {
    let k = match format {
        Format::Json => None,
        Format::Text | Format::Quiet => Some(standings::CUT),
    };
    let rows = store.leaderboard_mean(sweep, Split::Test, Cohort::All, k)?;
    Ok(standings::standings(rows))
}
