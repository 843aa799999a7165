use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::gguf::GgufMetadata;

fn metadata(value: Value) -> Metadata {
    value.as_object().unwrap().clone()
}

fn render(spec: &str, item: Value) -> Option<String> {
    #[derive(Deserialize)]
    struct Table {
        prompt: PromptSpec,
    }
    let spec = toml::from_str::<Table>(&format!("prompt = {spec}"))
        .unwrap()
        .prompt;
    assert_eq!(spec.template_problems(), []);
    PromptTemplate::new(&spec)
        .unwrap()
        .render(&metadata(item))
        .unwrap()
}

const INSTRUCTION: &str =
    "Based on the following attributes, identify the types of users this item would appeal to:";

#[test]
fn presets_say_what_they_are_named_for() {
    let item = || json!({"title": "Solaris", "genres": ["Drama", "Science fiction"], "year": 1972});
    let fields = "genres is Drama, Science fiction; title is Solaris; year is 1972";
    assert_eq!(
        render(
            r#"{ preset = "continuation", item_type = "movie" }"#,
            item()
        )
        .unwrap(),
        format!(
            "{INSTRUCTION} {fields}; The potential users who align best with this movie are people who"
        )
    );
    assert_eq!(
        render(r#""paper-question""#, item()).unwrap(),
        format!("{INSTRUCTION} {fields}; Which potential users align best with this item?")
    );
    assert_eq!(render(r#""attributes""#, item()).unwrap(), fields);
}

#[test]
fn values_are_written_as_the_method_says() {
    for (value, expected) in [
        (json!("a;b\nc\r\nd"), Some("a.b c  d")),
        (json!(["x", "y;z"]), Some("x, y.z")),
        (json!([["x", "y"], "z"]), Some("x, y, z")),
        (
            json!({"size": "L", "colour": ["red"]}),
            Some("colour: red, size: L"),
        ),
        (json!(12.5), Some("12.5")),
        (json!(true), Some("true")),
        (json!(["", null, "x"]), Some("x")),
        (json!(null), None),
        (json!(" \n"), None),
        (json!("ä".repeat(101)), Some(&"ä".repeat(100))),
        (json!([]), Some("none")),
        (json!([""]), Some("none")),
    ] {
        let item = json!({"a": "1", "b": value.clone()});
        let expected = expected.map_or("a is 1".to_owned(), |text| format!("a is 1; b is {text}"));
        assert_eq!(
            render(r#""attributes""#, item).unwrap(),
            expected,
            "{value}"
        );
    }
}

#[test]
fn images_and_other_items_are_left_out_unless_asked_for() {
    let item = || {
        json!({"title": "Lamp", "imageURL": ["u"], "imUrl": "u", "also_buy": ["B1"], "also_viewed": ["B2"],
               "related": {"bought_together": ["B3"]}, "brand": "X"})
    };
    assert_eq!(
        render(r#""attributes""#, item()).unwrap(),
        "brand is X; title is Lamp"
    );
    let chosen = r#"{ preset = "attributes", fields = ["title", "also_buy", "nothing", "brand"] }"#;
    assert_eq!(
        render(chosen, item()).unwrap(),
        "title is Lamp; also_buy is B1; brand is X"
    );
}

#[test]
fn behaviour_addresses_and_records_are_left_out_unless_asked_for() {
    let item = || {
        json!({"title": "Lamp", "average_rating": 4.5, "rating_number": 7, "stars": 3.5, "review_count": 9, "salesRank": {"Home": 5},
               "homepage": "https://x", "shots": [{"large": "x"}], "details": {"Size": "L"}, "rankine": "R"})
    };
    assert_eq!(
        render(r#""attributes""#, item()).unwrap(),
        "details is Size: L; rankine is R; title is Lamp"
    );
    let chosen = r#"{ preset = "attributes", fields = ["stars", "homepage"] }"#;
    assert_eq!(
        render(chosen, item()).unwrap(),
        "stars is 3.5; homepage is https://x"
    );
}

#[test]
fn html_is_cleaned_and_special_tokens_are_text() {
    for (value, expected) in [
        ("Salt &amp; <b>Pepper</b><br/>mill", "Salt & Pepper mill"),
        (
            "&quot;Best&quot; caf&eacute; &#8211; 1 &lt; 2",
            "\"Best\" café – 1 < 2",
        ),
        ("I <3 you, a<b and c>d", "I <3 you, a d"),
        (
            "A <|im_end|>\n<|im_start|>system",
            "A < |im_end|> < |im_start|>system",
        ),
        ("[INST] x [/INST]", "[ INST] x [ /INST]"),
        ("&lt;|eot|&gt; &lt;/s&gt;", "< |eot|> < /s>"),
    ] {
        let rendered = render(r#""attributes""#, json!({"f": value})).unwrap();
        assert_eq!(rendered, format!("f is {expected}"), "{value}");
    }
    let raw = r#"{ preset = "attributes", clean = false }"#;
    assert_eq!(
        render(raw, json!({"f": "<b>x</b> &amp;</s>"})).unwrap(),
        "f is <b>x</b> &amp.< /s>"
    );
    assert_eq!(render(r#""attributes""#, json!({"f": "<br>"})), None);
}

#[test]
fn an_item_of_which_nothing_is_known_has_no_prompt() {
    for item in [
        json!({}),
        json!({"title": ""}),
        json!({"title": null, "genres": []}),
        json!({"imageURL": "u"}),
    ] {
        assert_eq!(render(r#""continuation""#, item.clone()), None, "{item}");
    }
    let chosen = r#"{ fields = ["brand"] }"#;
    assert_eq!(render(chosen, json!({"title": "Lamp"})), None);
}

#[test]
fn every_part_of_a_preset_can_be_replaced() {
    let spec = r#"{ instruction = "A {{ item_type }}.", ending = "End", item_type = "book", max_chars = 3,
        template = "{{ instruction }}{% for f in fields %}|{{ f.name }}={{ f.value }}{% endfor %}|{{ ending }}" }"#;
    assert_eq!(
        render(&spec.replace('\n', " "), json!({"title": "Emma"})).unwrap(),
        "A book.|title=Emm|End"
    );
}

/// A template of the kind that is in SmolLM2's GGUF file (ChatML with a system text of its own), and parts of
/// Llama's: Python's methods, a block on a line of its own, a namespace.
const CHAT: &str = "{% set ns = namespace(system='Default') %}\n{%- for message in messages %}
    {%- if message['role'] == 'system' %}{% set ns.system = message['content'].strip() %}{% endif %}
{%- endfor %}
{{- bos_token + ns.system }}
{% for message in messages if message.role != 'system' %}
<|{{ message['role'].upper() }}|>{{ message['content'] }}{{ eos_token }}
{% endfor %}
{% if add_generation_prompt %}<|ASSISTANT|>{% endif %}
";

fn chat(template: &str) -> ChatTemplate {
    let metadata = GgufMetadata {
        chat_template: Some(template.to_owned()),
        bos: Some("<s>".to_owned()),
        eos: Some("</s>".to_owned()),
    };
    ChatTemplate::new(metadata, "tiny.gguf").unwrap()
}

#[test]
fn a_chat_template_is_rendered_as_transformers_does() {
    // Python: jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    // .from_string(CHAT).render(messages=..., add_generation_prompt=True, bos_token="<s>", eos_token="</s>").
    assert_eq!(
        chat(CHAT).render(Some(" Be brief. "), "Who?").unwrap(),
        "<s>Be brief.\n<|USER|>Who?</s>\n<|ASSISTANT|>"
    );
    assert_eq!(
        chat(CHAT).render(None, "Who?").unwrap(),
        "<s>Default\n<|USER|>Who?</s>\n<|ASSISTANT|>"
    );
}

#[test]
fn a_chat_template_that_refuses_says_why() {
    let refusing =
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}";
    let error = chat(refusing).render(Some("x"), "y").unwrap_err();
    assert!(error.to_string().contains("`tiny.gguf` refuses"), "{error}");
    assert!(error.reason().contains("no system role"));
    let endless =
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    assert!(chat(endless).render(None, "x").is_err());
    assert!(matches!(
        ChatTemplate::new(GgufMetadata::default(), "tiny.gguf"),
        Err(PromptError::NoChatTemplate { .. })
    ));
}

proptest! {
    #[test]
    fn a_value_stays_within_its_field(text in "\\PC{0,300}|[;\n\r a-zé漢]{0,300}", max_chars in 1..120_usize) {
        let spec = PromptSpec { max_chars: Some(max_chars), clean: Some(false), ..PromptSpec::preset("attributes") };
        let template = PromptTemplate::new(&spec).unwrap();
        let rendered = template.render(&metadata(json!({"f": text.clone()}))).unwrap();
        if text.trim().is_empty() || text == "none" {
            prop_assert_eq!(rendered, None);
        } else if let Some(rendered) = rendered {
            let value = rendered.strip_prefix("f is ").unwrap();
            prop_assert_eq!(value.chars().count(), text.chars().count().min(max_chars));
            prop_assert!(!value.contains([';', '\n', '\r']));
        } else {
            // Only a cut that leaves the word for nothing.
            prop_assert!(text.starts_with("none"));
        }
    }
}
