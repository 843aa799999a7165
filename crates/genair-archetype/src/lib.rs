//! Item metadata to archetypes, and archetypes to item vectors: prompts, engines, the record cache, PCA,
//! import and report. No tensors, and no model in this process: engines are workers or servers.
//!
//! Start with [`ArchetypeSpec`] and [`generate`].

mod assemble;
mod batch;
mod categories;
mod engine;
mod engine_choice;
mod error;
mod export;
mod form;
mod generate;
mod gguf;
mod import;
mod installation;
mod llama;
pub mod models;
mod neighbours;
mod pca;
mod progress;
mod projection;
mod prompt;
mod provenance;
mod recipe;
mod record;
mod record_log;
mod report;
mod settings;

pub use assemble::{AssembleError, RecordParts, VectorsRecipe, assemble};
pub use batch::{BatchError, ExportedPrompts, ImportedAnswers, export_prompts, import_answers};
pub use engine::EngineError;
pub use engine_choice::tokens;
pub use error::ArchetypeError;
pub use export::{ArchetypeLine, export_archetypes};
pub use form::{FittedItems, VectorsForm, Whitening};
pub use generate::{Generated, GenerationCounts, ItemArchetype, generate, prompt};
pub use import::{
    FinalNorm, ImportError, ImportFile, Readers, RowIds, ToCsv, import, import_sha256, in_report,
};
pub use installation::{FakeEngineSettings, Installation};
pub use llama::{build_llama, lacks_llama};
pub use neighbours::{Neighbour, Neighbours};
pub use pca::{PcaError, Reduce, Reduced, Reduction, in_trainer};
pub use progress::{GenerationProgress, Stage};
pub use projection::title;
pub use prompt::{PromptError, PromptSpec};
pub use provenance::{ItemCounts, PartSummary, VectorsProvenance};
pub use recipe::{recipe_sha256, record_folders};
pub use record::{RecordSettings, ServerSettings, VectorError, decode_vector, encode_vector};
pub use record_log::RecordLogError;
pub use report::{Report, ReportError, ReportInput};
pub use settings::{ArchetypeSpec, EngineKind, HttpSpec, StateSource, TextSpec};
