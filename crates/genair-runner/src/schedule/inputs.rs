//! What the runs of a sweep read that earlier stages make.

use std::collections::HashSet;

use genair_protocol::InputFile;

use super::{Execution, SweepError};
use crate::observer::Notice;
use crate::plan::{Plan, PlannedRun};
use crate::prepare::prepare;
use crate::stage::{StageError, StageKind};

/// Makes the outcomes of the stages that open runs need; none after a request to stop.
pub(super) fn prepare_inputs<'r>(
    plan: &Plan,
    open: impl Iterator<Item = &'r PlannedRun>,
    how: &Execution<'_>,
) -> Result<Vec<Option<InputFile>>, SweepError> {
    let needed: HashSet<usize> = open.flat_map(PlannedRun::stages).collect();
    let mut inputs = vec![None; plan.stages.len()];
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
            Ok(file) => inputs[at] = Some(file),
            Err(error) if error.is_interruption() => break,
            // Each worker then reads the data itself and says what is wrong with them, so that bad data cost
            // their own runs alone.
            Err(StageError::Data(error)) if stage.kind == StageKind::Data => {
                tracing::debug!(%error, "data could not be prepared");
            }
            Err(source) => {
                return Err(SweepError::Stage {
                    stage: stage.name(),
                    dataset: stage.dataset.clone(),
                    source: Box::new(source),
                });
            }
        }
        how.observer.observe(Notice::StageEnded { stage });
    }
    Ok(inputs)
}
