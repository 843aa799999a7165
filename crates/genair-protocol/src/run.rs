//! One run, fully resolved: every value that decides its numbers, and nothing else.

use std::path::PathBuf;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    CombinationSpec, DatasetSpec, EvalSpec, MemberRequest, Ranges, RankMetric, RepresentationSpec,
    SpecProblem,
};

/// Bumped whenever a change to the trainer alters the numbers of an unchanged spec, so that a
/// database never takes results of two different trainers for the same run.
///
/// 2: sampled negatives are drawn from `eval.seed` instead of the run's seed, and a user is long or short by
/// the test input on both splits.
///
/// 3: cross-entropy takes one exponential of each logit, and principal components are libtorch's.
pub const RESULTS_VERSION: u32 = 3;

/// One cell of a sweep. Its canonical JSON (keys sorted, paths left out) is hashed into the run's
/// identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// The dataset's name in the spec, such as `ml-100k`.
    pub dataset_name: String,
    /// Where the interactions come from and how they are filtered.
    pub dataset: DatasetSpec,
    /// Which model.
    pub backbone: BackboneSpec,
    /// Which item vectors it gets.
    pub representation: RepresentationSpec,
    /// How it combines the scores of other runs; absent where it trains a model of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combination: Option<CombinationSpec>,
    /// How it trains.
    #[serde(default)]
    pub train: TrainSpec,
    /// What is measured.
    #[serde(default)]
    pub eval: EvalSpec,
    /// Seeds initialisation, batch order, dropout and training negatives; see [`EvalSpec::seed`] for the
    /// negatives of the evaluation.
    pub seed: u64,
}

/// A backbone by name, with its own settings; the plugin's JSON schema is their authority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneSpec {
    /// The plugin's name, or one of [`BUILTIN_BACKBONES`](crate::BUILTIN_BACKBONES).
    pub name: String,
    /// Settings under `[backbone.NAME]`.
    #[serde(default)]
    pub params: serde_json::Map<String, serde_json::Value>,
}

/// How a run trains. Defaults are the paper's (docs/method.md, section 5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSpec {
    /// Sequences per step, at least 1.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// What is minimised.
    pub loss: LossSpec,
    /// How a state and an item vector make a score, in training and evaluation.
    pub score: ScoreSpec,
    /// How parameters move.
    pub optimizer: OptimizerSpec,
    /// When training ends.
    pub stop: StopSpec,
    /// How weight matrices start; vectors (biases, norms) start as in PyTorch.
    pub init: Initialisation,
    /// What matrix products of training compute in.
    pub precision: Precision,
    /// `auto` (CUDA when there is one), `cpu`, or `cuda:N`.
    #[schemars(regex(pattern = "^(auto|cpu|cuda:[0-9]+)$"))]
    pub device: String,
    /// Threads of the one worker process. Part of the run's identity: sums depend on it.
    #[schemars(range(min = 1))]
    pub threads: usize,
}

impl Default for TrainSpec {
    fn default() -> Self {
        Self {
            batch_size: 128,
            loss: LossSpec::default(),
            score: ScoreSpec::default(),
            optimizer: OptimizerSpec::default(),
            stop: StopSpec::default(),
            init: Initialisation::XavierNormal,
            precision: Precision::Float32,
            device: "auto".to_owned(),
            threads: 1,
        }
    }
}

impl TrainSpec {
    /// Every mistake that shows without a machine to train on; empty for settings that may be used.
    pub fn validate(&self) -> Vec<SpecProblem> {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<TrainSpec>);
        let mut problems = RANGES.problems(self);
        let LossSpec {
            kind,
            negatives,
            label_smoothing,
            ..
        } = self.loss;
        if kind == LossKind::CrossEntropy && negatives > 1 {
            problems.push(SpecProblem::new(
                "loss.negatives",
                format!(
                    "is {negatives}; it must be left out: cross-entropy compares with all items"
                ),
            ));
        }
        if kind != LossKind::CrossEntropy && label_smoothing > 0.0 {
            problems.push(SpecProblem::new(
                "loss.label_smoothing",
                format!(
                    "is {label_smoothing}; it must be left out: only cross-entropy has labels for all items"
                ),
            ));
        }
        problems.extend(self.optimizer.schedule.without_effect());
        if !is_device(&self.device) {
            let must = "it must be \"auto\", \"cpu\" or \"cuda:N\" with N from 0";
            problems.push(SpecProblem::new(
                "device",
                format!("is {:?}; {must}", self.device),
            ));
        }
        problems
    }
}

fn is_device(text: &str) -> bool {
    let index = |text: &str| text.bytes().all(|c| c.is_ascii_digit()) && text.parse::<u8>().is_ok();
    matches!(text, "auto" | "cpu") || text.strip_prefix("cuda:").is_some_and(index)
}

/// The recommendation loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LossSpec {
    /// Its form.
    pub kind: LossKind,
    /// Negatives per positive, at least 1; cross-entropy has none and takes only the default.
    #[schemars(range(min = 1))]
    pub negatives: usize,
    /// Where negatives come from.
    pub sampler: NegativeSampler,
    /// Who they are for.
    pub negatives_for: NegativesFor,
    /// gBCE's `t` in [0, 1] (arXiv:2308.07192, Eq. 13): 0 is BCE, 1 corrects all of the overconfidence that
    /// sampling causes.
    #[schemars(range(min = 0, max = 1))]
    pub t: f64,
    /// Share of a label that is spread over all items, in [0, 1), for cross-entropy (Szegedy et al. 2016,
    /// arXiv:1512.00567, section 7).
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub label_smoothing: f64,
}

impl Default for LossSpec {
    fn default() -> Self {
        Self {
            kind: LossKind::Bce,
            negatives: 1,
            sampler: NegativeSampler::Uniform,
            negatives_for: NegativesFor::Position,
            t: 0.75,
            label_smoothing: 0.0,
        }
    }
}

/// The form of the loss; `s+` is a target's score, `s-` a negative's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// Binary cross-entropy: mean softplus(-s+) + mean softplus(s-).
    Bce,
    /// BCE whose positive is calibrated for the sampling rate (gSASRec, arXiv:2308.07192).
    Gbce,
    /// Softmax over all items.
    CrossEntropy,
    /// Softmax over the target and its negatives, scores corrected by the log of the sampling
    /// probability.
    SampledSoftmax,
    /// Bayesian personalised ranking: mean softplus(s- - s+) (Rendle et al. 2009).
    Bpr,
}

/// Where training negatives come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NegativeSampler {
    /// Uniform over the items outside the user's training sequence.
    Uniform,
    /// In proportion to training popularity, outside the user's training sequence.
    Popularity,
}

/// Which positives share a draw of negatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NegativesFor {
    /// Each position has its own, outside its user's training sequence.
    Position,
    /// All positions of a batch share theirs; they are drawn from all items, and a position's own
    /// target among them is left out for it.
    Batch,
}

/// How a state `h` and an item vector `e` make a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreSpec {
    /// Its form.
    pub kind: ScoreKind,
    /// What scores are divided by, above 0.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub temperature: f64,
}

impl Default for ScoreSpec {
    fn default() -> Self {
        Self {
            kind: ScoreKind::Dot,
            temperature: 1.0,
        }
    }
}

/// The form of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreKind {
    /// `(<h, e> + b) / temperature`, with an item's bias `b` where the backbone has one.
    Dot,
    /// `(<h, e> / (|h| |e|) + b) / temperature` (UniSRec, KDD 2022, and AlphaFuse, SIGIR 2025, have 0.07).
    Cosine,
}

/// The optimiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSpec {
    /// Its form.
    pub kind: OptimizerKind,
    /// Learning rate, above 0.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub lr: f64,
    /// At least 0: with `adam` an L2 penalty that is added to the gradient; with `adamw` the share, times the
    /// learning rate, by which each step shortens a parameter.
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
    /// The greatest Euclidean norm of a step's whole gradient, above 0; a longer one is shortened to it. Absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub clip_norm: Option<f64>,
    /// How the learning rate changes.
    pub schedule: ScheduleSpec,
}

impl Default for OptimizerSpec {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            lr: 1e-3,
            weight_decay: 0.0,
            clip_norm: None,
            schedule: ScheduleSpec::default(),
        }
    }
}

/// The form of the optimiser. Betas are 0.9 and 0.999, epsilon is 1e-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam (Kingma & Ba 2015, arXiv:1412.6980).
    Adam,
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).
    #[serde(rename = "adamw")]
    AdamW,
}

/// How the learning rate changes: a factor on `lr`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Its form.
    pub kind: ScheduleKind,
    /// Epochs over which the factor rises linearly from 0, step by step, before the form begins; 0: none.
    pub warm_up: usize,
    /// The least factor, in [0, 1], of `linear`, `cosine` and `plateau`.
    #[schemars(range(min = 0, max = 1))]
    pub least: f64,
    /// What `plateau` multiplies the factor by, in (0, 1).
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub decay: f64,
    /// Validations in a row without a better value after which `plateau` does so, at least 1.
    #[schemars(range(min = 1))]
    pub patience: usize,
}

impl Default for ScheduleSpec {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Constant,
            warm_up: 0,
            least: 0.0,
            decay: 0.5,
            patience: 3,
        }
    }
}

impl ScheduleSpec {
    /// Keys that mean nothing for the form.
    fn without_effect(&self) -> Vec<SpecProblem> {
        let other = Self::default();
        let plateau = self.kind == ScheduleKind::Plateau;
        [
            (
                "least",
                self.kind == ScheduleKind::Constant && self.least != other.least,
                "a constant rate has none",
            ),
            (
                "decay",
                !plateau && self.decay != other.decay,
                "only \"plateau\" has it",
            ),
            (
                "patience",
                !plateau && self.patience != other.patience,
                "only \"plateau\" has it",
            ),
        ]
        .into_iter()
        .filter(|&(_, wrong, _)| wrong)
        .map(|(key, _, why)| {
            let key = format!("optimizer.schedule.{key}");
            SpecProblem::new(&key, format!("must be left out: {why}"))
        })
        .collect()
    }
}

/// The form of a schedule, after its warm-up. `p` is the share of the steps up to `stop.max_epochs` that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// 1.
    Constant,
    /// Falls from 1 to the least: `1 - p (1 - least)`.
    Linear,
    /// `least + (1 - least) (1 + cos(pi p)) / 2` (Loshchilov & Hutter 2017, arXiv:1608.03983, Eq. 5).
    Cosine,
    /// Falls by `decay` whenever the validation metric has not got better for `patience` validations.
    Plateau,
}

/// Early stopping on the validation split, full ranking; the best epoch's weights are restored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StopSpec {
    /// `metric@k`, such as `ndcg@10`; `metric` one of hr, ndcg, mrr.
    pub metric: ValidationMetric,
    /// Epochs without a better value before training ends, at least 1.
    #[schemars(range(min = 1))]
    pub patience: usize,
    /// Epochs at the most, at least 1.
    #[schemars(range(min = 1))]
    pub max_epochs: usize,
    /// Epochs between two validations, at least 1; the last epoch is always validated.
    #[schemars(range(min = 1))]
    pub eval_every: usize,
}

impl Default for StopSpec {
    fn default() -> Self {
        Self {
            metric: ValidationMetric {
                metric: RankMetric::Ndcg,
                k: 10,
            },
            patience: 20,
            max_epochs: 50,
            eval_every: 1,
        }
    }
}

/// `ndcg@10` and the like, written as one string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^(hr|ndcg|mrr)@[1-9][0-9]*$"))]
pub struct ValidationMetric {
    /// What is measured.
    pub metric: RankMetric,
    /// Cut-off, at least 1.
    pub k: u32,
}

impl std::fmt::Display for ValidationMetric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.metric, self.k)
    }
}

impl From<ValidationMetric> for String {
    fn from(metric: ValidationMetric) -> Self {
        metric.to_string()
    }
}

impl TryFrom<String> for ValidationMetric {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a metric; write it as in `ndcg@10` (hr, ndcg, mrr, recall or map, then @ and a cut-off from 1)"
            )
        };
        let (name, k) = text.split_once('@').ok_or_else(wrong)?;
        let metric = name.parse().map_err(|_| wrong())?;
        let k = k.parse().ok().filter(|&k| k >= 1).ok_or_else(wrong)?;
        Ok(Self { metric, k })
    }
}

/// How weight matrices (two or more dimensions) start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Initialisation {
    /// Normal, standard deviation sqrt(2 / (fan_in + fan_out)).
    XavierNormal,
    /// Normal with standard deviation 0.02, cut at two standard deviations.
    TruncatedNormal,
}

/// What training computes in. Parameters, losses, the optimiser and evaluation are float32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32 bits everywhere.
    #[default]
    Float32,
    /// Matrix products of adapter and backbone take and give bfloat16 (autocast): faster where the
    /// processor computes in it (AMX, AVX-512 BF16, GPUs), slower elsewhere.
    Bfloat16,
}

/// What the runner hands a worker process, as a JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerRequest {
    /// What to do.
    pub run: RunSpec,
    /// The plugin's file; absent for a built-in backbone.
    pub plugin: Option<PathBuf>,
    /// SHA-256 the plugin's file must have, lower-case hex: the one that is in the run's identity.
    pub plugin_sha256: Option<String>,
    /// The dataset as prepared for all of its runs; absent where the worker has to do that itself.
    #[serde(default)]
    pub data: Option<InputFile>,
    /// Item vectors made before the run; absent where the representation needs none.
    #[serde(default)]
    pub vectors: Option<InputFile>,
    /// Association scores of the training sequences; absent where nothing is calibrated.
    #[serde(default)]
    pub associations: Option<InputFile>,
    /// The runs whose scores it combines; empty for a run that trains.
    #[serde(default)]
    pub members: Vec<MemberRequest>,
    /// Folder for checkpoints; created if it is not there.
    pub artefacts: PathBuf,
    /// How the run survives its worker; absent where it need not.
    #[serde(default)]
    pub resume: Option<ResumeSpec>,
}

/// Name of the resume checkpoint in a run's folder of artefacts: the worker writes and reads it, the
/// runner removes it once the run needs it no more.
pub const RESUME_FILE: &str = "resume.safetensors";

/// Name of the file there that a worker locks, so that no two are at one run.
pub const LOCK_FILE: &str = "lock";

/// How a run goes on after its worker was killed. Decides none of its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeSpec {
    /// The run's identity, lower-case hex: a checkpoint of any other run is refused.
    pub identity: String,
    /// Seconds of training between two checkpoints at least, at most [`Self::MAX_SECONDS`]; one is
    /// written at the end of an epoch. 0: after every epoch.
    pub every_seconds: f64,
    /// Epochs after which one is written whatever the time, before the epoch is told.
    #[serde(default)]
    pub at_epochs: Vec<usize>,
}

impl ResumeSpec {
    /// A year.
    pub const MAX_SECONDS: f64 = 31_536_000.0;
}

/// An artefact of an earlier stage that a run reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its bytes, lower-case hex; another file is refused.
    pub sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range() {
        assert_eq!(TrainSpec::default().validate(), []);
    }

    #[test]
    fn every_range_is_checked() {
        let mut train = TrainSpec {
            batch_size: 0,
            threads: 0,
            device: "gpu".to_owned(),
            ..TrainSpec::default()
        };
        train.loss.negatives = 0;
        train.stop.patience = 0;
        train.stop.max_epochs = 0;
        train.stop.eval_every = 0;
        train.optimizer.lr = f64::NAN;
        train.optimizer.weight_decay = -1.0;
        train.loss.t = 1.5;
        assert_eq!(train.validate().len(), 10);
        train.loss.kind = LossKind::CrossEntropy;
        train.loss.negatives = 5;
        assert_eq!(train.validate().len(), 10);
    }

    #[test]
    fn devices() {
        for (text, valid) in [
            ("auto", true),
            ("cpu", true),
            ("cuda:0", true),
            ("cuda", false),
            ("cuda:", false),
            ("cuda:+1", false),
        ] {
            assert_eq!(is_device(text), valid, "{text}");
        }
    }
}
