//! The names and layouts of other people's weights.
//!
//! PyTorch `state_dict` names of the published GenAIR code, of RecBole's Caser and of the original
//! Caser, as in `tests/fixtures/README.md`.

use tch::{Device, Tensor};

use super::Misfit;
use crate::parameters::Parameters;

/// Which rows of a reference's tensor are this project's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    All,
    /// Row 0 is padding, rows 1 to I are items; one more row may follow: the mask token or nothing.
    Items,
    /// Row 0 is padding, which has no row here.
    AfterPadding,
    /// Row 0 is padding, which has no row here; rows beyond the window are never used.
    Positions,
}

/// Reference names, this project's names, and the rows to take; `#` is a number, kept or one more, and `*` stands for
/// `weight` or `bias`.
const NAMES: &[(&str, &str, Rows)] = &[
    ("item_emb.weight", "items.table", Rows::Items),
    // Where the published code's item vectors are frozen.
    ("item_emb.weight", "items.vectors", Rows::Items),
    ("adapter.#.*", "adapter.#.*", Rows::All),
    ("mask_embedding", "items.mask", Rows::All),
    ("pos_emb.weight", "backbone.positions", Rows::Positions),
    (
        "backbone.attention_layernorms.#.*",
        "backbone.blocks.#.attention_norm.*",
        Rows::All,
    ),
    (
        "backbone.attention_layers.#.in_proj_*",
        "backbone.blocks.#.attention.in_*",
        Rows::All,
    ),
    (
        "backbone.attention_layers.#.out_proj.*",
        "backbone.blocks.#.attention.out_*",
        Rows::All,
    ),
    (
        "backbone.forward_layernorms.#.*",
        "backbone.blocks.#.feed_forward_norm.*",
        Rows::All,
    ),
    (
        "backbone.forward_layers.#.conv1.*",
        "backbone.blocks.#.expand.*",
        Rows::All,
    ),
    (
        "backbone.forward_layers.#.conv2.*",
        "backbone.blocks.#.contract.*",
        Rows::All,
    ),
    ("backbone.last_layernorm.*", "backbone.norm.*", Rows::All),
    (
        "backbone.gru.weight_ih_l#",
        "backbone.layers.#.input_weight",
        Rows::All,
    ),
    (
        "backbone.gru.weight_hh_l#",
        "backbone.layers.#.hidden_weight",
        Rows::All,
    ),
    ("item_embedding.weight", "items.table", Rows::Items),
    (
        "user_embedding.weight",
        "backbone.users",
        Rows::AfterPadding,
    ),
    ("conv_v.*", "backbone.vertical.*", Rows::All),
    ("conv_h.#.*", "backbone.horizontal.#+1.*", Rows::All),
    ("fc1.*", "backbone.compress.*", Rows::All),
    ("fc2.*", "backbone.join.*", Rows::All),
    ("W2.weight", "outputs.table", Rows::All),
    ("b2.weight", "outputs.bias", Rows::All),
];

/// A reference's tensors under this project's names, with this project's rows and shapes.
///
/// Frozen item vectors are compared with the model's and left out.
///
/// # Errors
/// [`Misfit::LeftOver`], [`Misfit::Shape`] and [`Misfit::OtherVectors`], by the reference's names.
pub(super) fn translate(
    found: Vec<(String, Tensor)>,
    parameters: &Parameters,
) -> Result<Vec<(String, Tensor)>, Misfit> {
    let frozen = |name: &str| parameters.frozen().filter(|frozen| frozen.name == name);
    let shape_of = |name: &str| {
        let named = parameters.named().iter().find(|(ours, _)| ours == name);
        let trained = named.map(|(_, tensor)| tensor.size());
        trained.or_else(|| frozen(name).map(|frozen| frozen.tensor.size()))
    };
    let mut translated = Vec::with_capacity(found.len() + 1);
    for (name, tensor) in found {
        let target = NAMES.iter().find_map(|&(theirs, ours, rows)| {
            let ours = counterpart(&name, theirs, ours)?;
            Some((shape_of(&ours)?, ours, rows))
        });
        let Some((expected, ours, rows)) = target else {
            return Err(Misfit::LeftOver {
                name,
                shape: tensor.size(),
            });
        };
        let Some(taken) = take_rows(&tensor, rows, &expected)? else {
            return Err(Misfit::Shape {
                name,
                shape: tensor.size(),
                ours,
                expected,
            });
        };
        if let Some(frozen) = frozen(&ours) {
            if !taken.f_equal(&frozen.tensor.f_to_device(Device::Cpu)?)? {
                return Err(Misfit::OtherVectors { name });
            }
            continue;
        }
        let last = expected[0];
        if ours == "items.table" && tensor.size()[0] > last && shape_of("items.mask").is_some() {
            translated.push(("items.mask".to_owned(), tensor.f_narrow(0, last, 1)?));
        }
        translated.push((ours, taken));
    }
    Ok(translated)
}

/// This project's name for `name`, where `name` is of the form `theirs`.
fn counterpart(name: &str, theirs: &str, ours: &str) -> Option<String> {
    if theirs.ends_with('*') {
        let kind = |kind| counterpart(name, &theirs.replace('*', kind), &ours.replace('*', kind));
        return ["weight", "bias"].into_iter().find_map(kind);
    }
    let Some((before, after)) = theirs.split_once('#') else {
        return (name == theirs).then(|| ours.to_owned());
    };
    let number: u16 = name
        .strip_prefix(before)?
        .strip_suffix(after)?
        .parse()
        .ok()?;
    let next = (u32::from(number) + 1).to_string();
    Some(ours.replace("#+1", &next).replace('#', &number.to_string()))
}

/// The rows that belong here, in the `expected` shape; `None` where they do not fit.
fn take_rows(
    tensor: &Tensor,
    rows: Rows,
    expected: &[i64],
) -> Result<Option<Tensor>, tch::TchError> {
    let (Some(&theirs), Some(&ours)) = (tensor.size().first(), expected.first()) else {
        return Ok(None);
    };
    let (first, fits) = match rows {
        Rows::All => (0, true),
        Rows::Items => (0, theirs == ours || theirs == ours + 1),
        Rows::AfterPadding => (1, theirs == ours + 1),
        Rows::Positions => (1, theirs > ours),
    };
    if !fits {
        return Ok(None);
    }
    let taken = match rows {
        Rows::All => tensor.shallow_clone(),
        _ => tensor.f_narrow(0, first, ours)?,
    };
    // Kernel-1 convolutions are linear maps, and the like: sides of length 1 do not count.
    if beyond_ones(&taken.size()) != beyond_ones(expected) {
        return Ok(None);
    }
    Ok(Some(taken.f_reshape(expected)?))
}

fn beyond_ones(shape: &[i64]) -> Vec<i64> {
    shape.iter().copied().filter(|&side| side != 1).collect()
}
