//! A batch of sequences, packed, and the way to padded form and back.

use std::cell::OnceCell;

use genair_abi::Batch;
use tch::{Device, Kind, Tensor};

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
    /// Tokens whose states are wanted, ascending int64 `[M]`; all of them where absent.
    wanted_m: Option<Tensor>,
    lengths: Vec<i64>,
    longest: i64,
    /// Where each token stands in the padded `[B * L]` grid, int64 `[N]`.
    slots_n: OnceCell<Tensor>,
}

impl SequenceBatch {
    /// A batch of sequences with the given numbers of tokens.
    ///
    /// # Errors
    /// [`Error::Batch`] where shapes and lengths contradict each other.
    pub fn new(
        items_nd: Tensor,
        positions_n: Tensor,
        lengths: Vec<i64>,
        users_b: Option<Tensor>,
        wanted_m: Option<Tensor>,
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
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let slots_n = OnceCell::new();
        Ok(Self {
            items_nd,
            positions_n,
            users_b,
            wanted_m,
            lengths,
            longest,
            slots_n,
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
        Self::new(
            shared(batch.items).ok_or_else(|| missing("item vectors"))?,
            shared(batch.positions).ok_or_else(|| missing("positions"))?,
            lengths.to_vec(),
            shared(batch.users),
            shared(batch.wanted),
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

    /// `[N, D]` to `[B, L, D]`: each sequence starts at column 0, zeros follow its last token.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn pad(&self, x_nd: &Tensor) -> Result<Tensor> {
        let (slots, width) = (self.sequences() * self.longest, x_nd.size()[1]);
        let shape = [self.sequences(), self.longest, width];
        if slots == self.tokens() {
            return Ok(x_nd.f_view(shape)?);
        }
        let grid = Tensor::f_zeros([slots, width], (x_nd.kind(), x_nd.device()))?;
        Ok(grid.f_index_copy(0, self.slots_n()?, x_nd)?.f_view(shape)?)
    }

    /// `[B, L, D]` to `[N, D]`: the inverse of [`Self::pad`]; what stands in padding is dropped.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn unpad(&self, x_bld: &Tensor) -> Result<Tensor> {
        let flat = x_bld.f_reshape([self.sequences() * self.longest, -1])?;
        if flat.size()[0] == self.tokens() {
            return Ok(flat);
        }
        Ok(flat.f_index_select(0, self.slots_n()?)?)
    }

    /// Which places of the padded form hold a token, bool `[B, L]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn valid_bl(&self) -> Result<Tensor> {
        let columns = Tensor::f_arange(self.longest, (Kind::Int64, self.device()))?;
        let lengths = self.lengths_b()?.f_unsqueeze(1)?;
        Ok(columns.f_unsqueeze(0)?.f_lt_tensor(&lengths)?)
    }

    /// Tokens of each sequence as a tensor, int64 `[B]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn lengths_b(&self) -> Result<Tensor> {
        Ok(Tensor::f_from_slice(&self.lengths)?.f_to_device(self.device())?)
    }

    /// The rows of the wanted tokens: `[N, S]` to `[M, S]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn select_wanted(&self, x_ns: &Tensor) -> Result<Tensor> {
        match &self.wanted_m {
            Some(wanted_m) => Ok(x_ns.f_index_select(0, wanted_m)?),
            None => Ok(x_ns.shallow_clone()),
        }
    }

    /// How many states are wanted, `M`.
    pub fn wanted(&self) -> i64 {
        self.wanted_m
            .as_ref()
            .map_or_else(|| self.tokens(), |wanted_m| wanted_m.size()[0])
    }

    /// For each wanted token, the tokens of the window of `width` that ends with it, oldest first,
    /// as row numbers into the packed form, int64 `[M, width]`; `N` stands for places before the
    /// sequence's start. Also the sequence each wanted token belongs to, int64 `[M]`.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn wanted_windows(&self, width: i64) -> Result<(Tensor, Tensor)> {
        let tokens = self.tokens();
        let mut starts = Vec::with_capacity(tokens as usize);
        let mut owners = Vec::with_capacity(tokens as usize);
        let mut start = 0;
        for (sequence, &length) in self.lengths.iter().enumerate() {
            starts.extend(std::iter::repeat_n(start, length as usize));
            owners.extend(std::iter::repeat_n(sequence as i64, length as usize));
            start += length;
        }
        let wanted: Vec<i64> = match &self.wanted_m {
            Some(wanted_m) => Vec::<i64>::try_from(wanted_m)?,
            None => (0..tokens).collect(),
        };
        let mut rows = Vec::with_capacity(wanted.len() * width as usize);
        for &token in &wanted {
            let first = starts[token as usize];
            rows.extend(
                (token - width + 1..=token).map(|row| if row < first { tokens } else { row }),
            );
        }
        let owners: Vec<i64> = wanted.iter().map(|&token| owners[token as usize]).collect();
        let rows = Tensor::f_from_slice(&rows)?.f_view([wanted.len() as i64, width])?;
        let owners = Tensor::f_from_slice(&owners)?;
        Ok((
            rows.f_to_device(self.device())?,
            owners.f_to_device(self.device())?,
        ))
    }

    fn slots_n(&self) -> Result<&Tensor> {
        if let Some(slots) = self.slots_n.get() {
            return Ok(slots);
        }
        let mut slots = Vec::with_capacity(self.tokens() as usize);
        for (sequence, &length) in self.lengths.iter().enumerate() {
            let first = sequence as i64 * self.longest;
            slots.extend(first..first + length);
        }
        let slots = Tensor::f_from_slice(&slots)?.f_to_device(self.device())?;
        Ok(self.slots_n.get_or_init(|| slots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lengths: &[i64], wanted: Option<&[i64]>) -> SequenceBatch {
        let tokens: i64 = lengths.iter().sum();
        let items = Tensor::arange(tokens * 2, (Kind::Float, Device::Cpu)).view([tokens, 2]);
        let positions: Vec<i64> = lengths.iter().flat_map(|&length| 0..length).collect();
        SequenceBatch::new(
            items,
            Tensor::from_slice(&positions),
            lengths.to_vec(),
            None,
            wanted.map(Tensor::from_slice),
        )
        .unwrap()
    }

    #[test]
    fn padding_and_back_is_the_identity() {
        for lengths in [&[3, 1, 2][..], &[2, 2], &[1], &[5, 4, 3, 2, 1]] {
            let batch = batch(lengths, None);
            let padded = batch.pad(&batch.items_nd).unwrap();
            assert_eq!(padded.size(), [batch.sequences(), batch.longest(), 2]);
            assert_eq!(batch.unpad(&padded).unwrap(), batch.items_nd);
            let held = batch.valid_bl().unwrap().unsqueeze(2);
            assert_eq!(padded.where_self(&held, &padded.zeros_like()), padded);
            assert_eq!(
                i64::try_from(held.sum(Kind::Int64)).unwrap(),
                batch.tokens()
            );
        }
    }

    #[test]
    fn windows_end_with_the_wanted_token_and_stay_in_its_sequence() {
        let batch = batch(&[3, 2], Some(&[0, 2, 4]));
        let (rows, owners) = batch.wanted_windows(3).unwrap();
        let rows: Vec<i64> = Vec::try_from(rows.view([-1])).unwrap();
        assert_eq!(rows, [5, 5, 0, 0, 1, 2, 5, 3, 4]);
        assert_eq!(Vec::<i64>::try_from(owners).unwrap(), [0, 0, 1]);
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
    }
}
