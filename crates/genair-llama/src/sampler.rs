//! The next token from logits, in the order of Hugging Face's `generate`: repetition penalty over
//! prompt and answer, ban of the end while the answer is too short, temperature, top-p, draw.

use std::collections::BTreeSet;

use genair_protocol::GenerationSpec;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sha2::{Digest, Sha256};

/// A sampling setting out of its range.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("generation.{key} is {value}; {range}")]
pub struct SettingError {
    /// Its key in the spec.
    pub key: &'static str,
    /// What it is.
    pub value: String,
    /// What it may be.
    pub range: &'static str,
}

/// Checks the ranges of every setting.
pub fn check_settings(spec: &GenerationSpec) -> Result<(), SettingError> {
    let checks: [(&'static str, String, bool, &'static str); 5] = [
        (
            "temperature",
            spec.temperature.to_string(),
            spec.greedy || (spec.temperature > 0.0 && spec.temperature.is_finite()),
            "it must be above 0; `greedy = true` always takes the likeliest token",
        ),
        (
            "top_p",
            spec.top_p.to_string(),
            spec.top_p > 0.0 && spec.top_p <= 1.0,
            "it must be above 0 and at most 1, which keeps every token",
        ),
        (
            "repetition_penalty",
            spec.repetition_penalty.to_string(),
            spec.repetition_penalty > 0.0 && spec.repetition_penalty.is_finite(),
            "it must be above 0; 1 does nothing",
        ),
        (
            "max_new_tokens",
            spec.max_new_tokens.to_string(),
            spec.max_new_tokens >= spec.min_new_tokens.max(1),
            "it must be at least 1 and at least min_new_tokens",
        ),
        (
            "stop",
            format!("{:?}", spec.stop),
            spec.stop.iter().all(|stop| !stop.is_empty()),
            "an empty string would end every answer; leave it out",
        ),
    ];
    match checks.into_iter().find(|(_, _, holds, _)| !holds) {
        Some((key, value, _, range)) => Err(SettingError { key, value, range }),
        None => Ok(()),
    }
}

/// Draws the tokens of one item's answer. Its random stream depends on seed and key alone, so that
/// neither the order of items nor their company changes an answer.
#[derive(Clone, Debug)]
pub struct Sampler<'a> {
    spec: &'a GenerationSpec,
    rng: Xoshiro256PlusPlus,
    /// Tokens of prompt and answer.
    seen: BTreeSet<usize>,
    /// Logits at work; kept to spare an allocation per token.
    scores: Vec<f32>,
}

impl<'a> Sampler<'a> {
    /// For the item `key`, whose prompt has these tokens.
    pub fn new(
        spec: &'a GenerationSpec,
        key: &str,
        prompt: impl IntoIterator<Item = usize>,
    ) -> Self {
        let seed = Sha256::new()
            .chain_update(b"genair answer\0")
            .chain_update(spec.seed.to_le_bytes())
            .chain_update(key)
            .finalize();
        Self {
            spec,
            rng: Xoshiro256PlusPlus::from_seed(seed.into()),
            seen: prompt.into_iter().collect(),
            scores: Vec::new(),
        }
    }

    /// The next token, an index of `logits`, never one of `banned`. `None` where no logit is a finite
    /// number.
    pub fn sample(&mut self, logits: &[f32], banned: &[usize]) -> Option<usize> {
        self.scores.clear();
        self.scores.extend_from_slice(logits);
        for &token in &self.seen {
            let score = &mut self.scores[token];
            *score = if *score > 0.0 {
                *score / self.spec.repetition_penalty
            } else {
                *score * self.spec.repetition_penalty
            };
        }
        for &token in banned {
            self.scores[token] = f32::NEG_INFINITY;
        }
        let likeliest = likeliest(&self.scores)?;
        let token = if self.spec.greedy {
            likeliest
        } else {
            self.draw(self.scores[likeliest])
        };
        self.seen.insert(token);
        Some(token)
    }

    /// Draws from the smallest set of likeliest tokens whose probabilities reach `top_p`.
    fn draw(&mut self, highest: f32) -> usize {
        let mut total = 0.0;
        for score in &mut self.scores {
            *score = weight((*score - highest) / self.spec.temperature);
            total += f64::from(*score);
        }
        let (candidates, mass) = if self.spec.top_p < 1.0 {
            nucleus(&self.scores, f64::from(self.spec.top_p) * total)
        } else {
            (at_least(&self.scores, f32::MIN_POSITIVE), total)
        };
        let mut left = self.rng.random::<f64>() * mass;
        for &token in &candidates {
            left -= f64::from(self.scores[token]);
            if left < 0.0 {
                return token;
            }
        }
        // Rounding may leave a crumb after the last one.
        candidates[candidates.len() - 1]
    }
}

/// The first of the largest scores, NaN aside; `None` where that is no finite number.
fn likeliest(scores: &[f32]) -> Option<usize> {
    let mut best = None;
    let mut highest = f32::NEG_INFINITY;
    for (token, &score) in scores.iter().enumerate() {
        if score > highest {
            (best, highest) = (Some(token), score);
        }
    }
    best.filter(|_| highest.is_finite())
}

/// `exp(x)` for `x <= 0`. It is 0 for NaN, and where it is too small to move a sum one of whose terms
/// is 1: most of a vocabulary, whose `exp` would be a good part of an answer's time.
fn weight(x: f32) -> f32 {
    if x > -40.0 { x.exp() } else { 0.0 }
}

/// Tokens by falling weight, then by rising index, until they weigh `enough`; and what they weigh.
fn nucleus(weights: &[f32], enough: f64) -> (Vec<usize>, f64) {
    // A handful of tokens nearly always suffices, and sorting a whole vocabulary is dear.
    let mut tokens = [1e-2, 1e-5]
        .into_iter()
        .map(|floor| at_least(weights, floor))
        .find(|tokens| tokens.iter().map(|&t| f64::from(weights[t])).sum::<f64>() >= enough)
        .unwrap_or_else(|| at_least(weights, f32::MIN_POSITIVE));
    tokens.sort_unstable_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
    let mut mass = 0.0;
    let mut kept = 0;
    while kept < tokens.len() && mass < enough {
        mass += f64::from(weights[tokens[kept]]);
        kept += 1;
    }
    tokens.truncate(kept);
    (tokens, mass)
}

/// Tokens of at least this weight, by rising index.
fn at_least(weights: &[f32], floor: f32) -> Vec<usize> {
    (0..weights.len())
        .filter(|&token| weights[token] >= floor)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings() -> GenerationSpec {
        GenerationSpec {
            temperature: 1.0,
            top_p: 1.0,
            repetition_penalty: 1.0,
            ..GenerationSpec::default()
        }
    }

    /// Shares of 40,000 draws against what Hugging Face's processors and warpers leave, in its order:
    ///
    /// ```python
    /// import math
    /// logits, seen = [2.0, 1.5, -0.5, 1.0, -3.0], {0, 2}
    /// l = [(x / 1.2 if x > 0 else x * 1.2) if i in seen else x for i, x in enumerate(logits)]
    /// e = [math.exp(x / 0.6) for x in l]; p = [x / sum(e) for x in e]
    /// order = sorted(range(5), key=lambda i: p[i]); c = 0; keep = set(order)
    /// for i in order:  # TopPLogitsWarper(0.9): out where the rising cumulative sum is <= 0.1.
    ///     c += p[i]
    ///     if c <= 0.1: keep.discard(i)
    /// s = sum(p[i] for i in keep); print([round(p[i] / s, 6) if i in keep else 0.0 for i in range(5)])
    /// ```
    #[test]
    fn draws_follow_hugging_face_probabilities() {
        let spec = GenerationSpec {
            temperature: 0.6,
            top_p: 0.9,
            repetition_penalty: 1.2,
            ..GenerationSpec::default()
        };
        let logits = [2.0, 1.5, -0.5, 1.0, -3.0];
        let mut shares = [0.0; 5];
        for item in 0..40_000 {
            let mut sampler = Sampler::new(&spec, &item.to_string(), [0, 2, 2]);
            shares[sampler.sample(&logits, &[]).unwrap()] += 1.0 / 40_000.0;
        }
        for (share, expected) in shares
            .into_iter()
            .zip([0.479235, 0.363004, 0.0, 0.157761, 0.0])
        {
            // Four standard deviations are at most 0.01.
            assert!(f64::abs(share - expected) < 0.01, "{share} for {expected}");
            assert!(expected > 0.0 || share == 0.0);
        }
    }

    #[test]
    fn the_penalty_covers_prompt_and_answer_once() {
        let spec = GenerationSpec {
            greedy: true,
            repetition_penalty: 1.5,
            ..GenerationSpec::default()
        };
        let logits = [3.0, 2.5, -1.0];
        assert_eq!(
            Sampler::new(&spec, "item", [0]).sample(&logits, &[]),
            Some(1)
        );
        let mut sampler = Sampler::new(&spec, "item", []);
        // From the third on, 3 / 1.5 is above 2.5 / 1.5, however often the token came.
        let answer = [0; 4].map(|_| sampler.sample(&logits, &[]));
        assert_eq!(answer, [Some(0), Some(1), Some(0), Some(0)]);
    }

    #[test]
    fn banned_tokens_and_broken_logits_are_never_drawn() {
        let spec = settings();
        let mut sampler = Sampler::new(&spec, "item", []);
        assert_eq!(sampler.sample(&[9.0, 1.0], &[0]), Some(1));
        assert_eq!(
            sampler.sample(&[f32::NAN, 1.0, f32::NEG_INFINITY], &[]),
            Some(1)
        );
        let mut sampler = Sampler::new(&spec, "item", []);
        assert_eq!(sampler.sample(&[f32::NAN, f32::NAN], &[]), None);
        assert_eq!(sampler.sample(&[1.0, f32::INFINITY], &[]), None);
        assert_eq!(sampler.sample(&[1.0], &[0]), None);
    }

    #[test]
    fn a_stream_depends_on_seed_and_key() {
        let spec = settings();
        let other = GenerationSpec {
            seed: spec.seed + 1,
            ..settings()
        };
        let stream = |spec, key| {
            let mut sampler = Sampler::new(spec, key, []);
            [0; 20].map(|_| sampler.sample(&[0.0; 1000], &[]))
        };
        assert_eq!(stream(&spec, "a"), stream(&spec, "a"));
        assert_ne!(stream(&spec, "a"), stream(&spec, "b"));
        assert_ne!(stream(&spec, "a"), stream(&other, "a"));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        assert_eq!(check_settings(&settings()), Ok(()));
        let cold = GenerationSpec {
            temperature: 0.0,
            ..settings()
        };
        let message = check_settings(&cold).unwrap_err().to_string();
        assert!(message.starts_with("generation.temperature is 0;"));
        let short = GenerationSpec {
            min_new_tokens: 9,
            max_new_tokens: 8,
            ..settings()
        };
        assert_eq!(check_settings(&short).unwrap_err().key, "max_new_tokens");
        let stop = GenerationSpec {
            stop: vec!["\n".to_owned(), String::new()],
            ..settings()
        };
        assert_eq!(check_settings(&stop).unwrap_err().key, "stop");
    }

    proptest! {
        /// Against the definition, by sorting everything: the floors are only a shortcut.
        #[test]
        fn a_nucleus_is_the_shortest_prefix_that_reaches_the_share(
            exponents in prop::collection::vec(-30.0f32..0.0, 1..60), share in 0.01f64..0.999,
        ) {
            let weights: Vec<f32> = exponents.iter().map(|&x| weight(x)).collect();
            let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            let mut order: Vec<usize> = (0..weights.len()).collect();
            order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
            let (tokens, mass) = nucleus(&weights, share * total);
            prop_assert_eq!(&tokens[..], &order[..tokens.len()]);
            let last = f64::from(weights[tokens[tokens.len() - 1]]);
            prop_assert!(mass >= share * total && mass - last < share * total);
        }
    }
}
