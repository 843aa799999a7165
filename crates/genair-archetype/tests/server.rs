//! The `openai` engine against a real server and a real model: `just test-engines` starts
//! llama-cpp-python's server and says where it is.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a panic is how a test fails; the recipe speaks through the environment"
)]

use std::path::PathBuf;

use genair_archetype::{ArchetypeSpec, Generated, Installation, decode_vector, generate};
use genair_data::{Catalogue, CatalogueItem};
use genair_files::Cache;
use serde_json::json;

/// Components of SmolLM2-135M's states.
const WIDTH: usize = 576;
/// The variable that the spec names for the key.
const KEY: &str = "GENAIR_TEST_KEY";

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run `just test-engines`"))
}

fn movies() -> Catalogue {
    let items = [
        (
            "1",
            json!({"title": "Toy Story", "genres": ["Animation", "Comedy"]}),
        ),
        (
            "2",
            json!({"title": "GoldenEye", "genres": ["Action", "Thriller"]}),
        ),
        (
            "3",
            json!({"title": "Babe", "genres": ["Children's", "Drama"]}),
        ),
    ];
    Catalogue {
        items: items
            .into_iter()
            .map(|(id, metadata)| CatalogueItem {
                id: id.to_owned(),
                metadata: metadata.as_object().unwrap().clone(),
            })
            .collect(),
    }
}

fn installation(cache: PathBuf) -> Installation {
    Installation {
        cache: Cache::new(cache),
        trainer: PathBuf::from("genair-trainer"),
        llama: environment("GENAIR_LLAMA").into(),
        encoder: PathBuf::from("genair-encoder"),
        report: PathBuf::from("genair-report"),
        build_llama: None,
        fake_engine: None,
    }
}

fn spec(engine: &str, chat: bool) -> ArchetypeSpec {
    let generation = "greedy = true\nrepetition_penalty = 1.0\nmax_new_tokens = 16";
    toml::from_str(&format!(
        "{engine}\nprompt = {{ preset = \"continuation\", item_type = \"movie\", chat = {chat} }}\n[generation]\n{generation}"
    ))
    .unwrap()
}

fn server(key: &str, chat: bool) -> ArchetypeSpec {
    let (url, model) = (
        environment("GENAIR_TEST_SERVER"),
        environment("GENAIR_LLAMA_MODEL"),
    );
    spec(
        &format!(
            "engine = \"openai\"\nstates = \"local\"\nstates_model = \"{model}\"\n\
             http = {{ base_url = \"{url}\", model = \"smollm2\", api_key_env = \"{key}\", concurrency = 2, retries = 1 }}"
        ),
        chat,
    )
}

fn run(spec: &ArchetypeSpec, installation: &Installation) -> Result<Generated, String> {
    generate(&movies(), spec, installation, &mut |_| {}, &|| false).map_err(|error| {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
            error.source()
        });
        causes
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    })
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn texts_of_a_real_server_get_the_states_of_the_same_model_here() {
    let folder = tempfile::tempdir().unwrap();
    let installation = installation(folder.path().join("cache"));
    for chat in [false, true] {
        let spec = server(KEY, chat);
        let generated = run(&spec, &installation).unwrap();
        // A text and its states for each.
        assert_eq!(generated.counts.made, 6);
        assert_eq!(generated.counts.empty_answers, 0);
        let model = environment("GENAIR_LLAMA_MODEL");
        let here = spec_here(&model, chat);
        let here = run(&here, &installation).unwrap();
        for (theirs, ours) in generated.items.iter().zip(&here.items) {
            let (theirs, ours) = (
                theirs.record.as_ref().unwrap(),
                ours.record.as_ref().unwrap(),
            );
            let vector = |text: &str| decode_vector(text, WIDTH).unwrap();
            // The prompt is the same to the token, whoever wraps it in the model's chat template.
            assert_eq!(theirs.prompt_tokens, ours.prompt_tokens, "chat = {chat}");
            let context = cosine(&vector(&theirs.context), &vector(&ours.context));
            assert!(context > 0.9999, "chat = {chat}: {context}");
            let archetype = [theirs, ours].map(|record| vector(record.archetype.as_ref().unwrap()));
            // Greedy answers of two builds of llama.cpp may part; equal ones have equal states. The
            // last token that was written here was never read, there it was.
            if theirs.text.trim() == ours.text.trim() && chat {
                let alike = cosine(&archetype[0], &archetype[1]);
                assert!(alike > 0.97, "`{}`: {alike}", theirs.text);
            }
        }
        assert_eq!(run(&spec, &installation).unwrap().counts.made, 0);
    }
}

fn spec_here(model: &str, chat: bool) -> ArchetypeSpec {
    spec(
        &format!("engine = \"llama-cpp\"\nmodel = \"{model}\""),
        chat,
    )
}

#[test]
fn a_wrong_key_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let installation = installation(folder.path().join("cache"));
    let error = run(&server("GENAIR_TEST_WRONG_KEY", false), &installation).unwrap_err();
    assert!(error.contains("401"), "{error}");
    assert!(
        !error.contains(&environment("GENAIR_TEST_WRONG_KEY")),
        "{error}"
    );
}
