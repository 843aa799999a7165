//! Item representations of a run: where item vectors come from, what is made of them, and how they are
//! calibrated (docs/method.md, sections 3, 4 and 6).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where item vectors come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepresentationSpec {
    /// Its name in the spec; `id` needs no table of its own.
    pub name: String,
    /// What it is made of.
    pub kind: RepresentationKind,
    /// What stands in for, or beside, a learned table; absent for `id` and `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<FrozenSpec>,
    /// The calibration term; absent where there is none (alpha 0 is a term that weighs nothing).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationSpec>,
}

/// What item vectors are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RepresentationKind {
    /// A trainable table of one vector per item.
    Id,
    /// Hidden states of a language model while it reads an item and writes its archetype.
    Archetype,
    /// A sentence encoder's vector of the item's text: the static baseline.
    Text,
    /// Gaussian noise of the same size: the control.
    Random,
    /// Vectors made elsewhere.
    Vectors,
    /// No item vectors at all: what the popularity baseline has.
    None,
}

/// Vectors that exist before training, and the adapter `p_theta` that maps them to the backbone's
/// width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenSpec {
    /// Where the vectors are from.
    pub source: VectorSource,
    /// Which of their parts is used.
    pub part: VectorPart,
    /// What maps them.
    #[serde(default)]
    pub adapter: AdapterSpec,
    /// Whether the vectors themselves train, from where they were.
    #[serde(default)]
    pub finetune: bool,
    /// How a learned table of ids takes part.
    #[serde(default)]
    pub fusion: Fusion,
}

/// Where vectors are from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum VectorSource {
    /// A file of item vectors (`crate::ItemVectors`).
    File {
        /// SHA-256, lower-case hex, of the recipe that makes the file: model, prompts, settings and
        /// catalogue; of the file itself where it was made elsewhere.
        recipe_sha256: String,
    },
    /// Independent N(0, 1) components by the run's seed.
    Gaussian {
        /// Components of each vector, at least 1.
        width: usize,
    },
}

/// A part of an item's vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VectorPart {
    /// Mean hidden state over the prompt.
    Context,
    /// Mean hidden state over the answer.
    Archetype,
    /// All parts of the file, concatenated in its order: context, then archetype.
    Both,
}

/// The adapter: `W2 act(LayerNorm(W1 x + b1)) + b2`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdapterSpec {
    /// Its form.
    pub kind: AdapterKind,
    /// Width of the hidden layer over the backbone's, at least 1; `linear` has no hidden layer.
    #[schemars(range(min = 1))]
    pub expansion: usize,
    /// Factor on what the last layer starts as, above 0. With 1, as in the paper, item vectors start
    /// far longer than those of a learned table.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "is_one")] // Runs without it keep their identity.
    pub init_scale: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(value: &f64) -> bool {
    *value == 1.0
}

impl Default for AdapterSpec {
    fn default() -> Self {
        Self {
            kind: AdapterKind::Mlp,
            expansion: 2,
            init_scale: 1.0,
        }
    }
}

/// The form of the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterKind {
    /// Linear, LayerNorm, exact GELU, linear: the paper's.
    Mlp,
    /// The same without GELU.
    MlpLinear,
    /// One linear layer.
    Linear,
}

/// How a learned table takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fusion {
    /// Not at all.
    #[default]
    None,
    /// Its row is added to the adapter's output.
    Sum,
    /// The adapter's output fills the first half of the item vector (the larger one of an odd width)
    /// and the table's row the rest.
    Concat,
}

/// Behavioural calibration, `L = L_rec + alpha L_cal` (docs/method.md, section 6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CalibrationSpec {
    /// Weight of the term, at least 0.
    #[schemars(range(min = 0))]
    pub alpha: f64,
    /// How strongly behaviour ties: `w = exp(-gamma s)`, at least 0.
    #[schemars(range(min = 0))]
    pub gamma: f64,
    /// Which items a step calibrates.
    pub on: CalibrationOn,
    /// Items drawn per step where `on` is `items`, at least 2; at most the catalogue is drawn.
    #[schemars(range(min = 2))]
    pub sample: usize,
    /// Epochs over which alpha rises linearly from 0; 0: constant.
    pub warm_up: usize,
    /// How association is counted.
    pub association: AssociationSpec,
}

impl Default for CalibrationSpec {
    fn default() -> Self {
        Self {
            alpha: 1e-4,
            gamma: 4.0,
            on: CalibrationOn::Targets,
            sample: 1024,
            warm_up: 0,
            association: AssociationSpec::default(),
        }
    }
}

/// Which items a step calibrates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CalibrationOn {
    /// The batch's positive targets, with their counts: the paper's.
    Targets,
    /// A uniform sample of the catalogue, without repetition.
    Items,
}

/// How co-occurrence is counted in training sequences.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AssociationSpec {
    /// Positions apart at the most, at least 1; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub window: Option<usize>,
    /// Co-occurrences a pair needs to count as observed, at least 1.
    #[schemars(range(min = 1))]
    pub min_count: u32,
}

impl Default for AssociationSpec {
    fn default() -> Self {
        Self {
            window: None,
            min_count: 1,
        }
    }
}
