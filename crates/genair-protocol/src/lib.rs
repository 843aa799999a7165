//! What crosses a process border, as plain data: a run's spec on the way in, its events on the way
//! out, and what a plugin says of itself. No input or output, no tensors, no database.

mod event;
mod plugin;
mod run;

pub use event::{
    ArtefactKind, DataFacts, FailureKind, MachineFacts, RunEvent, RunFailure, RunPhase, RunTotals,
};
pub use genair_abi::{BackboneDescriptor, Capabilities, MaskedTraining, OutputItems, TrainsOn};
pub use genair_eval::MetricRow;
pub use plugin::PluginReport;
pub use run::{
    BUILTIN_BACKBONES, BackboneSpec, Initialisation, LossKind, LossSpec, NegativeSampler,
    NegativesFor, OptimizerKind, OptimizerSpec, RESULTS_VERSION, RepresentationKind,
    RepresentationSpec, RunSpec, StopSpec, TrainSpec, ValidationMetric, WorkerRequest,
};
