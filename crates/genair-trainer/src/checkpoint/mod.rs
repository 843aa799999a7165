//! Weights on disk: safetensors files with this project's names, written and read, and the
//! published code's, read.
//!
//! A file fits a model or it does not: a tensor that is missing, left over or of another shape is
//! an error that names it, and a model never gets half of a file. A checkpoint holds weights, to
//! evaluate or to start from; what it takes to go on training is in a resume checkpoint (`resume.rs`).
//! Item vectors that are not trained are not in it: it names them by their digest, and a model with
//! other ones is refused.

mod reference;
pub(crate) mod resume;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use genair_files::regular_file::{self, MAX_VECTORS};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::RunErrorKind;
use crate::error::io;
use crate::parameters::Parameters;

/// Value of `format` in the metadata of the files written here.
const FORMAT: &str = "genair-checkpoint-1";
/// The one key of that metadata: a JSON object.
const METADATA: &str = "genair";
/// Where that object names the item vectors that were not trained.
const FROZEN: &str = "item_vectors_sha256";

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
    #[error("it was trained on {}, the model has {}", described(.theirs), described(.ours))]
    Frozen {
        theirs: Option<String>,
        ours: Option<String>,
    },
    #[error(
        "its tensor `{name}` holds other item vectors than the run's; are rows and ids shifted?"
    )]
    OtherVectors { name: String },
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

fn described(sha256: &Option<String>) -> String {
    match sha256 {
        Some(sha256) => format!("frozen item vectors {sha256}"),
        None => "no frozen item vectors".to_owned(),
    }
}

/// Writes the parameters under their names, with `metadata`; the file appears whole or not at all.
pub(crate) fn save(
    parameters: &Parameters,
    path: &Path,
    mut metadata: HashMap<String, String>,
) -> Result<(), RunErrorKind> {
    metadata.insert("format".to_owned(), FORMAT.to_owned());
    if let Some(frozen) = parameters.frozen() {
        metadata.insert(FROZEN.to_owned(), frozen.sha256.clone());
    }
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
    genair_files::write(path, file).map_err(io(path))
}

/// Puts a file's weights into the parameters: every one, or none and an error.
///
/// A file is this project's if its metadata say so. Otherwise its names are those of the published
/// GenAIR code (SASRec, BERT4Rec, GRU4Rec) or of RecBole and the original Caser. Where names start
/// with `w.`, those are the weights and the file's other tensors are not looked at. Of a reference's
/// tensors, these rows have no counterpart and are left out: row 0 (padding) of position and user
/// tables, position rows beyond the window, and the row after the last item of an item table,
/// unless the model has a mask token, whose vector it then is. Vectors that the published code
/// keeps frozen must be the run's own.
pub(crate) fn load(path: &Path, parameters: &mut Parameters) -> Result<(), RunErrorKind> {
    let misfit = |misfit: Misfit| broken(path, misfit.to_string());
    let bytes = regular_file::read(path, MAX_VECTORS).map_err(io(path))?;
    let file = read(path, &bytes)?;
    let values = match file.metadata {
        Some(metadata) => {
            let metadata: BTreeMap<String, String> = serde_json::from_str(&metadata)
                .map_err(|error| broken(path, format!("its metadata are broken: {error}")))?;
            let theirs = metadata.get(FROZEN).cloned();
            let ours = parameters.frozen().map(|frozen| frozen.sha256.clone());
            if theirs == ours {
                arrange(file.tensors, parameters)
            } else {
                Err(Misfit::Frozen { theirs, ours })
            }
        }
        None => arrange_reference(file.tensors, parameters),
    };
    Ok(parameters.restore(&values.map_err(misfit)?)?)
}

/// Orders the tensors of a reference's file like the parameters; see [`load`].
pub(crate) fn arrange_reference(
    mut found: Vec<(String, Tensor)>,
    parameters: &Parameters,
) -> Result<Vec<Tensor>, Misfit> {
    if found.iter().any(|(name, _)| name.starts_with("w.")) {
        found.retain(|(name, _)| name.starts_with("w."));
        for (name, _) in &mut found {
            name.drain(.."w.".len());
        }
    }
    check_kinds(&found)?;
    arrange(reference::translate(found, parameters)?, parameters)
}

fn check_kinds(found: &[(String, Tensor)]) -> Result<(), Misfit> {
    let other = |(_, tensor): &&(String, Tensor)| tensor.kind() != Kind::Float;
    match found.iter().find(other) {
        None => Ok(()),
        Some((name, tensor)) => Err(Misfit::Kind {
            name: name.clone(),
            kind: format!("{:?}", tensor.kind()),
        }),
    }
}

/// Orders tensors under this project's names like the parameters.
fn arrange(
    mut found: Vec<(String, Tensor)>,
    parameters: &Parameters,
) -> Result<Vec<Tensor>, Misfit> {
    check_kinds(&found)?;
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

/// What a file holds.
struct Weights {
    /// On the CPU, in the order of their names.
    tensors: Vec<(String, Tensor)>,
    /// The JSON that this project puts there; absent in a file of someone else.
    metadata: Option<String>,
}

/// The contents of the file that is at `path`.
fn read(path: &Path, bytes: &[u8]) -> Result<Weights, RunErrorKind> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| broken(path, format!("it is no safetensors file: {error}")))?;
    let (_, metadata) = SafeTensors::read_metadata(bytes)
        .map_err(|error| broken(path, format!("its header is broken: {error}")))?;
    let metadata = metadata.metadata().as_ref();
    let metadata = metadata.and_then(|metadata| metadata.get(METADATA).cloned());
    let mut tensors = file.tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let tensors = tensors
        .into_iter()
        .map(|(name, view)| {
            let kind = match view.dtype() {
                Dtype::F32 => Kind::Float,
                Dtype::F64 => Kind::Double,
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                Dtype::I64 => Kind::Int64,
                Dtype::I32 => Kind::Int,
                Dtype::U8 => Kind::Uint8,
                other => {
                    let kind = format!("{other:?}");
                    return Err(broken(path, Misfit::Kind { name, kind }.to_string()));
                }
            };
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            Ok((name, Tensor::f_from_data_size(view.data(), &shape, kind)?))
        })
        .collect::<Result<_, RunErrorKind>>()?;
    Ok(Weights { tensors, metadata })
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
        let values = arrange_reference(found, &parameters(1, OURS)).unwrap();
        let numbers = |tensor: &Tensor| Vec::<f32>::try_from(tensor.reshape([-1])).unwrap();
        assert_eq!(
            numbers(&values[0]),
            (0..10).map(|n| n as f32).collect::<Vec<_>>()
        );
        assert_eq!(numbers(&values[1]), [10.0, 11.0]);
        assert_eq!(numbers(&values[2]), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }

    /// The published code inserts its spare row before the last item instead of after it.
    #[test]
    fn frozen_vectors_must_be_the_runs_row_by_row() {
        let theirs = |rows: [i64; 4]| {
            let rows = Tensor::from_slice(&rows).to_kind(Kind::Float).view([4, 1]);
            vec![("item_emb.weight".to_owned(), rows)]
        };
        let mut model = parameters(1, &[]);
        let ours = Tensor::from_slice(&[0.0f32, 1.0, 2.0]).view([3, 1]);
        let _ = model.freeze("items.vectors", &ours, "digest".to_owned());
        assert!(
            arrange_reference(theirs([0, 1, 2, 0]), &model)
                .unwrap()
                .is_empty()
        );
        let error = arrange_reference(theirs([0, 1, 0, 2]), &model).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("`item_emb.weight` holds other item vectors"),
            "{error}"
        );
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
            let error = arrange_reference(reference(shapes), &model);
            let error = error.unwrap_err().to_string();
            assert_eq!(error, expected);
        }
        let half = vec![(
            "item_emb.weight".to_owned(),
            Tensor::zeros([6, 2], (Kind::Half, Device::Cpu)),
        )];
        let error = arrange_reference(half, &model).unwrap_err().to_string();
        assert!(error.contains("holds Half numbers"), "{error}");
    }
}
