//! A batch of sequences, packed, and the ways to padded form and back.

use std::cell::OnceCell;

use genair_abi::Batch;
use tch::{Device, Kind, Tensor};

use crate::groups::LengthGroups;
use crate::{Error, Result};

/// The valid tokens of `B` sequences, one sequence after another; there is no padding in it.
#[derive(Debug)]
pub struct SequenceBatch {
    /// Item vectors, float `[N, D]`.
    pub items_nd: Tensor,
    /// Position of each token in its window from 0, int64 `[N]`.
    pub positions_n: Tensor,
    /// User of each sequence, int64 `[B]`, where the backbone wants users.
    pub users_b: Option<Tensor>,
    /// Tokens whose states are wanted, ascending `[M]`; all of them where absent.
    wanted: Option<Vec<i64>>,
    lengths: Vec<i64>,
    longest: i64,
    wanted_m: OnceCell<Tensor>,
    groups: OnceCell<LengthGroups>,
}

impl SequenceBatch {
    /// A batch of sequences with the given numbers of tokens.
    ///
    /// # Errors
    /// [`Error::Batch`] where shapes, lengths and wanted tokens contradict each other.
    pub fn new(
        items_nd: Tensor,
        positions_n: Tensor,
        lengths: Vec<i64>,
        users_b: Option<Tensor>,
        wanted: Option<Vec<i64>>,
    ) -> Result<Self> {
        let tokens: i64 = lengths.iter().sum();
        if lengths.iter().any(|&length| length < 1) {
            return Err(Error::Batch("a sequence has no token".to_owned()));
        }
        let &[rows, _] = items_nd.size().as_slice() else {
            return Err(Error::Batch(format!(
                "item vectors have the shape {:?}",
                items_nd.size()
            )));
        };
        if rows != tokens || positions_n.size() != [tokens] {
            return Err(Error::Batch(format!(
                "lengths sum to {tokens}, but there are {rows} item vectors and {:?} positions",
                positions_n.size()
            )));
        }
        if let Some(wanted) = &wanted
            && !(wanted.is_sorted_by(|a, b| a < b)
                && wanted.first().is_none_or(|&first| first >= 0)
                && wanted.last().is_none_or(|&last| last < tokens))
        {
            return Err(Error::Batch(format!(
                "wanted tokens are not ascending within 0..{tokens}"
            )));
        }
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let (wanted_m, groups) = (OnceCell::new(), OnceCell::new());
        Ok(Self {
            items_nd,
            positions_n,
            users_b,
            wanted,
            lengths,
            longest,
            wanted_m,
            groups,
        })
    }

    /// Takes a batch from the other side of the boundary; tensors are shared, not copied.
    ///
    /// # Safety
    /// Every pointer of `batch` is null where that is allowed, or valid for the call.
    #[expect(unsafe_code, reason = "plugin boundary")]
    pub(crate) unsafe fn from_abi(batch: &Batch) -> Result<Self> {
        let shared = |ptr: genair_abi::TensorPtr| {
            // SAFETY: the caller's promise.
            (!ptr.is_null()).then(|| unsafe { Tensor::clone_from_ptr(ptr.cast()) })
        };
        let missing = |what: &str| Error::Batch(format!("it has no {what}"));
        // SAFETY: the caller's promise.
        let lengths = unsafe { std::slice::from_raw_parts(batch.lengths, batch.sequences) };
        let wanted = (!batch.wanted.is_null())
            // SAFETY: the caller's promise.
            .then(|| unsafe { std::slice::from_raw_parts(batch.wanted, batch.wanted_count) });
        Self::new(
            shared(batch.items).ok_or_else(|| missing("item vectors"))?,
            shared(batch.positions).ok_or_else(|| missing("positions"))?,
            lengths.to_vec(),
            shared(batch.users),
            wanted.map(<[i64]>::to_vec),
        )
    }

    /// Valid tokens, `N`.
    pub fn tokens(&self) -> i64 {
        self.items_nd.size()[0]
    }

    /// Sequences, `B`.
    pub fn sequences(&self) -> i64 {
        self.lengths.len() as i64
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> &[i64] {
        &self.lengths
    }

    /// Tokens of the longest sequence, `L`.
    pub fn longest(&self) -> i64 {
        self.longest
    }

    /// Where the batch's tensors are.
    pub fn device(&self) -> Device {
        self.items_nd.device()
    }

    /// The sequences in groups of similar length: the cheap way to padded form.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn groups(&self) -> Result<&LengthGroups> {
        if let Some(groups) = self.groups.get() {
            return Ok(groups);
        }
        let groups = LengthGroups::new(&self.lengths, self.device())?;
        Ok(self.groups.get_or_init(|| groups))
    }

    /// How many states are wanted, `M`.
    pub fn wanted(&self) -> i64 {
        self.wanted
            .as_ref()
            .map_or_else(|| self.tokens(), |wanted| wanted.len() as i64)
    }

    /// The wanted tokens as int64 `[M]`, where not all are.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn wanted_m(&self) -> Result<Option<&Tensor>> {
        let Some(wanted) = &self.wanted else {
            return Ok(None);
        };
        if let Some(wanted_m) = self.wanted_m.get() {
            return Ok(Some(wanted_m));
        }
        let wanted_m = Tensor::f_from_slice(wanted)?.f_to_device(self.device())?;
        Ok(Some(self.wanted_m.get_or_init(|| wanted_m)))
    }

    /// Whether exactly the last token of every sequence is wanted, as in prediction.
    pub fn wants_last_tokens(&self) -> bool {
        let Some(wanted) = &self.wanted else {
            return self.longest == 1;
        };
        let mut end = 0;
        wanted.len() == self.lengths.len()
            && wanted.iter().zip(&self.lengths).all(|(&token, &length)| {
                end += length;
                token == end - 1
            })
    }

    /// The rows of the wanted tokens: `[N, S]` to `[M, S]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn select_wanted(&self, x_ns: &Tensor) -> Result<Tensor> {
        match self.wanted_m()? {
            Some(wanted_m) => gather_rows(x_ns, wanted_m),
            None => Ok(x_ns.shallow_clone()),
        }
    }

    /// For each wanted token, the rows of the `width` tokens of its sequence that end with it, oldest first: `[N, S]`
    /// to `[M, width, S]`. Places before the start of the sequence are zero.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn wanted_windows(&self, x_ns: &Tensor, width: i64) -> Result<Tensor> {
        let padding = self.tokens();
        let places = self.wanted_places();
        let rows: Vec<i64> = places
            .iter()
            .flat_map(|&Place { token, start, .. }| {
                (token - width + 1..=token).map(move |row| if row < start { padding } else { row })
            })
            .collect();
        let rows = Tensor::f_from_slice(&rows)?.f_to_device(self.device())?;
        // One row of zeros after the last token.
        let x = x_ns.f_constant_pad_nd([0, 0, 0, 1])?;
        let shape = [places.len() as i64, width, x_ns.size2()?.1];
        Ok(x.f_index_select(0, &rows)?.f_view(shape)?)
    }

    /// The sequence of each wanted token, int64 `[M]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn wanted_sequences(&self) -> Result<Tensor> {
        let places = self.wanted_places();
        let sequences: Vec<i64> = places.iter().map(|place| place.sequence).collect();
        Ok(Tensor::f_from_slice(&sequences)?.f_to_device(self.device())?)
    }

    /// The user of each wanted token, int64 `[M]`.
    ///
    /// # Errors
    /// The batch has no user numbers, because the backbone's capabilities do not ask for them.
    pub fn wanted_users(&self) -> Result<Tensor> {
        let users_b = self.users_b.as_ref().ok_or_else(|| {
            Error::Batch("it has no user numbers; set `wants_users` in the capabilities".to_owned())
        })?;
        let users_b = users_b.f_to_kind(Kind::Int64)?;
        Ok(users_b.f_index_select(0, &self.wanted_sequences()?)?)
    }

    /// The wanted tokens, in order.
    fn wanted_places(&self) -> Vec<Place> {
        let mut all = Vec::with_capacity(self.tokens() as usize);
        let mut start = 0;
        for (sequence, &length) in (0..).zip(&self.lengths) {
            all.extend((start..start + length).map(|token| Place {
                token,
                start,
                sequence,
            }));
            start += length;
        }
        match &self.wanted {
            Some(wanted) => wanted.iter().map(|&token| all[token as usize]).collect(),
            None => all,
        }
    }
}

/// A token of a batch.
#[derive(Clone, Copy)]
struct Place {
    token: i64,
    /// The first token of its sequence.
    start: i64,
    sequence: i64,
}

/// Rows of `x` by number, int64 of any shape: `[R, S]` to `[.., S]`. An embedding look-up: its
/// gradient is several times as fast as that of an index.
///
/// # Errors
/// What libtorch refuses.
pub fn gather_rows(x: &Tensor, rows: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_embedding(x, rows, -1, false, false)?)
}

/// Which places of sequences padded to `longest` hold a token, bool `[sequences, longest]`.
pub(crate) fn valid_places(lengths: &[i64], longest: i64, device: Device) -> Result<Tensor> {
    let columns = Tensor::f_arange(longest, (Kind::Int64, device))?.f_unsqueeze(0)?;
    let lengths = Tensor::f_from_slice(lengths)?
        .f_to_device(device)?
        .f_unsqueeze(1)?;
    Ok(columns.f_lt_tensor(&lengths)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lengths: &[i64], wanted: Option<&[i64]>) -> Result<SequenceBatch> {
        let tokens: i64 = lengths.iter().sum();
        let items = Tensor::arange(tokens * 2, (Kind::Float, Device::Cpu)).view([tokens, 2]);
        let positions: Vec<i64> = lengths.iter().flat_map(|&length| 0..length).collect();
        let (positions, wanted) = (Tensor::from_slice(&positions), wanted.map(<[i64]>::to_vec));
        SequenceBatch::new(items, positions, lengths.to_vec(), None, wanted)
    }

    #[test]
    fn windows_end_with_the_wanted_token_and_stay_in_its_sequence() {
        let batch = batch(&[3, 2], Some(&[0, 2, 4])).unwrap();
        let numbers = Tensor::arange_start(1, 6, (Kind::Float, Device::Cpu)).view([5, 1]);
        let windows = batch.wanted_windows(&numbers, 3).unwrap();
        assert_eq!(windows.size(), [3, 3, 1]);
        let windows: Vec<f32> = Vec::try_from(windows.view([-1])).unwrap();
        assert_eq!(windows, [0., 0., 1., 1., 2., 3., 0., 4., 5.]);
        let sequences = batch.wanted_sequences().unwrap();
        assert_eq!(Vec::<i64>::try_from(sequences).unwrap(), [0, 0, 1]);
        assert!(matches!(batch.wanted_users(), Err(Error::Batch(_))));
    }

    #[test]
    fn last_tokens_are_recognised() {
        assert!(batch(&[3, 2], Some(&[2, 4])).unwrap().wants_last_tokens());
        assert!(batch(&[1, 1], None).unwrap().wants_last_tokens());
        for wanted in [Some(&[1, 4][..]), Some(&[4]), None] {
            assert!(!batch(&[3, 2], wanted).unwrap().wants_last_tokens());
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let tensor = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        for (items, positions, lengths) in [
            (4, 3, vec![3]),
            (3, 4, vec![3]),
            (3, 3, vec![3, 0]),
            (3, 3, vec![2, 2]),
        ] {
            let result = SequenceBatch::new(
                tensor(&[items, 2]),
                tensor(&[positions]),
                lengths,
                None,
                None,
            );
            assert!(matches!(result, Err(Error::Batch(_))));
        }
        for wanted in [&[1, 1][..], &[2, 1], &[-1], &[5]] {
            assert!(matches!(batch(&[3, 2], Some(wanted)), Err(Error::Batch(_))));
        }
    }
}
