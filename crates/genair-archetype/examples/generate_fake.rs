//! Made-up archetypes of 200 items, slowly: what a test starts, kills and starts again.
//!
//! `GENAIR_ALLOW_FAKE_ENGINE=1 generate_fake CACHE OUT.jsonl MILLISECONDS_PER_ITEM`

use std::path::PathBuf;
use std::time::Duration;

use genair_archetype::{
    ArchetypeSpec, EngineKind, GenerationProgress, Installation, export_archetypes, generate,
};
use genair_data::{Catalogue, CatalogueItem};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cache, out, milliseconds] = arguments.as_slice() else {
        return Err("arguments: CACHE OUT.jsonl MILLISECONDS_PER_ITEM".into());
    };
    let pause = Duration::from_millis(milliseconds.parse()?);
    let items = (0..200).map(|n| CatalogueItem {
        id: format!("item-{n}"),
        metadata: json!({ "title": format!("Title {n}"), "genres": ["Drama"] })
            .as_object()
            .cloned()
            .unwrap_or_default(),
    });
    let catalogue = Catalogue {
        items: items.collect(),
    };
    let spec = ArchetypeSpec {
        engine: EngineKind::Fake,
        ..ArchetypeSpec::default()
    };
    let installation = Installation::new(PathBuf::from(cache));
    let mut progress = |event: GenerationProgress| {
        if matches!(event, GenerationProgress::Advanced { .. }) {
            std::thread::sleep(pause);
        }
    };
    let generated = generate(&catalogue, &spec, &installation, &mut progress, &|| false)?;
    export_archetypes(&generated, &PathBuf::from(out))?;
    Ok(())
}
