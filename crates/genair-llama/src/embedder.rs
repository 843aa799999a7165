//! One embedding model in memory: a text to one vector, pooled as the model's file declares.
//!
//! Texts are read one at a time, so a vector depends on its text and the model alone.

use std::num::NonZeroU32;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use crate::error::WorkerError;
use crate::info::text;

/// Tokens of a text at the most. An encoder reads a text in one step, whose memory grows with the square of this.
const MOST_TOKENS: usize = 2048;

/// A model with room for one text.
pub(crate) struct Embedder<'m> {
    model: &'m LlamaModel,
    llama: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    /// Tokens that fit.
    room: usize,
}

impl<'m> Embedder<'m> {
    /// Makes room for a text as long as the model was trained on, or of [`MOST_TOKENS`].
    ///
    /// # Errors
    /// The file declares no pooling that gives one vector, or there is no room.
    pub(crate) fn new(
        backend: &LlamaBackend,
        model: &'m LlamaModel,
        threads: usize,
    ) -> Result<Self, WorkerError> {
        let room = (model.n_ctx_train() as usize).min(MOST_TOKENS);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(room as u32))
            .with_n_seq_max(1)
            // The pooling is over the tokens of one step, and encoders allow no more than one.
            .with_n_batch(room as u32)
            .with_n_ubatch(room as u32)
            .with_n_threads(threads as i32)
            .with_n_threads_batch(threads as i32)
            .with_embeddings(true)
            .with_pooling_type(declared_pooling(model)?)
            .with_flash_attention_policy(llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED);
        let llama = model
            .new_context(backend, params)
            .map_err(|source| WorkerError::Context {
                parallel: 1,
                context: room,
                source,
            })?;
        Ok(Self {
            model,
            llama,
            batch: LlamaBatch::new(room, 1),
            room,
        })
    }

    /// Components of a vector.
    pub(crate) fn width(&self) -> usize {
        self.model.n_embd_out() as usize
    }

    /// Tokens of a text that fit.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// Tokens of a text, with those that the model wants around it; what looks like a special token is text.
    pub(crate) fn tokenize(&self, text: &str) -> Vec<LlamaToken> {
        self.model.vocab().tokenize(text.as_bytes(), true, false)
    }

    /// The vector of a text of at least one token and at most [`Embedder::room`], of length 1; zeros stay zeros.
    pub(crate) fn embed(&mut self, tokens: &[LlamaToken]) -> Result<Vec<f32>, WorkerError> {
        self.batch.clear();
        self.batch
            .add_sequence(tokens, 0, true)
            .expect("callers keep to the room");
        // Encoders have no cache, and llama.cpp encodes where there is none.
        self.llama.clear_kv_cache();
        self.llama
            .decode(&mut self.batch)
            .map_err(|source| WorkerError::Decode {
                tokens: tokens.len(),
                source,
            })?;
        let pooled = self.llama.embeddings_seq_ith(0);
        let pooled = pooled.map_err(|source| WorkerError::NoVector { source })?;
        let squares: f64 = pooled.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let length = squares.sqrt().max(f64::MIN_POSITIVE);
        Ok(pooled
            .iter()
            .map(|&x| (f64::from(x) / length) as f32)
            .collect())
    }
}

/// The pooling that a model's file declares, as llama.cpp numbers it.
fn declared_pooling(model: &LlamaModel) -> Result<LlamaPoolingType, WorkerError> {
    let architecture = text(model, "general.architecture")?;
    let key = format!("{architecture}.pooling_type");
    let declared = text(model, &key).ok();
    match declared.as_deref() {
        Some("1") => Ok(LlamaPoolingType::Mean),
        Some("2") => Ok(LlamaPoolingType::Cls),
        Some("3") => Ok(LlamaPoolingType::Last),
        Some("0") => Err(WorkerError::NoPooling {
            key,
            declared: "none (0)".to_owned(),
        }),
        Some(other) => Err(WorkerError::NoPooling {
            key,
            declared: other.to_owned(),
        }),
        None => Err(WorkerError::NoPooling {
            key,
            declared: "nothing".to_owned(),
        }),
    }
}
