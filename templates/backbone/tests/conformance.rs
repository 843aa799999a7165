//! What every backbone must do, for the defaults and for each setting that takes another path.

genair_conformance::conformance!(genair_backbone_{{name}}::GENAIR_BACKBONE_HANDSHAKE, {
    defaults: {},
    wide: {"hidden_size": 96},
});
