//! One model in memory: text to tokens, and tokens to logits and hidden states. Knows nothing of
//! items or sampling.
//!
//! Hidden states are those after the final norm (`hidden_states[-1]` of Hugging Face): with embeddings
//! on and pooling none, llama.cpp gives them for every token of the decode that gives the logits.

use std::num::NonZeroU32;
use std::path::Path;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

use crate::error::WorkerError;

/// Tokens of one decode at the most. The buffer of logits has this many rows of the whole vocabulary.
const BATCH: usize = 512;

/// llama.cpp rounds a sequence's room to a multiple of this.
const CONTEXT_STEP: usize = 256;

/// Sequences llama.cpp can hold (`LLAMA_MAX_SEQ`).
pub(crate) const MOST_SEQUENCES: usize = 256;

/// Loads a model from a GGUF file.
pub(crate) fn load(
    backend: &LlamaBackend,
    path: &Path,
    params: &LlamaModelParams,
) -> Result<LlamaModel, WorkerError> {
    // llama.cpp says no more than "failed" of a file that is not there.
    std::fs::File::open(path).map_err(|source| WorkerError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    LlamaModel::load_from_file(backend, path, params).map_err(|source| WorkerError::Model {
        path: path.to_owned(),
        source,
    })
}

/// A model with room for some sequences.
pub(crate) struct Engine<'m> {
    model: &'m LlamaModel,
    llama: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    /// Tokens that fit into one sequence.
    room: usize,
    /// Tokens that end an answer.
    ends: Vec<usize>,
    /// Whether the tokenizer puts a space before a text that has none (SentencePiece).
    prefixes_space: bool,
}

impl<'m> Engine<'m> {
    /// Makes room for `sequences` of at least `context` tokens, or of as many as the model was trained on.
    pub(crate) fn new(
        backend: &LlamaBackend,
        model: &'m LlamaModel,
        sequences: usize,
        threads: usize,
        context: usize,
    ) -> Result<Self, WorkerError> {
        let context = context
            .next_multiple_of(CONTEXT_STEP)
            .min(model.n_ctx_train() as usize);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new((context * sequences) as u32))
            .with_n_seq_max(sequences as u32)
            .with_n_batch(BATCH as u32)
            .with_n_ubatch(BATCH as u32)
            .with_n_threads(threads as i32)
            .with_n_threads_batch(threads as i32)
            .with_embeddings(true)
            .with_pooling_type(LlamaPoolingType::None)
            // Each sequence has cells of its own, so that its numbers do not depend on the others.
            .with_kv_unified(false)
            // Flash attention takes another path, with other roundings, for a long sequence alone.
            .with_flash_attention_policy(llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED);
        let llama = model
            .new_context(backend, params)
            .map_err(|source| WorkerError::Context {
                parallel: sequences,
                context,
                source,
            })?;
        let vocab = model.vocab();
        let ends = vocab
            .tokens()
            .filter(|&token| vocab.is_eog(token))
            .map(index)
            .collect();
        let prefixes_space = vocab
            .tokenize(b"a", false, false)
            .first()
            .is_some_and(|&token| vocab.token_to_piece(token, false, None).starts_with(b" "));
        Ok(Self {
            model,
            llama,
            batch: LlamaBatch::new(BATCH, 1),
            room: context,
            ends,
            prefixes_space,
        })
    }

    /// Components of a hidden state.
    pub(crate) fn width(&self) -> usize {
        self.model.n_embd_out() as usize
    }

    /// Tokens that fit into one sequence.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// Tokens that end an answer, by rising index.
    pub(crate) fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// Tokens of a prompt, special ones included: with the token of a beginning where the model wants
    /// one, and only once where the prompt has it already.
    pub(crate) fn tokenize_prompt(&self, text: &str) -> Vec<LlamaToken> {
        let vocab = self.model.vocab();
        let mut tokens = vocab.tokenize(text.as_bytes(), false, true);
        if vocab.should_add_bos() && tokens.first() != Some(&vocab.bos()) {
            tokens.insert(0, vocab.bos());
        }
        tokens
    }

    /// Tokens of an answer: what looks like a special token in it is text.
    pub(crate) fn tokenize_answer(&self, text: &str) -> Vec<LlamaToken> {
        // Such a tokenizer would double the space that answers begin with.
        let text = text
            .strip_prefix(' ')
            .filter(|_| self.prefixes_space)
            .unwrap_or(text);
        self.model.vocab().tokenize(text.as_bytes(), false, false)
    }

    /// The bytes of a token in an answer; none for a special token.
    pub(crate) fn piece(&self, token: usize) -> Vec<u8> {
        let token = LlamaToken::new(token as i32);
        self.model.vocab().token_to_piece(token, false, None)
    }

    /// A token as text, special ones by their name.
    pub(crate) fn name(&self, token: LlamaToken) -> String {
        let bytes = self.model.vocab().token_to_piece(token, true, None);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads the tokens of a sequence (at least one) from position `first` on, and hands each token's
    /// position and hidden state to `visit`. Returns the row of the last one.
    ///
    /// A sequence is read alone: llama.cpp would cut a batch of unequal ones into many small steps, and
    /// alone its numbers cannot depend on the others.
    pub(crate) fn read(
        &mut self,
        sequence: usize,
        first: usize,
        tokens: &[LlamaToken],
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<usize, WorkerError> {
        for (chunk, tokens) in tokens.chunks(BATCH).enumerate() {
            let start = first + chunk * BATCH;
            let feeds: Vec<Feed> = (start..)
                .zip(tokens)
                .map(|(position, &token)| Feed {
                    sequence,
                    position,
                    token,
                })
                .collect();
            self.decode(&feeds)?;
            for row in 0..feeds.len() {
                visit(start + row, self.state(row)?);
            }
        }
        Ok((tokens.len() - 1) % BATCH)
    }

    /// Computes one batch of at most [`BATCH`] tokens; row `r` of its results belongs to `feeds[r]`.
    pub(crate) fn decode(&mut self, feeds: &[Feed]) -> Result<(), WorkerError> {
        self.batch.clear();
        for feed in feeds {
            // llama.cpp computes all rows where embeddings are on, so all of them may say so.
            self.batch
                .add(
                    feed.token,
                    feed.position as i32,
                    &[feed.sequence as i32],
                    true,
                )
                .expect("callers keep to the batch size");
        }
        self.llama
            .decode(&mut self.batch)
            .map_err(|source| WorkerError::Decode {
                tokens: feeds.len(),
                source,
            })
    }

    /// The hidden state of a row of the last batch.
    pub(crate) fn state(&self, row: usize) -> Result<&[f32], WorkerError> {
        self.llama
            .embeddings_ith(row as i32)
            .map_err(|source| WorkerError::NoState { row, source })
    }

    /// The logits of a row of the last batch.
    pub(crate) fn logits(&self, row: usize) -> &[f32] {
        self.llama.get_logits_ith(row as i32)
    }

    /// Gives an empty sequence the first `tokens` tokens of another. `false`, and nothing done, for models
    /// that cannot forget the end of a sequence (recurrent ones).
    pub(crate) fn copy(&mut self, from: usize, to: usize, tokens: usize) -> bool {
        let (source, target) = (from as i32, to as i32);
        let copied = self.llama.copy_kv_cache_seq(source, target, None, None);
        let end = Some(tokens as u32);
        let cut = copied.is_ok()
            && self
                .llama
                .clear_kv_cache_seq(Some(to as u32), end, None)
                .unwrap_or(false);
        if !cut {
            self.forget(to);
        }
        cut
    }

    /// Forgets a sequence, so that its number may be used again.
    pub(crate) fn forget(&mut self, sequence: usize) {
        // Removing a whole sequence cannot fail.
        let _ = self
            .llama
            .clear_kv_cache_seq(Some(sequence as u32), None, None);
    }
}

/// One token to compute.
pub(crate) struct Feed {
    pub(crate) sequence: usize,
    /// From 0, without gaps in its sequence.
    pub(crate) position: usize,
    pub(crate) token: LlamaToken,
}

/// A token as an index into logits. llama.cpp's tokens are never negative, apart from "none".
pub(crate) fn index(token: LlamaToken) -> usize {
    token.0 as usize
}
