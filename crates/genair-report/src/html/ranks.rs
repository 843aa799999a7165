//! Users' ranks on the test split, so that the page can test the difference of two runs.

use genair_protocol::Protocol;
use genair_store::{RunId, Store};
use serde::Serialize;

use super::blocks::Blocks;
use super::index::Index;
use crate::ReportError;

/// Ranks of all runs together, at the most.
const MOST: u64 = 4_000_000;

/// What the index says of them.
#[derive(Default, Serialize)]
pub(super) struct Listed {
    /// A rank of this or more is given as this: no measure looks further.
    clip: u32,
    /// Block `ranks-N` has those of the N-th here, two bytes a user, in their order.
    of: Vec<OfRun>,
    /// Whether finished runs were left out.
    all: bool,
}

#[derive(Serialize)]
struct OfRun {
    run: usize,
    protocol: Protocol,
}

/// Adds the blocks `ranks-N`, best runs on the validation split first, until there are [`MOST`] ranks.
/// Returns for how many runs.
pub(super) fn add(
    store: &mut Store,
    index: &mut Index,
    blocks: &mut Blocks,
) -> Result<usize, ReportError> {
    let places = index.run_places();
    let (chosen, all) = choose(store, &index.protocols(), |run| places.contains_key(&run))?;
    let clip = index.largest_cutoff().min(0x7000);
    index.ranks = Listed {
        clip,
        of: Vec::new(),
        all,
    };
    for of_run in store.test_ranks(&chosen, None)? {
        // Without every user there is no pairing. The page takes one target of each.
        let users = of_run.ranked_users();
        if users == of_run.measured && users == of_run.ranks.len() as u64 {
            let ranks = of_run.ranks.iter().map(|&rank| rank.min(clip) as u16);
            let bytes: Vec<u8> = ranks.flat_map(u16::to_le_bytes).collect();
            blocks.add(&format!("ranks-{}", index.ranks.of.len()), &bytes);
            index.ranks.of.push(OfRun {
                run: places[&of_run.run_id],
                protocol: of_run.protocol,
            });
        }
    }
    Ok(chosen.len())
}

/// Runs whose ranks fit, and whether those are all there are.
fn choose(
    store: &mut Store,
    protocols: &[Protocol],
    known: impl Fn(RunId) -> bool,
) -> Result<(Vec<RunId>, bool), ReportError> {
    let mut ranked = store.stored_ranks(protocols)?;
    ranked.retain(|run| run.protocols > 0 && known(run.run_id));
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
