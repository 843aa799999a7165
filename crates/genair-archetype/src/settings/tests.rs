use super::*;

fn keys(text: &str) -> Vec<String> {
    let spec: ArchetypeSpec = toml::from_str(text).unwrap();
    let problems = spec.validate().into_iter();
    let mut keys: Vec<String> = problems.map(|problem| problem.key.join(".")).collect();
    keys.sort();
    keys
}

const SERVER: &str = "[http]\nbase_url = \"http://localhost:1/v1\"\nmodel = \"m\"\n";

#[test]
fn the_defaults_and_each_engine_as_it_should_be_written_are_accepted() {
    for text in [
        "",
        "prompt = \"paper-question\"",
        "model = \"models/own.gguf\"\nprompt = { chat = true, system = \"Be brief.\" }",
        "engine = \"encoder\"\nprompt = \"attributes\"",
        "engine = \"fake\"",
        &format!(
            "engine = \"openai\"\nstates = \"local\"\ngeneration.repetition_penalty = 1.0\n{SERVER}"
        ),
    ] {
        assert_eq!(keys(text), [""; 0], "{text}");
    }
}

#[test]
fn every_mistake_is_named_by_its_key() {
    for (text, expected) in [
        ("model = \"gpt-5\"", vec!["model"]),
        ("prompt = \"papr\"", vec!["prompt.preset"]),
        ("prompt = { max_chars = 0 }", vec!["prompt.max_chars"]),
        ("prompt = { fields = [] }", vec!["prompt.fields"]),
        ("prompt = { system = \"x\" }", vec!["prompt.system"]),
        ("prompt = { ending = \"{{ itm }}\" }", vec!["prompt.ending"]),
        (
            "prompt = { template = \"{% for\" }",
            vec!["prompt.template"],
        ),
        ("parallel = 0\nthreads = 0", vec!["parallel", "threads"]),
        ("generation = { top_p = 1.5 }", vec!["generation.top_p"]),
        (
            "generation = { min_new_tokens = 9, max_new_tokens = 8 }",
            vec!["generation.min_new_tokens"],
        ),
        ("generation = { stop = [\"\"] }", vec!["generation.stop.0"]),
        (SERVER, vec!["http"]),
        (
            &format!(
                "engine = \"openai\"\nstates = \"local\"\ngeneration.repetition_penalty = 1.0\n{SERVER}batch = 2\n\
                 dimensions = 8"
            ),
            vec!["http.batch", "http.dimensions"],
        ),
        ("states = \"local\"", vec!["states"]),
        ("states_model = \"smollm2-135m\"", vec!["states_model"]),
        ("engine = \"openai\"", vec!["http", "states"]),
        (
            "engine = \"encoder\"\nprompt = { chat = true }",
            vec!["prompt.chat"],
        ),
        (
            &format!("engine = \"openai\"\nstates = \"local\"\n{SERVER}"),
            vec!["generation.repetition_penalty"],
        ),
        (
            "engine = \"openai\"\nstates = \"local\"\ngeneration.repetition_penalty = 1.0\n[http]\nbase_url = \
             \"ftp://u:p@x\"\nmodel = \"m\"\ntimeout = 0\nextra = { seed = 1 }",
            vec![
                "http.base_url",
                "http.base_url",
                "http.extra.seed",
                "http.timeout",
            ],
        ),
    ] {
        assert_eq!(keys(text), expected, "{text}");
    }
}

#[test]
fn texts_are_encoded_by_a_folder_a_gguf_file_or_a_server() {
    let keys = |text: &str| -> Vec<String> {
        let spec: TextSpec = toml::from_str(text).unwrap();
        let problems = spec.into_engine_settings().validate();
        problems.iter().map(|own| own.key.join(".")).collect()
    };
    let server =
        "engine = \"openai\"\n[http]\nbase_url = \"http://localhost:1/v1\"\nmodel = \"m\"\n";
    for (text, expected) in [
        (String::new(), None),
        (
            "engine = \"llama-cpp\"\nmodel = \"m.gguf\"".to_owned(),
            None,
        ),
        (server.to_owned(), None),
        (format!("{server}dimensions = 8\nbatch = 2"), None),
        ("engine = \"llama-cpp\"".to_owned(), Some("model")),
        (
            "engine = \"llama-cpp\"\nmodel = \"minilm-l6-v2\"".to_owned(),
            Some("model"),
        ),
        ("engine = \"openai\"".to_owned(), Some("http")),
        (format!("model = \"x.gguf\"\n{server}"), Some("model")),
        (format!("{server}dimensions = 0"), Some("http.dimensions")),
        (
            format!("{server}extra = {{ input = 1 }}"),
            Some("http.extra.input"),
        ),
        ("prompt = { chat = true }".to_owned(), Some("prompt.chat")),
        (
            "engine = \"llama-cpp\"\nmodel = \"m.gguf\"\nprompt = { chat = true }".to_owned(),
            Some("prompt.chat"),
        ),
    ] {
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(keys(&text), expected, "{text}");
    }
    let served: TextSpec = toml::from_str(server).unwrap();
    assert!(served.into_engine_settings().local_models().is_empty());
}

#[test]
fn an_unknown_key_is_an_error() {
    for text in [
        "engin = \"fake\"",
        "prompt = { endin = \"x\" }",
        "[http]\nbase_url = \"x\"\nmodel = \"m\"\nkey = \"x\"",
    ] {
        let error = toml::from_str::<ArchetypeSpec>(text).unwrap_err();
        assert!(error.to_string().contains("unknown field"), "{error}");
    }
}

#[test]
fn a_spec_survives_its_own_text() {
    let spec: ArchetypeSpec = toml::from_str(
        "engine = \"encoder\"\nprompt = { preset = \"attributes\", fields = [\"title\"] }",
    )
    .unwrap();
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<ArchetypeSpec>(&text).unwrap(), spec);
}

#[test]
fn prompts_are_read_by_the_model_that_gives_hidden_states() {
    let of_prompts = |text: &str| {
        let spec: ArchetypeSpec = toml::from_str(text).unwrap();
        assert_eq!(spec.validate(), []);
        let spec = spec.of_prompts();
        assert_eq!(spec.validate(), []);
        assert_eq!(spec.record_parts(), RecordParts::Context);
        spec
    };
    let own = of_prompts("model = \"own.gguf\"");
    assert_eq!(own.engine, EngineKind::LlamaCpp);
    let server = |states: &str| {
        of_prompts(&format!(
            "engine = \"openai\"\n{states}\nprompt = {{ chat = true, system = \"Be brief.\" }}\n\
             generation.repetition_penalty = 1.0\n{SERVER}"
        ))
    };
    let local = server("states = \"local\"\nstates_model = \"own.gguf\"");
    assert_eq!(local.model.as_deref(), Some("own.gguf"));
    assert_eq!(
        (local.engine, local.prompt.chat),
        (EngineKind::LlamaCpp, Some(true))
    );
    assert_eq!((local.http, local.states), (None, None));
    let encoder = server("states = \"encoder\"");
    assert_eq!((encoder.engine, encoder.model), (EngineKind::Encoder, None));
}

#[test]
fn paths_are_relative_to_the_spec_and_names_stay() {
    let mut spec = ArchetypeSpec {
        model: Some("models/own.gguf".to_owned()),
        states_model: Some("minilm-l6-v2".to_owned()),
        ..ArchetypeSpec::default()
    };
    spec.resolve_paths(Path::new("/lab"));
    assert_eq!(spec.model.as_deref(), Some("/lab/models/own.gguf"));
    assert_eq!(spec.states_model.as_deref(), Some("minilm-l6-v2"));
}
