//! A model's own chat template, rendered here, so that a prompt is known in full before any engine
//! runs: it is what is shown, hashed and sent.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::PromptError;
use crate::gguf::GgufMetadata;

/// Instructions a template may run: far more than a sane one needs, and no endless loop.
const FUEL: u64 = 1_000_000;

/// The chat template of a model.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    model: String,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// `model` names the model in errors.
    pub(crate) fn new(metadata: GgufMetadata, model: &str) -> Result<Self, PromptError> {
        let source = metadata
            .chat_template
            .ok_or_else(|| PromptError::NoChatTemplate {
                model: model.to_owned(),
            })?;
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        // As transformers renders chat templates: whitespace, methods of Python and `raise_exception`.
        // Not `strftime_now`: a prompt must not depend on the day.
        let refused = |source| PromptError::Chat {
            model: model.to_owned(),
            source: Box::new(source),
        };
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(refused)?);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<(), Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned("chat", source)
            .map_err(refused)?;
        Ok(Self {
            environment,
            model: model.to_owned(),
            bos: metadata.bos.unwrap_or_default(),
            eos: metadata.eos.unwrap_or_default(),
        })
    }

    /// The text the model sees, up to where the assistant begins to speak.
    pub(crate) fn render(&self, system: Option<&str>, user: &str) -> Result<String, PromptError> {
        let system = system.map(|content| context! { role => "system", content });
        let user = context! { role => "user", content => user };
        let messages: Vec<_> = system.into_iter().chain([user]).collect();
        let values = context! {
            messages,
            add_generation_prompt => true,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
        };
        self.environment
            .get_template("chat")
            .and_then(|template| template.render(values))
            .map_err(|source| PromptError::Chat {
                model: self.model.clone(),
                source: Box::new(source),
            })
    }
}
