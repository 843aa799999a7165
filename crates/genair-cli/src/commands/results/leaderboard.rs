//! `genair results leaderboard`: finished runs over seeds.

use genair_store::{LeaderboardMean, MeanFilter, Select, Standpoint, Store, choose};
use itertools::Itertools;

use crate::args::{Format, LeaderboardArgs};
use crate::exit::Exit;
use crate::output::Output;
use crate::standings::{self, CUT, Standing};

pub(super) fn leaderboard(output: &Output, arguments: &LeaderboardArgs) -> anyhow::Result<Exit> {
    let (sweep, measure) = (arguments.sweep.clone(), &arguments.measure);
    let all = MeanFilter {
        sweep: sweep.clone(),
        ..MeanFilter::default()
    };
    let shown = MeanFilter {
        sweep,
        split: arguments.split.unwrap_or(all.split),
        cohort: measure.cohort.unwrap_or(all.cohort),
        protocol: measure.protocol,
        metric: measure.metric,
        k: measure.k,
    };
    let mut store = arguments.database.open()?;
    if shown.sweep.is_some() {
        store.require_sweep(shown.sweep.as_deref())?;
    }
    let standings = standings_of(&mut store, &shown, arguments.select, output.format)?;
    if standings.is_empty() && shown != all {
        require_measured(&shown, &store.leaderboard_mean(&all)?)?;
    }
    let few = store.fewest_negatives()?;
    output.list(
        &standings,
        standings::COLUMNS.map(|(name, _)| name),
        || standings::csv_rows(&standings),
        || standings::text(&standings, &shown, &few),
    )
}

/// The leaderboard of one sweep or of all: what the format shows of it, of the configurations that are selected.
pub(in crate::commands) fn standings_of(
    store: &mut Store,
    shown: &MeanFilter,
    select: Select,
    format: Format,
) -> anyhow::Result<Vec<Standing>> {
    let mut filter = shown.clone();
    if matches!(format, Format::Text | Format::Quiet) {
        filter.k = filter.k.or(Some(CUT));
    }
    let rows = store.leaderboard_mean(&filter)?;
    let mut standings = standings::standings(rows, shown);
    if select == Select::None {
        return Ok(standings);
    }
    let mut choices = Vec::new();
    for sweep in store.sweeps()? {
        if shown.sweep.as_ref().is_some_and(|name| *name != sweep.name) {
            continue;
        }
        let runs = store.runs_of_sweep(sweep.sweep_id)?;
        let standpoint = |run| Standpoint::of(run, select.kept(run, &sweep.searched));
        choices.extend(choose(runs.iter().map(|run| (run, standpoint(run)))).choices);
    }
    standings::keep_chosen(&mut standings, &choices);
    Ok(standings)
}

/// Fails where finished runs were measured, but not as asked for.
fn require_measured(shown: &MeanFilter, all: &[LeaderboardMean]) -> anyhow::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let listed = |of: fn(&LeaderboardMean) -> String| all.iter().map(of).unique().join(", ");
    anyhow::bail!(
        "no finished run was measured like that ({}); there are the metrics {}, at {}, by the protocols {}",
        standings::described(shown),
        listed(|row| row.metric.to_string()),
        listed(|row| row.k.to_string()),
        listed(|row| row.protocol.to_string()),
    )
}
