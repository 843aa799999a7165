//! What crosses a process border, as plain data: a run's spec on the way in, its events on the way
//! out, and what a plugin says of itself. No input or output, no tensors, no database.

mod engine;
mod event;
mod plugin;
mod representation;
mod run;
pub mod text;

pub use engine::{
    AnswerEnd, EngineEvent, EngineItem, EngineRecord, EngineRequest, EngineTask, GenerationSpec,
};
pub use event::{
    ArtefactKind, DataFacts, Diagnostic, FailureKind, ItemPlace, MachineFacts, RunEvent,
    RunFailure, RunPhase, RunTotals,
};
pub use genair_abi::{BackboneDescriptor, Capabilities, MaskedTraining, OutputItems, TrainsOn};
pub use genair_eval::MetricRow;
pub use plugin::{PluginReport, plugin_name};
pub use representation::{
    AdapterKind, AdapterSpec, AssociationSpec, CalibrationOn, CalibrationSpec, FrozenSpec, Fusion,
    RepresentationKind, RepresentationSpec, VectorPart, VectorSource,
};
pub use run::{
    BUILTIN_BACKBONES, BackboneSpec, Initialisation, InputFile, LOCK_FILE, LossKind, LossSpec,
    NegativeSampler, NegativesFor, OptimizerKind, OptimizerSpec, Precision, RESULTS_VERSION,
    RESUME_FILE, ResumeSpec, RunSpec, StopSpec, TrainSpec, ValidationMetric, WorkerRequest,
};
