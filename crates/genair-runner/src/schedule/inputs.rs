//! What the runs of a sweep read that earlier stages make.

use std::collections::HashSet;

use genair_protocol::{InputFile, RunFailure};

use super::{Execution, SweepError};
use crate::observer::Notice;
use crate::plan::{Plan, PlannedRun, not_prepared};
use crate::prepare::prepare;
use crate::stage::{StageError, StageKind};

/// What came of a stage.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// No open run needs it, or the worker can do without.
    NotMade,
    /// It is there.
    Made(InputFile),
    /// It cannot be made, and what needs it fails for this reason.
    Failed(RunFailure),
}

/// Makes the outcomes of the stages that open runs need, one for each stage of the plan; none after a request
/// to stop.
///
/// # Errors
/// There is no room for a stage's files. Any other failure is that of the runs that need it.
pub(super) fn prepare_inputs<'r>(
    plan: &Plan,
    open: impl Iterator<Item = &'r PlannedRun>,
    how: &Execution<'_>,
) -> Result<Vec<Input>, SweepError> {
    let needed: HashSet<usize> = open.flat_map(PlannedRun::stages).collect();
    let mut inputs = vec![Input::NotMade; plan.stages.len()];
    for (at, stage) in plan.stages.iter().enumerate() {
        if !needed.contains(&at) || how.interrupt.requested() {
            continue;
        }
        how.observer.observe(Notice::StageStarted { stage });
        let mut tell = |progress| {
            how.observer.observe(Notice::StageProgress {
                stage,
                progress: &progress,
            });
        };
        match prepare(stage, how.installation, &mut tell, how.interrupt) {
            Ok(file) => inputs[at] = Input::Made(file),
            Err(error) if error.is_interruption() => break,
            // Each worker then reads the data itself and says what is wrong with them, so that bad data cost
            // their own runs alone.
            Err(StageError::Data(error)) if stage.kind == StageKind::Data => {
                tracing::debug!(%error, "data could not be prepared");
            }
            Err(source) => {
                let is_full_disk = source.is_full_disk();
                let error = SweepError::Stage {
                    stage: stage.name(),
                    dataset: stage.dataset.clone(),
                    source: Box::new(source),
                };
                if is_full_disk {
                    return Err(error);
                }
                inputs[at] = Input::Failed(not_prepared(&error));
            }
        }
        how.observer.observe(Notice::StageEnded { stage });
    }
    Ok(inputs)
}
