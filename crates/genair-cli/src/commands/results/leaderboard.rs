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
    let standings = standings_of(&mut store, sweep.map(str::to_owned))?;
    format.show(&standings, || standings::text(&standings))?;
    Ok(Exit::Done)
}

/// The leaderboard on the test split with all users, of one sweep or of all.
pub(in crate::commands) fn standings_of(
    store: &mut Store,
    sweep: Option<String>,
) -> anyhow::Result<Vec<Standing>> {
    let rows = store.leaderboard_mean(sweep.as_deref(), Split::Test, Cohort::All)?;
    Ok(standings::standings(rows))
}
