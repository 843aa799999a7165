//! The BERT4Rec plugin.

mod model;

genair_plugin_sdk::export_backbone!(model::Bert4Rec);
