//! The vocabulary: specs of datasets, evaluation and runs, the names of metrics and cohorts, and what
//! crosses a process border as plain data. Knows no file, network, database or tensor.

mod attempt;
mod baseline;
mod combination;
mod dataset;
mod engine;
mod eval;
mod event;
mod labels;
mod names;
mod pca;
mod plugin;
mod problem;
mod ranges;
mod recommend;
mod report;
mod representation;
mod run;
mod split;
mod suggestion;
mod table_format;
pub mod text;

pub use attempt::{
    ATTEMPT_FILE, REQUEST_FILE, STOP_FILE, attempt_began, attempt_name, events_file, log_file,
};
pub use baseline::{
    BUILTIN_BACKBONES, Baseline, ContentKnnSpec, ItemKnnSpec, Pooling, PopularitySpec,
    SessionKnnSpec, builtin_descriptor, builtin_needs_vectors,
};
pub use combination::{CombinationRule, CombinationSpec, MemberRequest, MemberSpec, Normalise};
pub use dataset::{
    Cohorts, DatasetKind, DatasetSpec, GeneratorSettings, ItemsFiles, KCore, KCoreMode,
    MAX_AUDIENCES, UnknownItems,
};
pub use engine::{
    AnswerEnd, EngineEvent, EngineItem, EngineRecord, EngineRequest, EngineTask, GenerationSpec,
};
pub use eval::{EvalSpec, MetricRow};
pub use event::{
    ArtefactKind, DataFacts, Diagnostic, FEWEST_NEGATIVES, FailureKind, InputCount, ItemPlace,
    MachineFacts, RunEvent, RunFailure, RunPhase, RunTotals,
};
pub use genair_abi::{BackboneDescriptor, Capabilities, MaskedTraining, OutputItems, TrainsOn};
pub use labels::{Axes, Labels};
pub use names::{Cohort, Metric, Protocol, RankMetric, Split, UnknownName};
pub use pca::{PcaReply, PcaSummary};
pub use plugin::{ConformanceEvent, PluginReport, plugin_name};
pub use problem::SpecProblem;
pub use ranges::Ranges;
pub use recommend::{
    Readers, RecommendEvent, RecommendRequest, RecommendedItem, RecommendedList, RecommendedTarget,
};
pub use report::{ReportEvent, ReportRequest, ReportTask};
pub use representation::{
    AdapterKind, AdapterSpec, AssociationSpec, CalibrationOn, CalibrationSpec, DeltaSpec,
    FrozenSpec, Fusion, FusionSpec, ImputedSpec, Permutation, RepresentationKind,
    RepresentationSpec, Scale, TableInit, VectorPart, VectorSource,
};
pub use run::{
    BackboneSpec, Initialisation, InputFile, LOCK_FILE, LossKind, LossSpec, NegativeSampler,
    NegativesFor, OptimizerKind, OptimizerSpec, Precision, RESULTS_VERSION, RESUME_FILE,
    ResumeSpec, RunSpec, ScheduleKind, ScheduleSpec, ScoreKind, ScoreSpec, StopSpec, TrainSpec,
    ValidationMetric, WorkerRequest,
};
pub use split::{
    ColdInHistory, ColdItemsRule, ColdItemsSpec, SplitKind, SplitSpec, TargetRule, ValidationRule,
    ValidationSpec, unix_seconds,
};
pub use suggestion::{nearest, nearest_few, suggestion};
pub use table_format::{
    Column, Columns, Duplicates, Encoding, FileNames, FormatKind, ItemsFormat, Missing, Repeats,
    TableFormat,
};
