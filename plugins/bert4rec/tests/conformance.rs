//! What every backbone must do, for the defaults and for what takes another path.

genair_conformance::conformance!(genair_backbone_bert4rec::GENAIR_BACKBONE_HANDSHAKE, {
    defaults: {},
    with_padding: {"key_padding_mask": false, "num_heads": 2},
});
