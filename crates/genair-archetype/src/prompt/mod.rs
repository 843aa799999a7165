//! What a model is told about an item: a spec on top of a preset, rendered by minijinja.
//!
//! Owns the rules of docs/method.md, section 3. Knows no model but for its chat template, and no tokens.

mod chat;
mod fields;

use std::collections::BTreeMap;
use std::fmt;

use genair_data::Metadata;
use genair_protocol::SpecProblem;
use minijinja::{Environment, UndefinedBehavior, context};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

pub(crate) use chat::ChatTemplate;
use fields::{Field, fields};

/// Presets by name, as TOML.
const PRESETS: [(&str, &str); 3] = [
    ("attributes", include_str!("../presets/attributes.toml")),
    ("continuation", include_str!("../presets/continuation.toml")),
    (
        "paper-question",
        include_str!("../presets/paper-question.toml"),
    ),
];

/// How an item becomes a prompt: a preset, and what is changed about it. In a spec also the name of a
/// preset alone.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PromptSpec {
    /// `paper-question`, `continuation` or `attributes`.
    pub preset: String,
    /// Opens the prompt; a template that knows `item_type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// Closes the prompt, as a question or as the start of the answer; a template that knows
    /// `item_type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<String>,
    /// Puts both around the fields; a template that knows `instruction`, `ending`, `item_type` and
    /// `fields`, a list of `name` and `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The item's fields that are told, in this order; absent: all in alphabetical order but for addresses, images,
    /// ratings and counts, lists of records, and lists of other items.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub fields: Option<Vec<String>>,
    /// Characters that are kept of a field's value, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_chars: Option<usize>,
    /// Whether tags and entities of HTML are taken out of values. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean: Option<bool>,
    /// What an item is called, such as `movie`; absent: `item`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_type: Option<String>,
    /// Whether the prompt goes through the model's own chat template, as what a user says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<bool>,
    /// What the system says before the user; only with `chat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

impl PromptSpec {
    /// A preset as it is.
    pub fn preset(name: &str) -> Self {
        Self {
            preset: name.to_owned(),
            instruction: None,
            ending: None,
            template: None,
            fields: None,
            max_chars: None,
            clean: None,
            item_type: None,
            chat: None,
            system: None,
        }
    }

    /// The same with every setting of the preset written out.
    pub(crate) fn resolved(&self) -> Result<Self, PromptError> {
        let presets = BTreeMap::from(PRESETS);
        let Some(text) = presets.get(self.preset.as_str()) else {
            return Err(PromptError::NoPreset {
                name: self.preset.clone(),
                known: presets.into_keys().collect(),
            });
        };
        let preset: Preset =
            toml::from_str(text).expect("presets are part of the program, and tested");
        let own = self.clone();
        Ok(Self {
            instruction: Some(own.instruction.unwrap_or(preset.instruction)),
            ending: Some(own.ending.unwrap_or(preset.ending)),
            template: Some(own.template.unwrap_or(preset.template)),
            max_chars: Some(own.max_chars.unwrap_or(preset.max_chars)),
            clean: Some(own.clean.unwrap_or(true)),
            item_type: Some(own.item_type.unwrap_or_else(|| "item".to_owned())),
            chat: Some(own.chat.unwrap_or(preset.chat)),
            ..own
        })
    }

    /// Every mistake of the templates that shows without an item, keys relative to `[archetype]`.
    pub(crate) fn template_problems(&self) -> Vec<SpecProblem> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: String| {
            problems.push(SpecProblem::new(&format!("prompt.{key}"), message));
        };
        match PromptTemplate::new(self) {
            Ok(template) if self.system.is_some() && !template.chat => {
                problem(
                    "system",
                    "needs a chat template; set `chat = true` or remove it".to_owned(),
                );
            }
            Ok(template) => {
                if let Err(error) = template.render_fields(&[Field {
                    name: "title".to_owned(),
                    value: "a".to_owned(),
                }]) {
                    problem(error.key(), error.reason());
                }
            }
            Err(error) => problem(error.key(), error.reason()),
        }
        problems
    }
}

impl Default for PromptSpec {
    /// `continuation`, which the default model can answer.
    fn default() -> Self {
        Self::preset("continuation")
    }
}

impl<'de> Deserialize<'de> for PromptSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = PromptSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a preset, or a table of prompt settings")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<PromptSpec, E> {
                Ok(PromptSpec::preset(name))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PromptSpec, A::Error> {
                Table::deserialize(MapAccessDeserializer::new(map)).map(PromptSpec::from)
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}

/// The table form of [`PromptSpec`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    preset: Option<String>,
    instruction: Option<String>,
    ending: Option<String>,
    template: Option<String>,
    fields: Option<Vec<String>>,
    max_chars: Option<usize>,
    clean: Option<bool>,
    item_type: Option<String>,
    chat: Option<bool>,
    system: Option<String>,
}

impl From<Table> for PromptSpec {
    fn from(table: Table) -> Self {
        Self {
            preset: table.preset.unwrap_or_else(|| Self::default().preset),
            instruction: table.instruction,
            ending: table.ending,
            template: table.template,
            fields: table.fields,
            max_chars: table.max_chars,
            clean: table.clean,
            item_type: table.item_type,
            chat: table.chat,
            system: table.system,
        }
    }
}

/// Content of a preset's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Preset {
    instruction: String,
    ending: String,
    template: String,
    max_chars: usize,
    chat: bool,
}

/// Why there is no prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// No preset of that name.
    #[error("there is no prompt preset `{name}`; there are {}", known.join(", "))]
    NoPreset {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// A template that cannot be rendered.
    #[error("the prompt's `{key}` cannot be rendered")]
    Template {
        /// The key of the prompt's table.
        key: &'static str,
        /// What minijinja says.
        source: Box<minijinja::Error>,
    },
    /// The model brings no chat template.
    #[error(
        "`{model}` has no chat template; set `chat = false`, or take a model that is made for chat"
    )]
    NoChatTemplate {
        /// The model's file.
        model: String,
    },
    /// The model's chat template cannot be rendered.
    #[error(
        "the chat template of `{model}` refuses the prompt; set `chat = false`, or remove `system`"
    )]
    Chat {
        /// The model's file.
        model: String,
        /// What minijinja says.
        source: Box<minijinja::Error>,
    },
}

impl PromptError {
    /// The key of the prompt's table at fault.
    fn key(&self) -> &'static str {
        match self {
            Self::NoPreset { .. } => "preset",
            Self::Template { key, .. } => key,
            Self::NoChatTemplate { .. } | Self::Chat { .. } => "chat",
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Template { source, .. } | Self::Chat { source, .. } => {
                format!("{self}: {source}")
            }
            Self::NoPreset { .. } | Self::NoChatTemplate { .. } => self.to_string(),
        }
    }
}

/// A prompt spec, ready to render.
#[derive(Debug)]
pub(crate) struct PromptTemplate {
    environment: Environment<'static>,
    pub(crate) chosen: Option<Vec<String>>,
    max_chars: usize,
    clean: bool,
    item_type: String,
    /// Whether the text is for a chat template.
    pub(crate) chat: bool,
    /// What the system says in a chat.
    pub(crate) system: Option<String>,
}

impl PromptTemplate {
    pub(crate) fn new(spec: &PromptSpec) -> Result<Self, PromptError> {
        let spec = spec.resolved()?;
        let mut environment = Environment::new();
        // A misspelt variable would otherwise be an empty place in thousands of prompts.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (key, source) in [
            ("instruction", spec.instruction),
            ("ending", spec.ending),
            ("template", spec.template),
        ] {
            environment
                .add_template_owned(key, source.unwrap_or_default())
                .map_err(failure(key))?;
        }
        Ok(Self {
            environment,
            chosen: spec.fields,
            max_chars: spec.max_chars.unwrap_or(usize::MAX),
            clean: spec.clean.unwrap_or(true),
            item_type: spec.item_type.unwrap_or_default(),
            chat: spec.chat.unwrap_or_default(),
            system: spec.system,
        })
    }

    /// The prompt, before any chat template; `None` for an item of which nothing is known.
    pub(crate) fn render(&self, metadata: &Metadata) -> Result<Option<String>, PromptError> {
        let fields = fields(metadata, self.chosen.as_deref(), self.max_chars, self.clean);
        if fields.is_empty() {
            return Ok(None);
        }
        self.render_fields(&fields).map(Some)
    }

    fn render_fields(&self, fields: &[Field]) -> Result<String, PromptError> {
        let item_type = &self.item_type;
        let part = |key| self.render_one(key, context! { item_type });
        let instruction = part("instruction")?;
        let ending = part("ending")?;
        let field =
            |field: &Field| context! { name => field.name.as_str(), value => field.value.as_str() };
        let fields: Vec<_> = fields.iter().map(field).collect();
        self.render_one(
            "template",
            context! { instruction, ending, item_type, fields },
        )
    }

    fn render_one(
        &self,
        key: &'static str,
        values: minijinja::Value,
    ) -> Result<String, PromptError> {
        self.environment
            .get_template(key)
            .and_then(|template| template.render(values))
            .map_err(failure(key))
    }
}

fn failure(key: &'static str) -> impl Fn(minijinja::Error) -> PromptError {
    move |source| PromptError::Template {
        key,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests;
