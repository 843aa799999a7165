//! `genair results leaderboard`: finished runs over seeds.

use genair_report::export::require_sweep;
use genair_store::{LeaderboardMean, Store};

use crate::args::{DatabaseArgs, Format};
use crate::exit::Exit;
use crate::listing;
use crate::standings::{self, CUT, Shown, Standing};

pub(super) fn leaderboard(
    format: Format,
    sweep: Option<&str>,
    shown: Shown,
    database: &DatabaseArgs,
) -> anyhow::Result<Exit> {
    let mut store = Store::open_read_only(database.path())?;
    if sweep.is_some() {
        require_sweep(&mut store, sweep)?;
    }
    let standings = standings_of(&mut store, sweep, shown, format)?;
    if standings.is_empty() && shown != Shown::default() {
        require_measured(&mut store, sweep, &shown)?;
    }
    listing::show(
        format,
        &standings,
        standings::CSV_HEADERS,
        || standings::csv_rows(&standings),
        || standings::text(&standings, &shown),
    )?;
    Ok(Exit::Done)
}

/// The leaderboard of one sweep or of all: what the format shows of it.
pub(in crate::commands) fn standings_of(
    store: &mut Store,
    sweep: Option<&str>,
    shown: Shown,
    format: Format,
) -> anyhow::Result<Vec<Standing>> {
    let mut filter = shown.filter(sweep);
    if matches!(format, Format::Text | Format::Quiet) {
        filter.k = filter.k.or(Some(CUT));
    }
    Ok(standings::standings(
        store.leaderboard_mean(&filter)?,
        &shown,
    ))
}

/// Fails where finished runs were measured, but not as asked for.
fn require_measured(store: &mut Store, sweep: Option<&str>, shown: &Shown) -> anyhow::Result<()> {
    let all = store.leaderboard_mean(&Shown::default().filter(sweep))?;
    if all.is_empty() {
        return Ok(());
    }
    let listed = |of: fn(&LeaderboardMean) -> String| {
        let mut values: Vec<String> = Vec::new();
        for value in all.iter().map(of) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values.join(", ")
    };
    anyhow::bail!(
        "no finished run was measured like that ({}); there are the metrics {}, at {}, by the protocols {}",
        standings::described(shown),
        listed(|row| row.metric.to_string()),
        listed(|row| row.k.to_string()),
        listed(|row| row.protocol.to_string()),
    )
}
