//! The GRU4Rec plugin.

mod model;

genair_plugin_sdk::export_backbone!(model::Gru4Rec);
