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

/// Reference names, this project's names, and the rows to take; `#` is a number, kept or one more.
const NAMES: &[(&str, &str, Rows)] = &[
    ("item_emb.weight", "items.table", Rows::Items),
    // Where the published code's item vectors are frozen.
    ("item_emb.weight", "items.vectors", Rows::Items),
    ("adapter.#.weight", "adapter.#.weight", Rows::All),
    ("adapter.#.bias", "adapter.#.bias", Rows::All),
    ("mask_embedding", "items.mask", Rows::All),
    ("pos_emb.weight", "backbone.positions", Rows::Positions),
    (
        "backbone.attention_layernorms.#.weight",
        "backbone.blocks.#.attention_norm.weight",
        Rows::All,
    ),
    (
        "backbone.attention_layernorms.#.bias",
        "backbone.blocks.#.attention_norm.bias",
        Rows::All,
    ),
    (
        "backbone.attention_layers.#.in_proj_weight",
        "backbone.blocks.#.attention.in_weight",
        Rows::All,
    ),
    (
        "backbone.attention_layers.#.in_proj_bias",
        "backbone.blocks.#.attention.in_bias",
        Rows::All,
    ),
    (
        "backbone.attention_layers.#.out_proj.weight",
        "backbone.blocks.#.attention.out_weight",
        Rows::All,
    ),
    (
        "backbone.attention_layers.#.out_proj.bias",
        "backbone.blocks.#.attention.out_bias",
        Rows::All,
    ),
    (
        "backbone.forward_layernorms.#.weight",
        "backbone.blocks.#.feed_forward_norm.weight",
        Rows::All,
    ),
    (
        "backbone.forward_layernorms.#.bias",
        "backbone.blocks.#.feed_forward_norm.bias",
        Rows::All,
    ),
    (
        "backbone.forward_layers.#.conv1.weight",
        "backbone.blocks.#.expand.weight",
        Rows::All,
    ),
    (
        "backbone.forward_layers.#.conv1.bias",
        "backbone.blocks.#.expand.bias",
        Rows::All,
    ),
    (
        "backbone.forward_layers.#.conv2.weight",
        "backbone.blocks.#.contract.weight",
        Rows::All,
    ),
    (
        "backbone.forward_layers.#.conv2.bias",
        "backbone.blocks.#.contract.bias",
        Rows::All,
    ),
    (
        "backbone.last_layernorm.weight",
        "backbone.norm.weight",
        Rows::All,
    ),
    (
        "backbone.last_layernorm.bias",
        "backbone.norm.bias",
        Rows::All,
    ),
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
    ("conv_v.weight", "backbone.vertical.weight", Rows::All),
    ("conv_v.bias", "backbone.vertical.bias", Rows::All),
    (
        "conv_h.#.weight",
        "backbone.horizontal.#+1.weight",
        Rows::All,
    ),
    ("conv_h.#.bias", "backbone.horizontal.#+1.bias", Rows::All),
    ("fc1.weight", "backbone.compress.weight", Rows::All),
    ("fc1.bias", "backbone.compress.bias", Rows::All),
    ("fc2.weight", "backbone.join.weight", Rows::All),
    ("fc2.bias", "backbone.join.bias", Rows::All),
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
