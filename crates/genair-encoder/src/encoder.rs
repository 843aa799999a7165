//! Texts to vectors: tokens, hidden states, their mean, scaled to length 1.
//!
//! Texts of one number of tokens are encoded at once, on one thread. So nothing is padded or masked. Attention and
//! means are computed for each text by itself. Only the products with weight matrices mix texts, as rows of one
//! matrix. A library of such products may choose another way for few rows, so there are always at least
//! [`LEAST_ROWS`] of them: a short text has copies of itself beside it. From there on, a row has the same bits in any
//! company (MKL 2024.2 with AVX-512). Where another processor shows that it does not, which is tried before the first
//! text, texts are encoded one at a time.

use std::sync::Arc;

use tch::{Kind, TchError, Tensor};

use crate::EncodeError;
use crate::bert::Bert;
use crate::folder::{ModelFolder, VOCABULARY, unsupported};
use crate::weights::Weights;
use crate::wordpiece::WordPiece;

/// Rows of a product with a weight matrix at the least. Part of [`crate::ENGINE`].
const LEAST_ROWS: usize = 16;
/// Rows at the most, but for a longer text.
const MOST_ROWS: usize = 512;
/// Texts of a batch at the most.
const MOST_TEXTS: usize = 32;

/// Reads the vocabulary of a folder.
///
/// # Errors
/// As [`WordPiece::read`]; also [`EncodeError::Unsupported`] where it does not fit the weights.
pub(crate) fn read_vocabulary(folder: &ModelFolder) -> Result<WordPiece, EncodeError> {
    let path = folder.path.join(VOCABULARY);
    let vocabulary = WordPiece::read(&path, folder.text)?;
    let (tokens, most) = (vocabulary.len(), folder.bert.vocab_size);
    if tokens > most {
        let supported = format!("`vocab_size` of config.json ({most}) or less");
        return Err(unsupported(&path, "number of lines", tokens, &supported));
    }
    Ok(vocabulary)
}

/// One thread's encoder; weights and vocabulary are shared with the others'.
pub(crate) struct Encoder {
    bert: Bert,
    vocabulary: Arc<WordPiece>,
    max_tokens: usize,
    normalize: bool,
}

impl Encoder {
    /// Puts the parts together.
    ///
    /// # Errors
    /// As [`Bert::new`].
    pub(crate) fn new(
        folder: &ModelFolder,
        weights: &Weights,
        vocabulary: Arc<WordPiece>,
    ) -> Result<Self, EncodeError> {
        Ok(Self {
            bert: Bert::new(&folder.bert, weights)?,
            vocabulary,
            max_tokens: folder.max_tokens,
            normalize: folder.normalize,
        })
    }

    /// The tokens that a text is encoded by.
    pub(crate) fn tokens(&self, text: &str) -> Vec<i64> {
        self.vocabulary.tokens(text, self.max_tokens)
    }

    /// The vector of each text, `[D]`. All have the same number of tokens, at least 2.
    pub(crate) fn encode(&self, texts: &[&[i64]]) -> Result<Vec<Vec<f32>>, TchError> {
        let Some(first) = texts.first() else {
            return Ok(Vec::new());
        };
        let copies = LEAST_ROWS.div_ceil(first.len());
        let rows = texts.iter().chain(std::iter::repeat(first));
        let rows: Vec<&[i64]> = rows.take(texts.len().max(copies)).copied().collect();
        let shape = [rows.len() as i64, first.len() as i64];
        let tokens_bt = Tensor::from_slice(&rows.concat()).f_view(shape)?;
        let states_btd = self.bert.forward(&tokens_bt)?;
        (0..texts.len() as i64)
            .map(|text| {
                let states_td = states_btd.f_select(0, text)?;
                let mean_d = states_td.f_mean_dim(0, false, Kind::Float)?;
                let mut vector = Vec::<f32>::try_from(&mean_d)?;
                if self.normalize {
                    scale_to_length_one(&mut vector);
                }
                Ok(vector)
            })
            .collect()
    }

    /// Whether texts have the same bits alone and in a batch, tried on made-up texts of several lengths.
    pub(crate) fn batches_are_exact(&self) -> Result<bool, TchError> {
        let vocabulary = self.vocabulary.len().max(1) as i64;
        for length in [2, 5, 15, 16, 17, 40] {
            let length = self.max_tokens.min(length) as i64;
            let text = |n: i64| -> Vec<i64> {
                let token = |place| (n * 7919 + place * 104_729 + 1) % vocabulary;
                (0..length).map(token).collect()
            };
            let texts: Vec<Vec<i64>> = (0..most_texts(length as usize) as i64).map(text).collect();
            let texts: Vec<&[i64]> = texts.iter().map(Vec::as_slice).collect();
            let bits = |vectors: Vec<Vec<f32>>| -> Vec<u32> {
                vectors.into_iter().flatten().map(f32::to_bits).collect()
            };
            let together = bits(self.encode(&texts)?);
            let alone = texts.iter().map(|text| self.encode(&[text]));
            let alone = alone.collect::<Result<Vec<_>, _>>()?.concat();
            if bits(alone) != together {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Texts of so many tokens that are encoded at once: as many as keep the processor's caches warm.
pub(crate) fn most_texts(tokens: usize) -> usize {
    (MOST_ROWS / tokens.max(1)).clamp(1, MOST_TEXTS)
}

/// Leaves a vector of zeros alone.
fn scale_to_length_one(vector: &mut [f32]) {
    let squares: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let length = squares.sqrt().max(f64::MIN_POSITIVE);
    for component in vector {
        *component = (f64::from(*component) / length) as f32;
    }
}
