//! Padded form without much padding: sequences in groups of similar length.
//!
//! Real histories are short and a few are long, so padding a batch to its longest sequence is
//! mostly waste. Sequences are sorted into groups, and each group is padded to its own longest one.
//! Nothing is reordered for the caller: what comes back is packed, in the batch's order.
//!
//! Shapes: `N` tokens, `G` sequences of a group, `L` tokens of its longest, `S` any width.

use tch::{Device, Tensor};

use crate::Result;
use crate::batch::{gather_rows, valid_places};

/// Sequences up to this length share the first group; each further group's limit is twice as high.
const FIRST_LIMIT: i64 = 8;

/// All groups of a batch.
#[derive(Debug)]
pub struct LengthGroups {
    groups: Vec<LengthGroup>,
    /// For each token, its row among the places of all groups, int64 `[N]`; `None` where the
    /// places are the tokens.
    places_n: Option<Tensor>,
}

/// Sequences that are padded together.
#[derive(Debug)]
pub struct LengthGroup {
    /// Number of each sequence in the batch, int64 `[G]`; `None` where it is the whole batch in order.
    sequences: Option<Tensor>,
    lengths: Vec<i64>,
    longest: i64,
    /// Token at each place, int64 `[G * L]`; at padding, the sequence's first token. `None` where
    /// the places are the tokens.
    tokens: Option<Tensor>,
    device: Device,
}

impl LengthGroups {
    pub(crate) fn new(lengths: &[i64], device: Device) -> Result<Self> {
        let mut starts = Vec::with_capacity(lengths.len());
        let mut tokens = 0;
        for &length in lengths {
            starts.push(tokens);
            tokens += length;
        }
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (sequence, &length) in lengths.iter().enumerate() {
            let group = group_of(length);
            if members.len() <= group {
                members.resize_with(group + 1, Vec::new);
            }
            members[group].push(sequence);
        }
        members.retain(|group| !group.is_empty());

        let on_device = |values: &[i64]| {
            Ok::<_, crate::Error>(Tensor::f_from_slice(values)?.f_to_device(device)?)
        };
        let whole = members.len() == 1;
        let mut place_of_token = vec![0; tokens as usize];
        let (mut groups, mut places) = (Vec::with_capacity(members.len()), 0);
        for members in members {
            let own: Vec<i64> = members.iter().map(|&sequence| lengths[sequence]).collect();
            let longest = own.iter().copied().max().unwrap_or(0);
            let mut token_at_place = Vec::with_capacity(members.len() * longest as usize);
            for &sequence in &members {
                let (start, length) = (starts[sequence], lengths[sequence]);
                for column in 0..longest {
                    if column < length {
                        place_of_token[(start + column) as usize] = places;
                    }
                    token_at_place.push(if column < length {
                        start + column
                    } else {
                        start
                    });
                    places += 1;
                }
            }
            let identical = whole && token_at_place.len() == tokens as usize;
            let numbers: Vec<i64> = members.iter().map(|&sequence| sequence as i64).collect();
            groups.push(LengthGroup {
                sequences: if whole {
                    None
                } else {
                    Some(on_device(&numbers)?)
                },
                lengths: own,
                longest,
                tokens: if identical {
                    None
                } else {
                    Some(on_device(&token_at_place)?)
                },
                device,
            });
        }
        let packed = whole && places == tokens;
        let places_n = if packed {
            None
        } else {
            Some(on_device(&place_of_token)?)
        };
        Ok(Self { groups, places_n })
    }

    /// The groups.
    pub fn iter(&self) -> impl Iterator<Item = &LengthGroup> {
        self.groups.iter()
    }

    /// Packs again: one tensor `[G * L, S]` for each group becomes `[N, S]`, without padding and in
    /// the batch's order; or, with tokens to choose, their rows alone.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn pack(&self, padded: &[Tensor], chosen: Option<&Tensor>) -> Result<Tensor> {
        let joined = match padded {
            [only] => only.shallow_clone(),
            several => Tensor::f_cat(several, 0)?,
        };
        match (&self.places_n, chosen) {
            (None, None) => Ok(joined),
            (None, Some(chosen)) => gather_rows(&joined, chosen),
            (Some(places), None) => gather_rows(&joined, places),
            (Some(places), Some(chosen)) => {
                gather_rows(&joined, &places.f_index_select(0, chosen)?)
            }
        }
    }

    /// One row for each sequence, `[G, S]` from each group, becomes `[B, S]` in the batch's order.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn join_sequences(&self, rows: &[Tensor]) -> Result<Tensor> {
        let joined = match rows {
            [only] => only.shallow_clone(),
            several => Tensor::f_cat(several, 0)?,
        };
        let numbers: Vec<&Tensor> = self
            .iter()
            .filter_map(|group| group.sequences.as_ref())
            .collect();
        if numbers.is_empty() {
            return Ok(joined);
        }
        gather_rows(&joined, &Tensor::f_cat(&numbers, 0)?.f_argsort(0, false)?)
    }
}

impl LengthGroup {
    /// Sequences, `G`.
    pub fn sequences(&self) -> i64 {
        self.lengths.len() as i64
    }

    /// Tokens of the longest sequence, `L`.
    pub fn longest(&self) -> i64 {
        self.longest
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> &[i64] {
        &self.lengths
    }

    /// Whether all sequences are equally long, so that there is no padding.
    pub fn is_full(&self) -> bool {
        self.lengths.iter().all(|&length| length == self.longest)
    }

    /// The group's part of `[N, S]`, padded: `[G, L, S]`. Padding repeats the sequence's first
    /// token, so it is finite, and it must be masked.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn pad(&self, x_ns: &Tensor) -> Result<Tensor> {
        let shape = [self.sequences(), self.longest, x_ns.size()[1]];
        match &self.tokens {
            Some(tokens) => Ok(gather_rows(x_ns, tokens)?.f_view(shape)?),
            None => Ok(x_ns.f_view(shape)?),
        }
    }

    /// The group's part of one row for each sequence: `[B, S]` to `[G, S]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn choose_sequences(&self, x_bs: &Tensor) -> Result<Tensor> {
        match &self.sequences {
            Some(numbers) => gather_rows(x_bs, numbers),
            None => Ok(x_bs.shallow_clone()),
        }
    }

    /// Which places hold a token, bool `[G, L]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn valid_gl(&self) -> Result<Tensor> {
        valid_places(&self.lengths, self.longest, self.device)
    }
}

/// 0 up to [`FIRST_LIMIT`], 1 up to twice that, and so on.
fn group_of(length: i64) -> usize {
    let mut limit = FIRST_LIMIT;
    let mut group = 0;
    while length > limit {
        limit *= 2;
        group += 1;
    }
    group
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    fn tokens(lengths: &[i64]) -> Tensor {
        let tokens: i64 = lengths.iter().sum();
        Tensor::arange(tokens * 2, (Kind::Float, Device::Cpu)).view([tokens, 2])
    }

    const CASES: [&[i64]; 6] = [
        &[3, 1, 2],
        &[2, 2],
        &[1],
        &[40, 3, 9, 8, 17, 1, 33, 16],
        &[20, 2],
        &[2, 20, 20],
    ];

    #[test]
    fn padding_and_back_is_the_identity() {
        for lengths in CASES {
            let (x_ns, groups) = (
                tokens(lengths),
                LengthGroups::new(lengths, Device::Cpu).unwrap(),
            );
            let mut held = 0;
            let padded: Vec<Tensor> = groups
                .iter()
                .map(|group| {
                    held += i64::try_from(group.valid_gl().unwrap().sum(Kind::Int64)).unwrap();
                    assert_eq!(
                        group.is_full(),
                        bool::try_from(group.valid_gl().unwrap().all()).unwrap()
                    );
                    group.pad(&x_ns).unwrap().reshape([-1, 2])
                })
                .collect();
            assert_eq!(held, x_ns.size()[0]);
            assert_eq!(groups.pack(&padded, None).unwrap(), x_ns);
            let last = Tensor::from_slice(&[x_ns.size()[0] - 1]);
            assert_eq!(
                groups.pack(&padded, Some(&last)).unwrap(),
                x_ns.index_select(0, &last)
            );
        }
    }

    #[test]
    fn a_padded_row_is_its_sequence() {
        let lengths = [2, 20, 3];
        let x_ns = tokens(&lengths);
        let groups = LengthGroups::new(&lengths, Device::Cpu).unwrap();
        let padded: Vec<Tensor> = groups
            .iter()
            .map(|group| group.pad(&x_ns).unwrap())
            .collect();
        assert_eq!(padded.len(), 2);
        assert_eq!(padded[0].select(0, 0).narrow(0, 0, 2), x_ns.narrow(0, 0, 2));
        assert_eq!(padded[0].select(0, 1), x_ns.narrow(0, 22, 3));
        assert_eq!(padded[1].select(0, 0), x_ns.narrow(0, 2, 20));
    }

    #[test]
    fn rows_of_sequences_come_back_in_order() {
        for lengths in CASES {
            let rows =
                Tensor::arange(lengths.len() as i64, (Kind::Float, Device::Cpu)).view([-1, 1]);
            let groups = LengthGroups::new(lengths, Device::Cpu).unwrap();
            let chosen: Vec<Tensor> = groups
                .iter()
                .map(|group| group.choose_sequences(&rows).unwrap())
                .collect();
            assert_eq!(groups.join_sequences(&chosen).unwrap(), rows);
        }
    }

    #[test]
    fn no_group_is_padded_to_more_than_twice_a_long_sequence() {
        let lengths: Vec<i64> = (1..=300).collect();
        let groups = LengthGroups::new(&lengths, Device::Cpu).unwrap();
        for group in groups.iter() {
            for &length in group.lengths() {
                assert!(group.longest() <= FIRST_LIMIT.max(2 * length));
            }
        }
    }
}
