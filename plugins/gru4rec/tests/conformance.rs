//! What every backbone must do, for the defaults and for what takes another path.

genair_conformance::conformance!(genair_backbone_gru4rec::GENAIR_BACKBONE_HANDSHAKE, {
    defaults: {},
    last_position: {"trains_on": "last"},
    two_layers: {"num_layers": 2},
    padding_as_input: {"padding": "input"},
});
