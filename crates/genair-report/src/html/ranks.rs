//! Users' ranks on the test split, so that the page can test the difference of two runs.

use std::collections::BTreeSet;

use genair_store::Store;
use serde::{Deserialize, Serialize};

use super::blocks::Blocks;
use super::index::Index;
use crate::ReportError;
use crate::rows::{list, literal, rows};

/// Ranks of all runs together, at the most.
const MOST: u64 = 4_000_000;

/// What the index says of them.
#[derive(Default, Serialize)]
pub(super) struct Listed {
    /// A rank of this or more is given as this: no measure looks further.
    clip: i64,
    /// Block `ranks-N` has those of the N-th here, two bytes a user, in their order.
    of: Vec<OfRun>,
    /// Whether finished runs were left out.
    all: bool,
}

#[derive(Serialize)]
struct OfRun {
    run: usize,
    protocol: String,
}

/// Adds the blocks `ranks-N`, best runs on the validation split first, until there are [`MOST`] ranks.
/// Returns for how many runs.
pub(super) fn add(
    store: &mut Store,
    index: &mut Index,
    blocks: &mut Blocks,
) -> Result<usize, ReportError> {
    #[derive(Deserialize)]
    struct Packed {
        run_id: i64,
        protocol: String,
        ranks: String,
        last: usize,
    }
    let places = index.run_places();
    let (chosen, all) = choose(store, index.protocols(), |run| places.contains_key(&run))?;
    // In a code of characters: one row a run instead of one a user. The inner order is that of the table itself, which
    // costs nothing, where an order within the aggregate would sort it again.
    let clip = index.largest_cutoff().min(0x7000);
    let sql = format!(
        "SELECT run_id, protocol, group_concat(char(32 + min(rank, {clip})), '') AS ranks, max(user) AS last
         FROM (SELECT run_id, split, protocol, user, rank FROM ranks WHERE split = 'test' AND run_id IN ({})
               ORDER BY run_id, split, protocol, user)
         GROUP BY run_id, split, protocol",
        list(chosen.iter().copied())
    );
    index.ranks = Listed {
        clip,
        of: Vec::new(),
        all,
    };
    for Packed {
        run_id,
        protocol,
        ranks,
        last,
    } in rows(store, &sql)?
    {
        let ranks: Vec<u16> = ranks.chars().map(|c| (u32::from(c) - 32) as u16).collect();
        // Without every user there is no pairing.
        if ranks.len() == last {
            let bytes: Vec<u8> = ranks.iter().flat_map(|rank| rank.to_le_bytes()).collect();
            blocks.add(&format!("ranks-{}", index.ranks.of.len()), &bytes);
            index.ranks.of.push(OfRun {
                run: places[&run_id],
                protocol,
            });
        }
    }
    Ok(chosen.len())
}

/// Runs whose ranks fit, and whether those are all there are.
fn choose(
    store: &mut Store,
    protocols: BTreeSet<&str>,
    known: impl Fn(i64) -> bool,
) -> Result<(Vec<i64>, bool), ReportError> {
    #[derive(Deserialize)]
    struct Ranked {
        run_id: i64,
        users: u64,
        protocols: u64,
    }
    // A look into the index for each, where counting would read every rank.
    let has = |protocol: &str| {
        format!(
            "EXISTS (SELECT 1 FROM ranks WHERE ranks.run_id = runs.run_id AND split = 'test' AND protocol = {})",
            literal(protocol)
        )
    };
    let has: Vec<String> = protocols
        .into_iter()
        .map(has)
        .chain(["0".to_owned()])
        .collect();
    let ranked: Vec<Ranked> = rows(
        store,
        &format!(
            "SELECT run_id, users, {} AS protocols
             FROM runs WHERE state = 'finished' AND users IS NOT NULL
             ORDER BY (SELECT value FROM metrics
                       WHERE metrics.run_id = runs.run_id AND epoch IS NULL AND split = 'valid'
                         AND protocol = 'full' AND cohort = 'all' AND metric = 'ndcg' AND k = 10) DESC, run_id",
            has.join(" + ")
        ),
    )?;
    let ranked = ranked
        .into_iter()
        .filter(|run| run.protocols > 0 && known(run.run_id));
    let (mut chosen, mut all, mut sum) = (Vec::new(), true, 0);
    for run in ranked {
        sum += run.users * run.protocols;
        if sum > MOST {
            all = false;
            break;
        }
        chosen.push(run.run_id);
    }
    Ok((chosen, all))
}
