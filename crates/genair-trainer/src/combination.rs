//! Runs that combine the scores of finished runs: the members' models with the weights of their checkpoints, scored
//! together. Trains nothing; validation chooses the one number that is free.

use genair_data::{Dataset, ItemId};
use genair_protocol::{
    CombinationRule, CombinationSpec, Diagnostic, MemberRequest, Protocol, RunEvent, RunPhase,
    Split, ValidationMetric, WorkerRequest,
};
use tch::{Device, Tensor};

use crate::error::During;
use crate::evaluation::{Evaluator, Input, Scorer, inputs_of, no_candidates, value_of};
use crate::lists::ListFacts;
use crate::parameters::Parameters;
use crate::plugin::Plugin;
use crate::random::Streams;
use crate::representation::FrozenVectors;
use crate::run::{data_facts, ids, model, report};
use crate::score::unit;
use crate::training::{ModelScorer, SequenceModel};
use crate::{RunErrorKind, TrainError, checkpoint, input, machine};

/// Makes the run's scores and says how they rank.
///
/// # Errors
/// Why there are no results.
pub(crate) fn run(
    request: &WorkerRequest,
    combination: &CombinationSpec,
    device: Device,
    dataset: &Dataset,
    evaluator: &Evaluator<'_>,
    emit: &mut dyn FnMut(RunEvent),
) -> Result<(), TrainError> {
    let opened = |combined: &Combined<'_>, parameters, rows| {
        emit(RunEvent::Started {
            machine: machine::facts(&request.run, device),
            data: data_facts(dataset, evaluator, request.vectors.as_ref()),
            parameters,
        });
        emit(ids(dataset));
        let facts = ListFacts::of(request, dataset).during(RunPhase::Testing)?;
        report(combined, evaluator, &facts, emit)?;
        emit(RunEvent::Diagnostics { epoch: None, rows });
        Ok(())
    };
    with_scorer(request, combination, device, dataset, evaluator, opened)
}

/// Hands on the combined scores with the number that validation chose, the trainable scalars of all members, and the
/// validation of each candidate.
///
/// # Errors
/// Members that cannot be scored; what `then` refuses.
pub(crate) fn with_scorer(
    request: &WorkerRequest,
    combination: &CombinationSpec,
    device: Device,
    dataset: &Dataset,
    evaluator: &Evaluator<'_>,
    then: impl FnOnce(&Combined<'_>, u64, Vec<Diagnostic>) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    check_members(request, combination).during(RunPhase::Starting)?;
    let plugins = request.members.iter();
    let plugins = plugins.map(|of| Plugin::open(&of.plugin, Some(&of.plugin_sha256)));
    let plugins: Vec<Plugin> = plugins
        .collect::<Result<_, _>>()
        .during(RunPhase::LoadingPlugin)?;
    let models = std::iter::zip(&request.members, &plugins);
    let models = models.map(|(member, plugin)| build(member, plugin, dataset, device));
    let models: Vec<(SequenceModel<'_>, Parameters)> = models.collect::<Result<_, _>>()?;
    let counts = models.iter().map(|(_, parameters)| parameters.count());
    let parameters = counts.sum();
    let vectors = FrozenVectors::of(
        &request.run.representation,
        request.vectors.as_ref(),
        dataset,
        Streams::new(request.run.seed),
    );
    let vectors = vectors.during(RunPhase::LoadingData)?;
    let unit = vectors.map(|vectors| unit(&vectors.rows)).transpose();
    let scorers = models.iter();
    let scorers = scorers.map(|(model, _)| ModelScorer::new(model, dataset));
    let mut combined = Combined {
        members: scorers
            .collect::<Result<_, _>>()
            .during(RunPhase::Building)?,
        dataset,
        rule: &combination.rule,
        chosen: 0.0,
        unit: unit.during(RunPhase::Building)?,
    };
    let metric = request.run.train.stop.metric;
    let rows = combined
        .choose(evaluator, metric)
        .during(RunPhase::Validating)?;
    then(&combined, parameters, rows)
}

/// Refuses members that are not as many as the rule combines, or whose data or seed are not the run's.
fn check_members(
    request: &WorkerRequest,
    combination: &CombinationSpec,
) -> Result<(), RunErrorKind> {
    let wanted = match combination.rule {
        CombinationRule::Ensemble { .. } => 2,
        CombinationRule::Rerank { .. } => 1,
    };
    let refusal = |value: String, reason: String| RunErrorKind::Spec {
        key: "combination.members",
        value,
        reason,
    };
    let members = &request.members;
    if members.len() != wanted {
        let reason = format!("the rule combines {wanted}");
        return Err(refusal(members.len().to_string(), reason));
    }
    for own in members.iter().map(|member| &member.run) {
        let alike = own.dataset == request.run.dataset && own.seed == request.run.seed;
        if !alike {
            let reason = "its data or seed are not those of the run that combines it";
            let value = format!("`{}`", own.representation.name);
            return Err(refusal(value, reason.to_owned()));
        }
    }
    Ok(())
}

/// A member's model with its weights.
fn build<'p>(
    member: &MemberRequest,
    plugin: &'p Plugin,
    dataset: &Dataset,
    device: Device,
) -> Result<(SequenceModel<'p>, Parameters), TrainError> {
    let vectors = member.vectors.as_ref();
    let (model, mut parameters) = model(plugin, &member.run, vectors, dataset, device)?;
    let file = input::check(&member.checkpoint, "the weights of a member");
    let file = file.during(RunPhase::LoadingData)?;
    checkpoint::load(file, &mut parameters).during(RunPhase::Building)?;
    Ok((model, parameters))
}

/// What is combined of a block of users, each `[users, I + 1]` row by row.
#[derive(Default)]
struct Parts {
    /// Scores of the first member, normalised where the rule says so.
    first: Vec<f32>,
    /// The same of the second member, or how near items are to those of the history.
    second: Vec<f32>,
}

/// Scores of several models as those of one.
pub(crate) struct Combined<'a> {
    members: Vec<ModelScorer<'a>>,
    dataset: &'a Dataset,
    rule: &'a CombinationRule,
    /// The number that validation chooses.
    chosen: f64,
    /// Item vectors of length 1, `[I + 1, W]`, where the rule has some.
    unit: Option<Tensor>,
}

impl Combined<'_> {
    /// Takes the candidate of the best validation, the first of equal ones. Returns it with the value of each.
    fn choose(
        &mut self,
        evaluator: &Evaluator<'_>,
        metric: ValidationMetric,
    ) -> Result<Vec<Diagnostic>, RunErrorKind> {
        let (split, columns) = (Split::Valid, self.dataset.num_items() + 1);
        let candidates = self.rule.candidates();
        let mut sums = vec![0.0; candidates.len()];
        let (mut parts, mut scores) = (Parts::default(), Vec::new());
        for cases in evaluator.blocks(split) {
            self.parts(&inputs_of(&cases), &mut parts)?;
            for (sum, &candidate) in std::iter::zip(&mut sums, candidates) {
                scores.clone_from(&parts.first);
                self.combine(&mut scores, &parts.second, candidate);
                for (case, scores) in cases.iter().zip(scores.chunks_exact(columns)) {
                    *sum += value_of(metric, &evaluator.rank(case, Protocol::Full, scores)?);
                }
            }
        }
        let parameter = self.rule.parameter();
        let mut rows = Vec::new();
        let mut best: Option<(f64, f64)> = None;
        for (sum, &candidate) in std::iter::zip(sums, candidates) {
            let value = sum / self.dataset.num_cases(split) as f64;
            rows.push(Diagnostic {
                name: format!("valid {metric} at {parameter} {candidate}"),
                value,
            });
            if best.is_none_or(|(highest, _)| value > highest) {
                best = Some((value, candidate));
            }
        }
        self.chosen = best.map_or(0.0, |(_, candidate)| candidate);
        rows.push(Diagnostic {
            name: parameter.to_owned(),
            value: self.chosen,
        });
        Ok(rows)
    }

    /// What is combined, for a block of inputs: whatever the number that is chosen.
    fn parts(&self, inputs: &[Input<'_>], parts: &mut Parts) -> Result<(), RunErrorKind> {
        let columns = self.dataset.num_items() + 1;
        let mut all = [&mut parts.first, &mut parts.second];
        for (member, scores) in std::iter::zip(&self.members, &mut all) {
            member.score(inputs, scores)?;
        }
        match self.rule {
            CombinationRule::Ensemble { normalise, .. } => {
                for scores in all {
                    for (input, own) in inputs.iter().zip(scores.chunks_exact_mut(columns)) {
                        let excluded = no_candidates(self.dataset, input);
                        genair_eval::normalise(own, &excluded, *normalise);
                    }
                }
            }
            CombinationRule::Rerank { .. } => {
                parts.second.clear();
                for input in inputs {
                    // What the models see of it.
                    let seen = input.items.len().saturating_sub(self.dataset.max_len());
                    parts.second.extend(self.nearest(&input.items[seen..])?);
                }
            }
        }
        Ok(())
    }

    /// Scores from their parts, into the first.
    fn combine(&self, first: &mut [f32], second: &[f32], chosen: f64) {
        match self.rule {
            CombinationRule::Ensemble { .. } => genair_eval::mix(first, second, chosen),
            CombinationRule::Rerank { .. } => {
                for (score, nearest) in std::iter::zip(first, second) {
                    *score += (chosen * f64::from(*nearest)) as f32;
                }
            }
        }
    }

    /// The largest cosine similarity of each item to one of `history`, `[I + 1]`; zeros for an empty history.
    fn nearest(&self, history: &[ItemId]) -> Result<Vec<f32>, RunErrorKind> {
        let (Some(unit), false) = (&self.unit, history.is_empty()) else {
            return Ok(vec![0.0; self.dataset.num_items() + 1]);
        };
        let history: Vec<i64> = history.iter().map(|item| i64::from(item.get())).collect();
        let own = unit.f_index_select(0, &Tensor::f_from_slice(&history)?)?;
        let nearest = unit
            .f_matmul(&own.f_tr()?)?
            .f_amax([1_i64].as_slice(), false)?;
        let mut values = vec![0.0; nearest.numel()];
        let len = values.len();
        nearest.f_contiguous()?.f_copy_data(&mut values, len)?;
        Ok(values)
    }
}

impl Scorer for Combined<'_> {
    fn score(&self, inputs: &[Input<'_>], scores: &mut Vec<f32>) -> Result<(), RunErrorKind> {
        let mut parts = Parts::default();
        self.parts(inputs, &mut parts)?;
        *scores = parts.first;
        self.combine(scores, &parts.second, self.chosen);
        Ok(())
    }
}
