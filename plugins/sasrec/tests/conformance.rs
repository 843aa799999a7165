//! What every backbone must do, for the defaults and for what takes another path.

genair_conformance::conformance!(genair_backbone_sasrec::GENAIR_BACKBONE_HANDSHAKE, {
    defaults: {},
    bidirectional: {"causal": false},
    with_padding: {"key_padding_mask": false, "num_heads": 2, "activation": "gelu"},
});
