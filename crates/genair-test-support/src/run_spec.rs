//! The run spec that tests start from.

use genair_protocol::{
    Axes, BUILTIN_BACKBONES, BackboneSpec, DatasetKind, DatasetSpec, EvalSpec, Labels,
    RepresentationKind, RepresentationSpec, RunSpec, TrainSpec,
};

/// A valid run of `backbone` on made-up data, with the defaults of every section. A backbone of the trainer's own
/// gets no item vectors; any other gets those of ids.
pub fn run_spec(backbone: &str, seed: u64) -> RunSpec {
    let (name, kind) = if BUILTIN_BACKBONES.contains(&backbone) {
        ("none", RepresentationKind::None)
    } else {
        ("id", RepresentationKind::Id)
    };
    RunSpec {
        dataset_name: "made".to_owned(),
        dataset: DatasetSpec {
            kind: DatasetKind::Synthetic,
            ..DatasetSpec::default()
        },
        backbone: BackboneSpec {
            name: backbone.to_owned(),
            params: serde_json::Map::new(),
        },
        representation: RepresentationSpec {
            name: name.to_owned(),
            kind,
            frozen: None,
            imputed: None,
            calibration: None,
        },
        combination: None,
        train: TrainSpec::default(),
        eval: EvalSpec::default(),
        seed,
    }
}

/// The labels of a run that differs from others in no axis.
pub fn labels(spec: &RunSpec) -> Labels {
    Labels {
        dataset: spec.dataset_name.clone(),
        backbone: spec.backbone.name.clone(),
        representation: spec.representation.name.clone(),
        axes: Axes::default(),
        seed: spec.seed,
    }
}
