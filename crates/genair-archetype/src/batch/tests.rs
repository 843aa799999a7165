use genair_data::CatalogueItem;
use genair_files::Cache;
use tempfile::TempDir;

use super::*;

/// A cache of its own, three items with two prompts and one without metadata, and a server that is never asked.
struct Lab {
    folder: TempDir,
    installation: Installation,
    spec: ArchetypeSpec,
    catalogue: Catalogue,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let installation = Installation {
            cache: Cache::new(folder.path().join("cache")),
            ..Installation::new("")
        };
        let spec = toml::from_str(
            "engine = \"openai\"\nstates = \"encoder\"\nprompt = { chat = true, system = \"Be brief.\" }\n\
             generation = { repetition_penalty = 1.0, max_new_tokens = 9 }\n\
             http = { base_url = \"http://localhost:9/v1/\", model = \"m\" }",
        )
        .unwrap();
        let items = [("a", "One"), ("b", "Two"), ("c", "One"), ("d", "")];
        let items = items.map(|(id, title)| CatalogueItem {
            id: id.to_owned(),
            metadata: match title {
                "" => serde_json::Map::new(),
                title => [("title".to_owned(), json!(title))].into_iter().collect(),
            },
        });
        Self {
            folder,
            installation,
            spec,
            catalogue: Catalogue {
                items: items.into(),
            },
        }
    }

    fn export(&self) -> (ExportedPrompts, Vec<Value>) {
        let path = self.folder.path().join("prompts.jsonl");
        let told = export_prompts(&self.catalogue, &self.spec, &self.installation, &path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (told, lines.collect())
    }

    fn import(&self, lines: &[Value]) -> Result<ImportedAnswers, BatchError> {
        let path = self.folder.path().join("answers.jsonl");
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, text).unwrap();
        import_answers(
            &self.catalogue,
            &self.spec,
            &self.installation,
            &path,
            &mut |_| {},
            &|| false,
        )
    }
}

/// A line of a batch's output.
fn answer(request: &Value, text: &str) -> Value {
    json!({
        "id": "batch_req_1",
        "custom_id": request["custom_id"],
        "response": { "status_code": 200, "request_id": "r", "body": {
            "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": text } }],
            "usage": { "prompt_tokens": 12, "completion_tokens": 3 },
        } },
        "error": null,
    })
}

#[test]
fn prompts_go_out_and_their_answers_come_in() {
    let lab = Lab::new();
    let (told, requests) = lab.export();
    let expected = ExportedPrompts {
        prompts: 2,
        answered: 0,
        without_metadata: 1,
    };
    assert_eq!(told, expected);
    let request = &requests[0];
    assert_eq!(request["method"], "POST");
    assert_eq!(request["url"], "/v1/chat/completions");
    assert_eq!(request["body"]["model"], "m");
    assert_eq!(request["body"]["max_tokens"], 9);
    assert_eq!(request["body"]["messages"][0]["content"], "Be brief.");
    assert_ne!(request["body"]["seed"], requests[1]["body"]["seed"]);

    // Out of order, one of them failed, and one of another batch.
    let failed = json!({
        "custom_id": requests[0]["custom_id"],
        "response": { "status_code": 429, "body": { "error": "slow down" } },
    });
    let strange = json!({ "custom_id": "x", "response": { "status_code": 200, "body": {} } });
    let told = lab
        .import(&[answer(&requests[1], " People who read."), strange, failed])
        .unwrap();
    assert_eq!((told.kept, told.known, told.failed), (1, 0, 1));
    assert_eq!((told.strange, told.missing), (1, 1));
    let first = told.first_failure.unwrap();
    assert!(
        first.starts_with("line 3: status 429: {\"error\""),
        "{first}"
    );

    // The rest is asked again, and what is there stays as it is.
    let (told, rest) = lab.export();
    assert_eq!((told.prompts, told.answered), (1, 1));
    assert_eq!(rest[0], requests[0]);
    let told = lab
        .import(&[
            answer(&requests[0], "who walk"),
            answer(&requests[1], "changed"),
        ])
        .unwrap();
    assert_eq!((told.kept, told.known, told.missing), (1, 1, 0));
    let asked = Asked::new(&lab.catalogue, &lab.spec, &lab.installation).unwrap();
    let records = record_log::read(&asked.folder(&lab.installation)).unwrap();
    let record = &records[requests[1]["custom_id"].as_str().unwrap()];
    assert_eq!(record.text, " People who read.");
    assert_eq!((record.prompt_tokens, record.new_tokens), (12, 3));
}

#[test]
fn what_is_no_answer_is_refused_by_its_line_and_nothing_is_kept() {
    let lab = Lab::new();
    let (_, requests) = lab.export();
    let good = answer(&requests[0], "yes");
    let mut broken = answer(&requests[1], "no");
    broken["response"]["body"] = json!({ "choices": [] });
    for (lines, expected) in [
        (
            vec![good.clone(), json!({ "id": 1 })],
            "line 2: it is no line of a batch's output (missing field `custom_id`",
        ),
        (
            vec![good.clone(), good.clone()],
            "is on line 1 already; remove one of the two",
        ),
        (
            vec![good.clone(), broken],
            "line 2: it has no completion (it has no choice)",
        ),
        (
            vec![json!({ "custom_id": "x" })],
            "have another `custom_id`",
        ),
    ] {
        let message = lab.import(&lines).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(lab.export().0.prompts, 2);
}

#[test]
fn settings_that_ask_no_server_have_no_batch() {
    let mut lab = Lab::new();
    let refused = |lab: &Lab| {
        let path = lab.folder.path().join("x");
        let error = export_prompts(&lab.catalogue, &lab.spec, &lab.installation, &path);
        assert!(matches!(error, Err(BatchError::NoServer)), "{error:?}");
        assert!(!path.exists());
    };
    let spec = lab.spec.clone();
    lab.spec = ArchetypeSpec {
        engine: EngineKind::Encoder,
        ..ArchetypeSpec::default()
    };
    refused(&lab);
    lab.spec = spec.of_prompts();
    refused(&lab);
}
