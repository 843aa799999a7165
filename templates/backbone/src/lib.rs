//! The {{name}} plugin.

mod model;

genair_plugin_sdk::export_backbone!(model::Model);
