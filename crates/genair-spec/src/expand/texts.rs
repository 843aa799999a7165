//! Kind `text`: what its vectors are made by.

use std::path::Path;

use figment::providers::Env;
use genair_archetype::{Installation, VectorsRecipe};

use super::tests::expand;
use crate::{SpecFile, SpecOptions, SweepRun, VectorsStage};

const SPEC: &str = r#"
[sweep]
name = "t"
backbone = "sasrec"
representation = ["plain", "own"]
[dataset.made]
kind = "synthetic"
users = 30
prompt = { item_type = "film", ending = "Who likes it?" }
[archetype]
engine = "fake"
model = "smollm2-135m"
parallel = 3
prompt = { preset = "paper-question", fields = ["title", "genres"] }
[representation.plain]
kind = "text"
[representation.own]
kind = "text"
encoder = "minilm-l6-v2"
components = 8
archetype = { threads = 2, prompt = { max_chars = 40 } }
"#;

fn file() -> SpecFile {
    let (path, options) = (Path::new("s.toml"), SpecOptions::default());
    SpecFile::parse(path, SPEC, &options, Env::raw().filter(|_| false)).unwrap()
}

/// The recipe's hash is in the identity of runs.
#[test]
fn the_recipe_of_texts_is_what_it_was() {
    let installation = Installation::new("no-such-cache");
    let recipes = file().archetypes().unwrap().into_iter().map(|job| {
        let catalogue = genair_data::catalogue(&job.data).unwrap();
        let recipe = VectorsRecipe::new(&catalogue, &job.settings, &job.form, &installation);
        format!("{} {}", job.representation, recipe.unwrap().sha256())
    });
    let expected = [
        "plain 8e453fd4aa44696837a8af8a17ab3ca10feb193880062e53d3d3117fa3b8a17a",
        "own 7e6ad1fa8e9bf45c3501bcaeec121964095a2a4639ae4db19a06416928b06b8e",
    ];
    assert_eq!(recipes.collect::<Vec<_>>(), expected);
}

#[test]
fn a_text_has_no_settings_of_a_language_model() {
    let of = |archetype: &str, encoder: &str| {
        let spec = SPEC
            .replace("threads = 2", archetype)
            .replace("\"minilm-l6-v2\"", encoder);
        expand(&spec, &[]).unwrap_err().to_string()
    };
    let wrong = of("generation = {}", "\"minilm-l6-v2\"");
    insta::assert_snapshot!(wrong, @r"
    s.toml:21: unknown key `representation.own.archetype.generation`
    hint: known here: engine, model, prompt, parallel, threads, http
    ");
    let wrong = of("threads = 0", "\"minilm\"");
    assert!(
        wrong.contains("s.toml:19: `representation.own.encoder` is `minilm`; "),
        "{wrong}"
    );
    assert!(
        wrong.contains("`representation.own.archetype.threads` is 0; it must be at least 1"),
        "{wrong}"
    );
    let runs = expand(SPEC, &[]).unwrap().runs;
    let is_text = |run: &SweepRun| matches!(run.vectors, Some(VectorsStage::Text { .. }));
    assert!(runs.iter().all(is_text));
}
