//! What the runs of a sweep read that stages make.

use std::time::{Duration, Instant};

use genair_archetype::GenerationProgress;
use genair_protocol::{FailureKind, InputFile, MemberRequest, RunFailure, RunPhase};
use genair_store::{NewStage, Store, StoreError};

use super::SweepError;
use super::threads::{Scheduler, lock};
use crate::observer::Notice;
use crate::plan::{PlannedRun, not_prepared};
use crate::prepare::StageProgress;
use crate::stage::{StageError, StageKind};

/// What came of a stage.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// Nothing yet, or the worker can do without.
    NotMade,
    /// It is there.
    Made(InputFile),
    /// It cannot be made, and what needs it fails for this reason.
    Failed(RunFailure),
}

/// How often the database is told how far a stage is.
const NOTED_EVERY: Duration = Duration::from_secs(1);

/// Items done and items in all, where a stage counts them.
fn counted(progress: &StageProgress) -> Option<(usize, usize)> {
    match progress {
        StageProgress::Generating(
            GenerationProgress::Started { done, total, .. }
            | GenerationProgress::Advanced { done, total, .. },
        ) => Some((*done, *total)),
        _ => None,
    }
}

impl Scheduler<'_> {
    /// Makes the outcome of a stage, unless the cache has it.
    ///
    /// # Errors
    /// There is no room for its files. Any other failure is that of the runs that need it.
    pub(super) fn make(&self, at: usize) -> Result<(), SweepError> {
        let stage = &self.plan.stages[at];
        let observer = self.how.observer;
        observer.observe(Notice::StageStarted { stage });
        let recipe = &stage.recipe_sha256;
        let is_made_now = !stage.is_ready();
        if is_made_now {
            let new = NewStage {
                recipe_sha256: recipe.clone(),
                stage: stage.name().as_str().to_owned(),
                dataset: stage.dataset.clone(),
            };
            self.store
                .with(|store| store.begin_stage(self.sweep, self.owner, &new))?;
        }
        let mut noted: Option<Instant> = None;
        let mut tell = |progress| {
            observer.observe(Notice::StageProgress {
                stage,
                progress: &progress,
            });
            let due = noted.is_none_or(|noted| noted.elapsed() >= NOTED_EVERY);
            if let (Some((done, total)), true) = (counted(&progress), due) {
                noted = Some(Instant::now());
                let told =
                    |store: &mut Store| store.stage_advanced(self.owner, recipe, done, total);
                if let Err(error) = self.store.with(told) {
                    // Only those who watch miss it; what has to be kept is written elsewhere.
                    tracing::debug!(%error, "a stage's progress could not be noted");
                }
            }
        };
        let made = self.executor.make(stage, &mut tell, &|| self.stops());
        if is_made_now {
            self.store
                .with(|store| store.end_stage(self.owner, recipe))?;
        }
        observer.observe(Notice::StageEnded { stage });
        let input = match made {
            Ok(file) => Input::Made(file),
            // Nothing that needs it is started any more.
            Err(error) if error.is_interruption() => Input::NotMade,
            // Each worker then reads the data itself and says what is wrong with them, so that bad data cost
            // their own runs alone.
            Err(StageError::Data(error)) if stage.kind == StageKind::Data => {
                tracing::debug!(%error, "data could not be prepared");
                Input::NotMade
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
                Input::Failed(not_prepared(&error))
            }
        };
        lock(&self.inputs)[at] = input;
        Ok(())
    }

    /// The file of a stage, for a run that [`Self::not_prepared`] has nothing against.
    pub(super) fn input(&self, stage: Option<usize>) -> Option<InputFile> {
        match lock(&self.inputs).get(stage?)? {
            Input::Made(file) => Some(file.clone()),
            Input::NotMade | Input::Failed(_) => None,
        }
    }

    /// The members of a run as its worker gets them; why there are none that it can use.
    pub(super) fn members(
        &self,
        run: &PlannedRun,
    ) -> Result<Result<Vec<MemberRequest>, RunFailure>, StoreError> {
        let mut members = Vec::new();
        for own in &run.members {
            let member = &self.plan.sweep.runs[own.run];
            let identity = &member.identity;
            let stored = self.store.with(|store| store.checkpoint_of(identity))?;
            let checkpoint = stored.filter(|file| file.path.exists());
            let (Some(checkpoint), Some(plugin)) = (checkpoint, &member.plugin) else {
                return Ok(Err(RunFailure {
                    kind: FailureKind::StageFailed,
                    phase: RunPhase::Preparing,
                    message: format!("its member {} has no weights: it did not finish, or their file is gone", member.labels),
                    hint: Some("once the member has finished, the same command tries the run again; `genair results delete` makes a finished one be trained again".to_owned()),
                }));
            };
            members.push(MemberRequest {
                run: member.spec.clone(),
                plugin: plugin.path.clone(),
                plugin_sha256: plugin.sha256.clone(),
                vectors: self.input(own.vectors),
                checkpoint,
            });
        }
        Ok(Ok(members))
    }

    /// Why a run cannot be started, if it cannot: what it needs could not be made.
    pub(super) fn not_prepared(&self, run: &PlannedRun) -> Option<RunFailure> {
        let inputs = lock(&self.inputs);
        let failed = |stage: usize| match inputs.get(stage) {
            Some(Input::Failed(failure)) => Some(failure.clone()),
            _ => None,
        };
        let refused = run.refused.clone();
        refused.or_else(|| run.stages().find_map(failed))
    }
}
