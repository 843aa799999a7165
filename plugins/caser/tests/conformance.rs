//! What every backbone must do, for the defaults and for what takes another path.

genair_conformance::conformance!(genair_backbone_caser::GENAIR_BACKBONE_HANDSHAKE, {
    defaults: {},
    original: {"form": "original"},
    original_without_users: {"form": "original", "user_vectors": false},
    last_position_without_users: {"trains_on": "last", "user_vectors": false},
});
