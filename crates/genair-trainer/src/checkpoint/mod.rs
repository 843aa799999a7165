//! Weights on disk: safetensors files with this project's names, written and read, and the
//! published code's, read.
//!
//! A file fits a model or it does not: a tensor that is missing, left over or of another shape is
//! an error that names it, and a model never gets half of a file. Knows nothing of optimisers: a
//! checkpoint holds weights, to evaluate or to start from.

mod reference;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::RunErrorKind;
use crate::parameters::Parameters;

/// Value of `format` in the metadata of the files written here.
const FORMAT: &str = "genair-checkpoint-1";
/// The one key of that metadata: a JSON object.
const METADATA: &str = "genair";

/// Why a file's tensors are not a model's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misfit {
    #[error("it has no tensor for `{name}` {shape:?}, which the model needs")]
    Missing { name: String, shape: Vec<i64> },
    #[error("its tensor `{name}` {shape:?} has no place in the model")]
    LeftOver { name: String, shape: Vec<i64> },
    #[error("its tensor `{name}` {shape:?} does not fit the model's `{ours}` {expected:?}")]
    Shape {
        name: String,
        shape: Vec<i64>,
        ours: String,
        expected: Vec<i64>,
    },
    #[error("its tensor `{name}` holds {kind} numbers; weights are read as F32 only")]
    Kind { name: String, kind: String },
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

/// Writes the parameters under their names, with `metadata`; the file appears whole or not at all.
pub(crate) fn save(
    parameters: &Parameters,
    path: &Path,
    mut metadata: HashMap<String, String>,
) -> Result<(), RunErrorKind> {
    metadata.insert("format".to_owned(), FORMAT.to_owned());
    // A single entry: several would be written in a different order each time, and the file's
    // SHA-256 must depend on nothing but the run.
    let metadata: BTreeMap<String, String> = metadata.into_iter().collect();
    let metadata = HashMap::from([(METADATA.to_owned(), serde_json::json!(metadata).to_string())]);
    let bytes: Vec<(&str, Vec<u8>, Vec<usize>)> = parameters
        .named()
        .iter()
        .map(|(name, tensor)| {
            let values =
                Vec::<f32>::try_from(tensor.f_detach()?.f_to_device(Device::Cpu)?.f_view([-1])?)?;
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            let shape = tensor.size().iter().map(|&side| side as usize).collect();
            Ok((name.as_str(), bytes, shape))
        })
        .collect::<Result<_, tch::TchError>>()?;
    let broken = |error: safetensors::SafeTensorError| broken(path, error.to_string());
    let views = bytes
        .iter()
        .map(|(name, bytes, shape)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            Ok((*name, view.map_err(broken)?))
        })
        .collect::<Result<Vec<_>, RunErrorKind>>()?;
    let file = safetensors::serialize(views, Some(metadata)).map_err(broken)?;
    let failed = |source| RunErrorKind::Io {
        path: path.to_owned(),
        source,
    };
    let partial = path.with_extension("partial");
    std::fs::write(&partial, file).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}

/// Puts a file's weights into the parameters: every one, or none and an error.
///
/// A file is this project's if it has an `items.table`. Otherwise its names are those of the
/// published GenAIR code (SASRec, BERT4Rec, GRU4Rec) or of RecBole and the original Caser. Where
/// names start with `w.`, those are the weights and the file's other tensors are not looked at.
/// Of a reference's tensors, these rows have no counterpart and are left out: row 0 (padding) of
/// position and user tables, position rows beyond the window, and the row after the last item of an
/// item table, unless the model has a mask token, whose vector it then is.
pub(crate) fn load(path: &Path, parameters: &mut Parameters) -> Result<(), RunErrorKind> {
    let misfit = |misfit: Misfit| broken(path, misfit.to_string());
    let found = read(path)?;
    let values = arrange(found, parameters).map_err(misfit)?;
    Ok(parameters.restore(&values)?)
}

/// Orders a file's tensors like the parameters; see [`load`].
pub(crate) fn arrange(
    mut found: Vec<(String, Tensor)>,
    parameters: &Parameters,
) -> Result<Vec<Tensor>, Misfit> {
    if found.iter().any(|(name, _)| name.starts_with("w.")) {
        found.retain(|(name, _)| name.starts_with("w."));
        for (name, _) in &mut found {
            name.drain(.."w.".len());
        }
    }
    if let Some((name, tensor)) = found
        .iter()
        .find(|(_, tensor)| tensor.kind() != Kind::Float)
    {
        let kind = format!("{:?}", tensor.kind());
        return Err(Misfit::Kind {
            name: name.clone(),
            kind,
        });
    }
    if !found.iter().any(|(name, _)| name == "items.table") {
        found = reference::translate(found, parameters.named())?;
    }
    let values = parameters
        .named()
        .iter()
        .map(|(name, tensor)| {
            let place = found.iter().position(|(theirs, _)| theirs == name);
            let shape = tensor.size();
            match place.map(|place| found.swap_remove(place).1) {
                None => Err(Misfit::Missing {
                    name: name.clone(),
                    shape,
                }),
                Some(value) if value.size() != shape => Err(Misfit::Shape {
                    name: name.clone(),
                    shape: value.size(),
                    ours: name.clone(),
                    expected: shape,
                }),
                Some(value) => Ok(value),
            }
        })
        .collect::<Result<_, Misfit>>()?;
    match found.into_iter().next() {
        Some((name, tensor)) => Err(Misfit::LeftOver {
            name,
            shape: tensor.size(),
        }),
        None => Ok(values),
    }
}

/// Every tensor of a file, on the CPU, in the order of their names.
fn read(path: &Path) -> Result<Vec<(String, Tensor)>, RunErrorKind> {
    let failed = |source| RunErrorKind::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::read(path).map_err(failed)?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| broken(path, format!("it is no safetensors file: {error}")))?;
    let mut tensors = file.tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    tensors
        .into_iter()
        .map(|(name, view)| {
            let kind = match view.dtype() {
                Dtype::F32 => Kind::Float,
                Dtype::F64 => Kind::Double,
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                Dtype::I64 => Kind::Int64,
                Dtype::I32 => Kind::Int,
                other => {
                    let kind = format!("{other:?}");
                    return Err(broken(path, Misfit::Kind { name, kind }.to_string()));
                }
            };
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            Ok((name, Tensor::f_from_data_size(view.data(), &shape, kind)?))
        })
        .collect()
}

fn broken(path: &Path, reason: String) -> RunErrorKind {
    RunErrorKind::Checkpoint {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use genair_abi::InitKind;
    use genair_protocol::Initialisation;

    use super::*;
    use crate::parameters::Start;
    use crate::random::Streams;

    fn parameters(seed: u64, shapes: &[(&str, &[i64])]) -> Parameters {
        let mut parameters = Parameters::new(
            Initialisation::XavierNormal,
            Streams::new(seed),
            Device::Cpu,
        );
        for (name, shape) in shapes {
            let start = Start {
                kind: InitKind::Normal,
                value: 1.0,
            };
            let _ = parameters.create(name, shape, start).unwrap();
        }
        parameters
    }

    const OURS: &[(&str, &[i64])] = &[
        ("items.table", &[5, 2]),
        ("items.mask", &[1, 2]),
        ("backbone.positions", &[3, 2]),
    ];

    #[test]
    fn a_checkpoint_comes_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let one = parameters(1, OURS);
        save(
            &one,
            &path,
            HashMap::from([("seed".to_owned(), "1".to_owned())]),
        )
        .unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut other = parameters(2, OURS);
        load(&path, &mut other).unwrap();
        assert_eq!(one.named(), other.named());
    }

    #[test]
    fn a_misfit_is_named_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        save(&parameters(1, OURS), &path, HashMap::new()).unwrap();
        for (shapes, expected) in [
            (
                &[OURS[0], OURS[1], ("backbone.positions", &[4, 2])][..],
                "its tensor `backbone.positions` [3, 2] does not fit the model's `backbone.positions` [4, 2]",
            ),
            (
                &OURS[..2],
                "its tensor `backbone.positions` [3, 2] has no place in the model",
            ),
            (
                &[OURS[0], OURS[1], OURS[2], ("backbone.norm", &[2])],
                "it has no tensor for `backbone.norm` [2], which the model needs",
            ),
        ] {
            let mut model = parameters(2, shapes);
            let before = model.snapshot().unwrap();
            let error = load(&path, &mut model).unwrap_err().to_string();
            assert_eq!(error, format!("checkpoint {}: {expected}", path.display()));
            assert_eq!(model.snapshot().unwrap(), before);
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let mut model = parameters(1, OURS);
        assert!(matches!(
            load(&path, &mut model),
            Err(RunErrorKind::Io { .. })
        ));
        std::fs::write(&path, "not a checkpoint").unwrap();
        let error = load(&path, &mut model).unwrap_err().to_string();
        assert!(error.contains("no safetensors file"), "{error}");
    }

    fn reference(shapes: &[(&str, &[i64])]) -> Vec<(String, Tensor)> {
        let filled = |shape: &[i64]| {
            let elements: i64 = shape.iter().product();
            Tensor::arange(elements, (Kind::Float, Device::Cpu)).view(shape)
        };
        shapes
            .iter()
            .map(|(name, shape)| ((*name).to_owned(), filled(shape)))
            .collect()
    }

    #[test]
    fn reference_rows_go_where_they_belong() {
        let found = reference(&[
            ("w.item_emb.weight", &[6, 2]),
            ("w.pos_emb.weight", &[9, 2]),
            ("out", &[1]),
        ]);
        let values = arrange(found, &parameters(1, OURS)).unwrap();
        let numbers = |tensor: &Tensor| Vec::<f32>::try_from(tensor.reshape([-1])).unwrap();
        assert_eq!(
            numbers(&values[0]),
            (0..10).map(|n| n as f32).collect::<Vec<_>>()
        );
        assert_eq!(numbers(&values[1]), [10.0, 11.0]);
        assert_eq!(numbers(&values[2]), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }

    #[test]
    fn reference_misfits_are_named_as_the_file_names_them() {
        let model = parameters(1, OURS);
        for (shapes, expected) in [
            (
                &[
                    ("item_emb.weight", &[8i64, 2][..]),
                    ("pos_emb.weight", &[9, 2]),
                ][..],
                "its tensor `item_emb.weight` [8, 2] does not fit the model's `items.table` [5, 2]",
            ),
            (
                &[("item_emb.weight", &[6, 2]), ("pos_emb.weight", &[3, 2])],
                "its tensor `pos_emb.weight` [3, 2] does not fit the model's `backbone.positions` [3, 2]",
            ),
            (
                &[
                    ("item_emb.weight", &[6, 2]),
                    ("pos_emb.weight", &[9, 2]),
                    ("fc1.bias", &[2]),
                ],
                "its tensor `fc1.bias` [2] has no place in the model",
            ),
            (
                &[("item_emb.weight", &[5, 2]), ("pos_emb.weight", &[9, 2])],
                "it has no tensor for `items.mask` [1, 2], which the model needs",
            ),
        ] {
            let error = arrange(reference(shapes), &model).unwrap_err().to_string();
            assert_eq!(error, expected);
        }
        let half = vec![(
            "item_emb.weight".to_owned(),
            Tensor::zeros([6, 2], (Kind::Half, Device::Cpu)),
        )];
        let error = arrange(half, &model).unwrap_err().to_string();
        assert!(error.contains("holds Half numbers"), "{error}");
    }
}
