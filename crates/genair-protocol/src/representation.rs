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
    /// What stands for the rows of items that training never sees, where it is not what they start as. For `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imputed: Option<ImputedSpec>,
    /// The calibration term; absent where there is none (alpha 0 is a term that weighs nothing).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationSpec>,
}

/// Rows of cold items in a learned table: the mean of the trained rows of their nearest warm items, by the cosine of
/// vectors that exist before training. An item without a vector keeps the row that it starts with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImputedSpec {
    /// How many neighbours, at least 1; of fewer warm items with a vector, all of them.
    pub neighbours: usize,
    /// Where the vectors are from.
    pub source: VectorSource,
    /// Which of their parts is compared.
    pub part: VectorPart,
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
    /// The vectors of another representation, shuffled among items: the control that keeps everything but
    /// their meaning.
    Permuted,
    /// No item vectors at all: what the popularity baseline has.
    None,
}

/// Vectors that exist before training, and what is made of them: shuffled, scaled, moved, adapted to the
/// backbone's width, fused with a learned table, in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenSpec {
    /// Where the vectors are from.
    pub source: VectorSource,
    /// Which of their parts is used.
    pub part: VectorPart,
    /// Among which items the vectors are shuffled, by the run's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permuted: Option<Permutation>,
    /// How long they start; absent: as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Whether the vectors themselves train, from where they were.
    #[serde(default)]
    pub finetune: bool,
    /// How far they may move; absent: as far as the optimiser takes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<DeltaSpec>,
    /// What maps them.
    #[serde(default)]
    pub adapter: AdapterSpec,
    /// How a learned table of ids takes part.
    #[serde(default)]
    pub fusion: FusionSpec,
}

impl FrozenSpec {
    /// What a spec has with no key but its source.
    pub fn new(source: VectorSource) -> Self {
        Self {
            source,
            part: VectorPart::Both,
            permuted: None,
            scale: None,
            finetune: false,
            delta: None,
            adapter: AdapterSpec::default(),
            fusion: FusionSpec::default(),
        }
    }
}

/// Among which items vectors are shuffled. Items without a vector take no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permutation {
    /// All.
    All,
    /// Those of one group of the file of vectors (`ItemVectors::groups`), such as a category.
    Groups,
}

/// How long vectors start. Items without a vector do not count, and stay zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scale {
    /// Each vector has Euclidean length 1.
    Unit,
    /// One factor for all vectors, so that the root of the mean square of all components is this, above 0: the
    /// standard deviation where they are centred (ACE, SIGIR 2026, has 0.1; a table of ids starts with
    /// `sqrt(2 / (I + D))`). At most 1e6.
    Std(#[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0))] f64),
}

/// How far vectors may move: `e = c + delta` with `|delta| <= max_norm`, held by shortening each row of delta
/// after each step (Let It Go, RecSys 2025, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeltaSpec {
    /// The greatest Euclidean length, above 0.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub max_norm: f64,
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
    /// Width of the hidden layer over the backbone's, at least 1; `linear` and `none` have no hidden layer.
    #[schemars(range(min = 1))]
    pub expansion: usize,
    /// Factor on what the last layer starts as, above 0. With 1, as in the paper, item vectors start
    /// far longer than those of a learned table.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub init_scale: f64,
    /// Share of the components of a vector that is zero in a training step, in [0, 1): dropout before the
    /// adapter (UniSRec, KDD 2022, has 0.2).
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    pub dropout: f64,
}

impl Default for AdapterSpec {
    fn default() -> Self {
        Self {
            kind: AdapterKind::Mlp,
            expansion: 2,
            init_scale: 1.0,
            dropout: 0.0,
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
    /// No adapter: the vectors are the item vectors, so their width must be the backbone's.
    None,
}

/// How a learned table takes part: a form, or a table with more keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FusionSpec {
    /// Its form.
    pub kind: Fusion,
    /// How the table starts.
    pub init: TableInit,
    /// Components of the table's row in `null-space`, from 1 to the backbone's width; absent: half of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub width: Option<usize>,
}

/// The form of the fusion. `x` is the adapter's output for an item, `t` its row of the table, `D` the backbone's
/// width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fusion {
    /// No table.
    #[default]
    None,
    /// `x + t`.
    Sum,
    /// The adapter's output fills the first half of the item vector (the larger one of an odd width)
    /// and the table's row the rest.
    Concat,
    /// `x + [0; t]`: the table's row is added to the last components, those of least variance where the vectors are
    /// principal components (AlphaFuse, SIGIR 2025, section 4). The table starts at zero.
    NullSpace,
    /// `[x; t]` of width 2D. The backbone encodes a sequence of `x` and one of `t`, with the same weights, and the
    /// two states are concatenated, so that a score is the sum of both views' (LLM-ESR, NeurIPS 2024, Eq. 5 to 8).
    Dual,
}

/// How the learned table of a fusion starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TableInit {
    /// As any weight (zero in `null-space`).
    #[default]
    Random,
    /// As the first principal components of the vectors (LLM-ESR, section 3.2), in the vectors' own scale.
    Vectors,
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
