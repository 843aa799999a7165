//! Every representation: its gradients, its shapes, and a run of two epochs on every backbone.

use genair_abi::{Padding, TrainsOn};
use genair_data::Dataset;
use genair_protocol::{
    AdapterKind, AdapterSpec, CalibrationOn, CalibrationSpec, DatasetSpec, DeltaSpec, FrozenSpec,
    Fusion, FusionSpec, Initialisation, RepresentationKind, RepresentationSpec, TableInit,
    TrainSpec, VectorSource,
};
use tch::{Device, Kind};

use super::*;
use crate::harness::{ModelUnderTest, built_plugin};
use crate::random::Streams;

/// Items of the catalogue.
const ITEMS: usize = 12;
const COUNTS: ItemCounts = ItemCounts {
    all: ITEMS,
    warm: ITEMS,
};
/// Width of the vectors before the adapter.
const WIDTH: usize = 7;
/// Odd, so that halves differ.
const HIDDEN: i64 = 5;
/// The batch: distinct items, out of order.
const DISTINCT: [i64; 4] = [3, 12, 1, 7];

fn spec(kind: AdapterKind, finetune: bool, fusion: Fusion) -> FrozenSpec {
    FrozenSpec {
        adapter: AdapterSpec {
            kind,
            ..AdapterSpec::default()
        },
        finetune,
        fusion: FusionSpec {
            kind: fusion,
            ..FusionSpec::default()
        },
        ..FrozenSpec::new(VectorSource::Gaussian { width: WIDTH })
    }
}

/// `None` is `id`.
fn variants() -> Vec<Option<FrozenSpec>> {
    use AdapterKind::{Linear, Mlp, MlpLinear};
    vec![
        None,
        Some(spec(Mlp, false, Fusion::None)),
        Some(spec(MlpLinear, false, Fusion::None)),
        Some(spec(Linear, false, Fusion::None)),
        Some(spec(Mlp, true, Fusion::None)),
        Some(spec(Mlp, false, Fusion::Sum)),
        Some(spec(Mlp, true, Fusion::Concat)),
        Some(spec(Mlp, false, Fusion::NullSpace)),
        Some(spec(Linear, false, Fusion::Dual)),
        Some(FrozenSpec {
            delta: Some(DeltaSpec { max_norm: 0.5 }),
            ..spec(Linear, true, Fusion::None)
        }),
    ]
}

fn representation(frozen: Option<FrozenSpec>) -> RepresentationSpec {
    RepresentationSpec {
        name: "random".to_owned(),
        kind: RepresentationKind::Random,
        frozen,
        imputed: None,
        calibration: None,
    }
}

fn capabilities(output: OutputItems) -> Capabilities {
    Capabilities {
        hidden_size: HIDDEN as usize,
        state_size: HIDDEN as usize,
        trains_on: TrainsOn::EveryPosition,
        causal: true,
        wants_users: false,
        predicts_at_mask: true,
        output,
        padding: Padding::Packed,
    }
}

fn dataset() -> Dataset {
    let spec: DatasetSpec = serde_json::from_value(serde_json::json!({
        "kind": "synthetic", "users": 30, "catalogue": 24, "max_len": 6,
    }))
    .unwrap();
    genair_data::load(&spec).unwrap()
}

fn items(frozen: Option<FrozenSpec>, output: OutputItems) -> (ItemVectors, Parameters) {
    let mut parameters =
        Parameters::new(Initialisation::XavierNormal, Streams::new(7), Device::Cpu);
    let frozen = frozen.map(|spec| {
        let mut rows = vec![0.0; (ITEMS + 1) * WIDTH];
        for (place, value) in rows.iter_mut().enumerate().skip(WIDTH) {
            *value = (place as f32 * 0.37).sin();
        }
        FrozenVectors::new(spec, WIDTH, rows, ITEMS).unwrap()
    });
    let created = ItemVectors::create(COUNTS, frozen, &capabilities(output), &mut parameters);
    (created.unwrap(), parameters)
}

fn shape_of(parameters: &Parameters, name: &str) -> Option<Vec<i64>> {
    let named = parameters.named().iter().find(|(theirs, _)| theirs == name);
    named.map(|(_, tensor)| tensor.size())
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// Some smooth function of everything that a batch's items are used for.
fn objective(gathered: &GatheredItems) -> Tensor {
    let weighed = |x: &Tensor| {
        let weights = (Tensor::arange(x.numel() as i64, (Kind::Float, Device::Cpu)) * 0.7).sin();
        (x.tanh() * weights.view_as(x)).sum(Kind::Float)
    };
    let outputs = &gathered.outputs;
    let bias = outputs
        .bias
        .as_ref()
        .map_or(0.0.into(), |bias| weighed(&(bias * 2.0)));
    weighed(&gathered.inputs) + weighed(&(&outputs.vectors * 0.5)) + bias
}

#[test]
fn gradients_are_those_of_finite_differences() {
    const STEP: f64 = 1e-2;
    for (frozen, output) in variants().into_iter().flat_map(|frozen| {
        [OutputItems::Shared, OutputItems::Separate].map(|o| (frozen.clone(), o))
    }) {
        let (items, parameters) = items(frozen.clone(), output);
        let gathered = items.gather(&DISTINCT, None).unwrap();
        let named = parameters.named();
        let inputs: Vec<&Tensor> = named
            .iter()
            .map(|(name, tensor)| gathered.rows_of(name).unwrap_or(tensor))
            .collect();
        let gradients = Tensor::run_backward(&[objective(&gathered)], &inputs, false, false);
        let _guard = tch::no_grad_guard();
        for ((name, tensor), gradient) in named.iter().zip(gradients) {
            let gradient = match gathered.rows_of(name) {
                Some(_) => {
                    let rows = Tensor::from_slice(&DISTINCT);
                    tensor.zeros_like().index_add(0, &rows, &gradient)
                }
                None => gradient,
            };
            let (flat, gradient) = (tensor.view([-1]), gradient.reshape([-1]));
            for element in 0..flat.size()[0] {
                let mut place = flat.get(element);
                let mut at = |offset: f64| {
                    let _ = place.g_add_scalar_(offset);
                    objective(&items.gather(&DISTINCT, None).unwrap()).double_value(&[])
                };
                let (above, below) = (at(STEP), at(-2.0 * STEP));
                let _ = at(STEP);
                let expected = (above - below) / (2.0 * STEP);
                let found = gradient.double_value(&[element]);
                assert!(
                    (found - expected).abs() <= 2e-3 + 1e-2 * expected.abs(),
                    "{frozen:?}, {output:?}: {name}[{element}] has {found}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn a_batch_and_the_catalogue_have_the_same_vectors_mask_included() {
    for frozen in variants() {
        let (items, _) = items(frozen, OutputItems::Shared);
        let _guard = tch::no_grad_guard();
        let all = items.catalogue().unwrap();
        let width = items.views() * HIDDEN;
        assert_eq!(all.inputs.size(), [ITEMS as i64 + 2, width]);
        assert_eq!(all.outputs.vectors.size(), [ITEMS as i64 + 1, width]);
        let in_order: Vec<i64> = (1..=ITEMS as i64).collect();
        for distinct in [&DISTINCT[..], &in_order] {
            let mut rows = distinct.to_vec();
            rows.push(ITEMS as i64 + 1);
            let expected = all.inputs.index_select(0, &Tensor::from_slice(&rows));
            let gathered = items.gather(distinct, None).unwrap();
            assert!(largest_difference(&gathered.inputs, &expected) < 1e-6);
        }
        let rows = all.inputs.narrow(0, 0, ITEMS as i64 + 1);
        assert_eq!(rows, all.outputs.vectors);
    }
}

#[test]
fn fused_vectors_are_the_adapters_and_the_tables() {
    let rows = Tensor::from_slice(&DISTINCT);
    for fusion in [Fusion::Sum, Fusion::Concat] {
        let (items, parameters) = items(
            Some(spec(AdapterKind::Mlp, false, fusion)),
            OutputItems::Shared,
        );
        let _guard = tch::no_grad_guard();
        let named = parameters.named();
        let (_, table) = named
            .iter()
            .find(|(name, _)| name == "items.table")
            .unwrap();
        let vectors = || {
            items
                .gather(&DISTINCT, None)
                .unwrap()
                .inputs
                .narrow(0, 0, 4)
        };
        let (both, learned) = (vectors(), table.index_select(0, &rows));
        let _ = table.shallow_clone().zero_();
        let adapted = vectors();
        let (expected, adapter_width) = match fusion {
            Fusion::Concat => (Tensor::cat(&[&adapted.narrow(1, 0, 3), &learned], 1), 3),
            _ => (adapted + learned, HIDDEN),
        };
        assert!(largest_difference(&both, &expected) < 1e-6);
        let last = shape_of(&parameters, "adapter.3.weight").unwrap();
        assert_eq!(last, [adapter_width, 2 * adapter_width]);
    }
}

#[test]
fn only_what_is_trained_is_a_parameter() {
    let table = vec![ITEMS as i64 + 1, WIDTH as i64];
    let (_, frozen) = items(
        Some(spec(AdapterKind::Mlp, false, Fusion::None)),
        OutputItems::Shared,
    );
    assert_eq!(shape_of(&frozen, "items.vectors"), None);
    assert_eq!(frozen.frozen().unwrap().tensor.size(), table);
    // Two linear layers, a norm and the mask.
    assert_eq!(frozen.count(), (7 * 10 + 10) + (10 * 5 + 5) + 2 * 10 + 5);
    let (_, finetuned) = items(
        Some(spec(AdapterKind::Mlp, true, Fusion::None)),
        OutputItems::Shared,
    );
    assert_eq!(shape_of(&finetuned, "items.vectors"), Some(table));
    assert!(finetuned.frozen().is_none());
    assert_eq!(finetuned.count(), frozen.count() + (12 + 1) * 7);
}

#[test]
fn padding_trains_the_adapter_and_no_row() {
    for (frozen, trains) in [
        (None, false),
        (Some(spec(AdapterKind::Linear, false, Fusion::None)), true),
        (Some(spec(AdapterKind::Linear, true, Fusion::None)), false),
        (Some(spec(AdapterKind::Linear, false, Fusion::Sum)), false),
    ] {
        let (items, _) = items(frozen, OutputItems::Shared);
        let gathered = items.gather(&[4, 0], None).unwrap();
        let padding = gathered.tokens(&Tensor::from_slice(&[1i64])).unwrap();
        let gradient = Tensor::run_backward(
            &[padding.sum(Kind::Float)],
            &[&gathered.inputs],
            false,
            false,
        );
        let reached = gradient[0].abs().max().double_value(&[]) > 0.0;
        assert_eq!(reached, trains);
    }
}

/// A model of a backbone and its parameters' values before and after two epochs.
fn trained(plugin: &str, representation: &RepresentationSpec) -> [Vec<(String, Tensor)>; 2] {
    let (plugin, dataset) = (built_plugin(plugin), dataset());
    let params = serde_json::json!({"hidden_size": 8});
    let train = TrainSpec::default();
    let params = params.as_object().unwrap();
    let mut model =
        ModelUnderTest::with_representation(&plugin, params, &dataset, representation, &train, 3)
            .unwrap();
    let values = |model: &ModelUnderTest<'_>| {
        let parameters = model.parameters();
        let mut values: Vec<(String, Tensor)> = parameters
            .named()
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.detach().copy()))
            .collect();
        let frozen = parameters.frozen().map(|frozen| frozen.tensor.copy());
        values.extend(frozen.map(|tensor| ("frozen".to_owned(), tensor)));
        values
    };
    let before = values(&model);
    model.train_epochs(2).unwrap();
    [before, values(&model)]
}

#[test]
fn every_backbone_trains_with_every_representation_by_its_seed_alone() {
    for plugin in ["sasrec", "bert4rec", "gru4rec", "caser"] {
        for frozen in variants() {
            let representation = representation(frozen.clone());
            let [before, after] = trained(plugin, &representation);
            assert_eq!(trained(plugin, &representation)[1], after);
            for ((name, before), (_, after)) in before.iter().zip(&after) {
                let moved = before != after;
                assert_eq!(moved, name != "frozen", "{plugin}, {frozen:?}: {name}");
            }
        }
    }
}

#[test]
fn calibration_moves_every_representation_on_targets_and_on_items() {
    for frozen in [None, Some(spec(AdapterKind::Mlp, false, Fusion::None))] {
        let [_, plain] = trained("sasrec", &representation(frozen.clone()));
        for on in [CalibrationOn::Targets, CalibrationOn::Items] {
            let with = |alpha| RepresentationSpec {
                calibration: Some(CalibrationSpec {
                    alpha,
                    on,
                    sample: 8,
                    ..CalibrationSpec::default()
                }),
                ..representation(frozen.clone())
            };
            let [_, calibrated] = trained("sasrec", &with(0.1));
            assert_ne!(calibrated, plain);
            assert_eq!(trained("sasrec", &with(0.1))[1], calibrated);
            assert_eq!(trained("sasrec", &with(0.0))[1], plain);
        }
    }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

/// The value of a parameter, to be changed.
fn parameter(parameters: &Parameters, name: &str) -> Tensor {
    let named = parameters.named().iter().find(|(theirs, _)| theirs == name);
    named.unwrap().1.shallow_clone()
}

#[test]
fn without_an_adapter_the_vectors_are_the_item_vectors() {
    let no_adapter = spec(AdapterKind::None, true, Fusion::None);
    let mut parameters =
        Parameters::new(Initialisation::XavierNormal, Streams::new(7), Device::Cpu);
    let rows: Vec<f32> = (0..(ITEMS + 1) * HIDDEN as usize)
        .map(|place| (place / HIDDEN as usize) as f32 * 0.25)
        .collect();
    let frozen = FrozenVectors::new(no_adapter.clone(), HIDDEN as usize, rows, ITEMS).unwrap();
    let capabilities = capabilities(OutputItems::Shared);
    let made = ItemVectors::create(COUNTS, Some(frozen), &capabilities, &mut parameters).unwrap();
    let vectors = made.gather(&DISTINCT, Some(3)).unwrap().inputs;
    assert_eq!(values(&vectors.get(0)), [0.75; HIDDEN as usize]);
    assert_eq!(shape_of(&parameters, "adapter.0.weight"), None);

    let frozen =
        FrozenVectors::new(no_adapter, WIDTH, vec![1.0; (ITEMS + 1) * WIDTH], ITEMS).unwrap();
    let mut parameters =
        Parameters::new(Initialisation::XavierNormal, Streams::new(7), Device::Cpu);
    let refused = ItemVectors::create(COUNTS, Some(frozen), &capabilities, &mut parameters);
    let message = refused.err().unwrap().to_string();
    assert!(
        message.contains("7 components where the model needs 5"),
        "{message}"
    );
}

/// AlphaFuse's item vector: the adapter's output with the table's row on its last components.
#[test]
fn the_null_space_has_a_table_that_starts_at_zero() {
    let mut spec = spec(AdapterKind::Linear, false, Fusion::NullSpace);
    spec.fusion.width = Some(3);
    let (items, parameters) = items(Some(spec), OutputItems::Shared);
    let vectors = || {
        items
            .gather(&DISTINCT, None)
            .unwrap()
            .inputs
            .narrow(0, 0, 4)
    };
    let (before, _guard) = (vectors(), tch::no_grad_guard());
    let mut table = parameter(&parameters, "items.table");
    assert_eq!(table.size(), [ITEMS as i64 + 1, 3]);
    assert_eq!(values(&table), [0.0; 39]);
    let _ = table.fill_(2.0);
    let difference = vectors() - before;
    for row in values(&difference).chunks(5) {
        for (found, expected) in row.iter().zip([0.0, 0.0, 2.0, 2.0, 2.0]) {
            assert!((found - expected).abs() < 1e-6, "{row:?}");
        }
    }
}

#[test]
fn both_views_stand_side_by_side() {
    let (items, parameters) = items(
        Some(spec(AdapterKind::Mlp, false, Fusion::Dual)),
        OutputItems::Shared,
    );
    let inputs = items.gather(&DISTINCT, None).unwrap().inputs;
    // The mask is the last row.
    assert_eq!(inputs.size(), [5, 2 * HIDDEN]);
    let learned =
        parameter(&parameters, "items.table").index_select(0, &Tensor::from_slice(&DISTINCT));
    assert!(largest_difference(&inputs.narrow(0, 0, 4).narrow(1, HIDDEN, HIDDEN), &learned) < 1e-6);
    assert_eq!(items.views(), 2);
}

/// What principal components are: centred, uncorrelated, by falling variance.
#[test]
fn a_table_can_start_as_the_vectors_principal_components() {
    let mut spec = spec(AdapterKind::Mlp, false, Fusion::Sum);
    spec.fusion.init = TableInit::Vectors;
    // The rows of `items` are sines, which have two components.
    spec.fusion.kind = Fusion::Concat;
    let (_, parameters) = items(Some(spec), OutputItems::Shared);
    let table = parameter(&parameters, "items.table");
    assert_eq!(table.size(), [ITEMS as i64 + 1, 2]);
    let table = table.narrow(0, 1, ITEMS as i64).to_kind(Kind::Double);
    let products = values(&table.tr().matmul(&table).to_kind(Kind::Float));
    // Components are uncorrelated, and the first has the greater variance.
    assert!(
        products[0] >= products[3] && products[1].abs() < 1e-4 * products[0],
        "{products:?}"
    );
    assert!(
        largest_difference(
            &table.mean_dim(&[0_i64][..], false, Kind::Double),
            &Tensor::zeros([2], (Kind::Double, Device::Cpu))
        ) < 1e-6
    );
}

#[test]
fn a_delta_moves_the_vectors_no_further_than_its_bound() {
    let spec = FrozenSpec {
        delta: Some(DeltaSpec { max_norm: 0.5 }),
        ..spec(AdapterKind::Linear, true, Fusion::None)
    };
    let (items, parameters) = items(Some(spec), OutputItems::Shared);
    assert!(parameters.frozen().is_some());
    let before = items.gather(&DISTINCT, None).unwrap().inputs;
    let _guard = tch::no_grad_guard();
    let mut delta = parameter(&parameters, "items.delta");
    assert_eq!(values(&delta), [0.0; 91]);
    let _ = delta.get(3).fill_(1.0);
    let _ = delta.get(12).fill_(0.1);
    parameters.shorten().unwrap();
    let lengths = values(&delta.norm_scalaropt_dim(2, [1i64].as_slice(), false));
    assert!((lengths[3] - 0.5).abs() < 1e-6);
    assert!((lengths[12] - 0.1 * 7f32.sqrt()).abs() < 1e-6);
    assert_eq!(lengths[1], 0.0);
    let after = items.gather(&DISTINCT, None).unwrap().inputs;
    assert!(largest_difference(&before, &after) > 1e-3);
    delta = parameter(&parameters, "items.delta");
    assert_eq!(delta.size(), [ITEMS as i64 + 1, WIDTH as i64]);
}

#[test]
fn the_seed_decides_what_adapter_dropout_drops() {
    let mut spec = spec(AdapterKind::Linear, false, Fusion::None);
    spec.adapter.dropout = 0.5;
    let (items, _) = items(Some(spec), OutputItems::Shared);
    let vectors = |seed| items.gather(&DISTINCT, seed).unwrap().inputs;
    assert_eq!(vectors(Some(1)), vectors(Some(1)));
    assert_ne!(vectors(Some(1)), vectors(Some(2)));
    assert_ne!(vectors(Some(1)), vectors(None));
    assert_eq!(vectors(None), vectors(None));
}
