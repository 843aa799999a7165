//! The opening that the prompts of one template share, read once instead of for each item.

use llama_cpp_2::token::LlamaToken;

use crate::engine::Engine;
use crate::error::WorkerError;

/// Tokens that must be shared for a copy of the cache to be worth its while.
const WORTH_SHARING: usize = 8;

/// The first prompt, in a sequence of its own, as the source of others' beginnings.
///
/// A token's keys, values and hidden state depend on the tokens before it alone, so a copy has the bits
/// that reading it again would have.
pub(crate) struct SharedPrefix {
    sequence: usize,
    tokens: Vec<LlamaToken>,
    /// Hidden states of its tokens, one after another.
    states: Vec<f32>,
}

impl SharedPrefix {
    /// Will keep the first prompt in `sequence`, which nobody else may use.
    pub(crate) fn new(sequence: usize) -> Self {
        Self {
            sequence,
            tokens: Vec::new(),
            states: Vec::new(),
        }
    }

    /// Does what [`Engine::read`] does from the beginning of a sequence.
    pub(crate) fn read(
        &mut self,
        engine: &mut Engine,
        sequence: usize,
        tokens: &[LlamaToken],
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<usize, WorkerError> {
        if self.tokens.is_empty() {
            let states = &mut self.states;
            engine.read(self.sequence, 0, tokens, |_, state| {
                states.extend_from_slice(state);
            })?;
            self.tokens = tokens.to_vec();
        }
        let same = self.tokens.iter().zip(tokens);
        let shared = same.take_while(|(ours, theirs)| ours == theirs).count();
        // At least two tokens are read in any case: llama.cpp computes a single one by other products, which round
        // otherwise, and the logits of the last are needed.
        let shared = shared.min(tokens.len().saturating_sub(2));
        if shared < WORTH_SHARING || !engine.copy(self.sequence, sequence, shared) {
            return engine.read(sequence, 0, tokens, visit);
        }
        let states = self.states.chunks_exact(engine.width());
        for (position, state) in states.take(shared).enumerate() {
            visit(position, state);
        }
        engine.read(sequence, shared, &tokens[shared..], visit)
    }
}
