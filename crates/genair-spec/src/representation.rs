//! `[representation.NAME]`, `[archetype]` and `[dataset.NAME.prompt]`: from the tables of a spec to what
//! a run trains on and the stage that makes its item vectors.

use std::path::PathBuf;
use std::sync::LazyLock;

use genair_archetype::{ArchetypeSpec, PromptSpec, TextSpec, VectorsForm, Whitening};
use genair_protocol::{
    AdapterSpec, CalibrationSpec, DeltaSpec, FrozenSpec, Fusion, FusionSpec, ImputedSpec,
    Permutation, Ranges, RepresentationKind, RepresentationSpec, Scale, SpecProblem, TableInit,
    VectorPart, VectorSource,
};
use genair_toml::{KeyPath, read_section};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::axes::Axis;
use super::check::{Checker, with_chosen};
use super::data_path::Leads;

/// Sizes of item vectors where the spec says nothing (docs/method.md, section 3): components of each part,
/// and both together.
pub(crate) const COMPONENTS: usize = 384;
const GAUSSIAN_WIDTH: usize = 2 * COMPONENTS;

/// `[representation.NAME]`. What a kind does not have is refused, so that no setting is without effect.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    #[serde(default = "learned_table")]
    kind: RepresentationKind,
    part: Option<VectorPart>,
    components: Option<usize>,
    whiten: Option<Whitening>,
    joint: Option<bool>,
    scale: Option<Scale>,
    adapter: Option<AdapterSpec>,
    finetune: Option<bool>,
    delta: Option<DeltaSpec>,
    #[schemars(with = "Option<FusionForm>")]
    fusion: Option<FusionSpec>,
    /// Whose vectors are shuffled.
    of: Option<String>,
    /// The metadata field whose groups vectors stay in; absent: none.
    within: Option<String>,
    #[schemars(range(min = 1))]
    width: Option<usize>,
    path: Option<PathBuf>,
    items: Option<PathBuf>,
    id_column: Option<String>,
    encoder: Option<String>,
    /// Layered over `[archetype]`; read by itself.
    #[schemars(with = "Option<ArchetypeSpec>")]
    archetype: Option<Table>,
    impute: Option<Impute>,
    calibration: Option<CalibrationSpec>,
}

/// What stands for the rows of cold items in a learned table.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Impute {
    /// How many of the nearest warm items a row is the mean of, at least 1.
    #[schemars(range(min = 1))]
    neighbours: usize,
    /// The representation whose vectors, before training, say how near items are.
    by: String,
}

/// How `fusion` may be written; a name alone is read as a table that has it as its `kind`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is there for the schema alone")]
enum FusionForm {
    Kind(Fusion),
    Table(FusionSpec),
}

fn learned_table() -> RepresentationKind {
    RepresentationKind::Id
}

/// Keys of a section by the kinds that have them; `kind` and `calibration` belong to all.
const OWN_KEYS: [(&str, &[RepresentationKind]); 18] = {
    use RepresentationKind::{Archetype, Id, Permuted, Random, Text, Vectors};
    const FROZEN: &[RepresentationKind] = &[Archetype, Text, Random, Vectors];
    [
        ("impute", &[Id]),
        ("adapter", FROZEN),
        ("finetune", FROZEN),
        ("delta", FROZEN),
        ("fusion", FROZEN),
        ("scale", FROZEN),
        ("part", &[Archetype, Vectors]),
        ("components", &[Archetype, Text, Vectors]),
        ("whiten", &[Archetype, Text, Vectors]),
        ("joint", &[Archetype, Vectors]),
        ("of", &[Permuted]),
        ("within", &[Permuted]),
        ("archetype", &[Archetype, Text]),
        ("width", &[Random]),
        ("path", &[Vectors]),
        ("items", &[Vectors]),
        ("id_column", &[Vectors]),
        ("encoder", &[Text]),
    ]
};

/// How a run's item vectors are made.
#[derive(Clone, Debug, PartialEq)]
pub enum VectorsStage {
    /// A language model writes archetypes, and its hidden states, pooled and reduced, are the vectors.
    Archetype {
        /// Engine, model, prompt and generation.
        settings: Box<ArchetypeSpec>,
        /// What is made of the hidden states.
        form: VectorsForm,
    },
    /// A sentence encoder reads each item's text.
    Text {
        /// Engine, model and prompt.
        settings: Box<ArchetypeSpec>,
        /// What is made of the encoder's vectors.
        form: VectorsForm,
    },
    /// Vectors made elsewhere.
    Import {
        /// Their file.
        path: PathBuf,
        /// The file of their rows' item ids; none where rows are the catalogue's.
        items: Option<PathBuf>,
        /// The column of the file that has the ids; excludes `items`.
        id_column: Option<String>,
        /// What is made of them.
        form: VectorsForm,
    },
}

impl VectorsStage {
    /// What an engine is asked for, and what is made of its vectors; none for an import.
    pub fn engine(&self) -> Option<(&ArchetypeSpec, &VectorsForm)> {
        match self {
            Self::Archetype { settings, form } | Self::Text { settings, form } => {
                Some((settings, form))
            }
            Self::Import { .. } => None,
        }
    }

    /// What is made of the vectors.
    pub fn form(&self) -> &VectorsForm {
        match self {
            Self::Archetype { form, .. } | Self::Text { form, .. } | Self::Import { form, .. } => {
                form
            }
        }
    }

    /// The same, to be changed.
    pub fn form_mut(&mut self) -> &mut VectorsForm {
        match self {
            Self::Archetype { form, .. } | Self::Text { form, .. } | Self::Import { form, .. } => {
                form
            }
        }
    }
}

/// A representation with what must be made before a run can have it.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    pub(crate) spec: RepresentationSpec,
    pub(crate) vectors: Option<VectorsStage>,
}

impl Representation {
    /// What built-in backbones have.
    pub(crate) fn none() -> Self {
        Self {
            spec: RepresentationSpec {
                name: "none".to_owned(),
                kind: RepresentationKind::None,
                frozen: None,
                imputed: None,
                calibration: None,
            },
            vectors: None,
        }
    }
}

impl Checker<'_> {
    /// Checks `[archetype]` for keys and types; values are judged where layers come together.
    pub(crate) fn archetype_section(&mut self) {
        let at = KeyPath::new(["archetype"]);
        let table = at.table(&self.tree);
        read_section::<ArchetypeSpec>(&at, &table, &mut self.problems);
    }

    /// Checks `[dataset.NAME.prompt]` likewise.
    pub(crate) fn dataset_prompt(&mut self, dataset: &str, chosen: &[(&Axis, &Value)]) {
        let at = KeyPath::new(["dataset", dataset, "prompt"]);
        let prompt = self.prompt_at(&at, chosen);
        read_section::<PromptSpec>(&at, &prompt, &mut self.problems);
    }

    /// A prompt's table, empty where there is none.
    fn prompt_at(&self, at: &KeyPath, chosen: &[(&Axis, &Value)]) -> Table {
        with_chosen(as_prompt(self.value(at).cloned()), at, chosen)
    }

    /// Archetype settings of one dataset and representation: `[archetype]`, then the dataset's prompt,
    /// then the representation's own; `None` if there was anything to report.
    pub(crate) fn archetype_of(
        &mut self,
        dataset: Option<&str>,
        representation: &str,
        chosen: &[(&Axis, &Value)],
    ) -> Option<ArchetypeSpec> {
        let shared = self.shared_settings(dataset, chosen);
        let spec: ArchetypeSpec = self.layered(shared, representation, chosen)?;
        self.judge_layers(dataset, representation, spec)
    }

    /// The same of kind `text`, where `[archetype]` and the dataset say which fields are told, and how long;
    /// `model` is the encoder, a name, a folder or a GGUF file, where that is not the default one.
    fn text_of(
        &mut self,
        dataset: Option<&str>,
        representation: &str,
        model: Option<&str>,
        chosen: &[(&Axis, &Value)],
    ) -> Option<ArchetypeSpec> {
        let told = KeyPath::new(["prompt"]).table(&self.shared_settings(dataset, chosen));
        let mut prompt = Table::from_iter([("preset".to_owned(), "attributes".into())]);
        let of_texts = ["fields", "max_chars", "item_type"];
        prompt.extend(
            told.into_iter()
                .filter(|(key, _)| of_texts.contains(&key.as_str())),
        );
        let mut settings = Table::from_iter([("prompt".to_owned(), Value::Table(prompt))]);
        if let Some(model) = model {
            settings.insert("model".to_owned(), model.into());
            if model.ends_with(".gguf") {
                settings.insert("engine".to_owned(), "llama-cpp".into());
            }
        }
        let spec: TextSpec = self.layered(settings, representation, chosen)?;
        self.judge_layers(dataset, representation, spec.into_engine_settings())
    }

    /// `[archetype]` with the dataset's prompt on top.
    fn shared_settings(&self, dataset: Option<&str>, chosen: &[(&Axis, &Value)]) -> Table {
        let mut settings = with_prompt_table(KeyPath::new(["archetype"]).table(&self.tree));
        if let Some(name) = dataset {
            let prompt = self.prompt_at(&KeyPath::new(["dataset", name, "prompt"]), chosen);
            let prompt = Table::from_iter([("prompt".to_owned(), Value::Table(prompt))]);
            merge(&mut settings, prompt);
        }
        settings
    }

    /// Settings with the representation's own on top; `None` if its own do not fit.
    fn layered<T: DeserializeOwned>(
        &mut self,
        mut settings: Table,
        representation: &str,
        chosen: &[(&Axis, &Value)],
    ) -> Option<T> {
        let at = KeyPath::new(["representation", representation, "archetype"]);
        let own = self.table(&at, chosen);
        read_section::<T>(&at, &own, &mut self.problems)?;
        merge(&mut settings, with_prompt_table(own));
        // Each layer has its own messages about keys and types.
        settings.try_into().ok()
    }

    /// Settings with their paths resolved, once nothing is wrong with them; else reports it at the layer that has it.
    fn judge_layers(
        &mut self,
        dataset: Option<&str>,
        representation: &str,
        mut settings: ArchetypeSpec,
    ) -> Option<ArchetypeSpec> {
        let found = settings.validate();
        let own = KeyPath::new(["representation", representation]);
        let shared = KeyPath::new(["archetype"]);
        for problem in &found {
            let keys = &problem.key;
            let of_dataset = dataset.filter(|_| keys[0] == "prompt");
            let of_dataset =
                of_dataset.map(|name| KeyPath::new(["dataset", name, "prompt"]).join(&keys[1..]));
            let encoder = (keys[0] == "model").then(|| own.child("encoder"));
            let places = [
                Some(own.child("archetype").join(keys)),
                encoder,
                of_dataset,
                Some(shared.join(keys)),
            ];
            let mut places = places.into_iter().flatten();
            let written = places.find(|key| key.get(&self.tree).is_some());
            let key = written.unwrap_or_else(|| shared.join(keys));
            self.problems.about(&key, &problem.message, None);
        }
        settings.resolve_paths(&self.file.folder());
        found.is_empty().then_some(settings)
    }

    /// A representation for one dataset; `None` if there was anything to report.
    pub(crate) fn representation(
        &mut self,
        name: &str,
        dataset: Option<&str>,
        chosen: &[(&Axis, &Value)],
    ) -> Option<Representation> {
        static RANGES: LazyLock<Ranges> = LazyLock::new(Ranges::of::<Section>);
        let at = KeyPath::new(["representation", name]);
        let table = with_fusion_table(self.table(&at, chosen));
        if at.get(&self.tree).is_some() && !table.contains_key("kind") && name != "id" {
            let hint =
                "write kind = \"id\" for a learned table; docs/specs.md lists the kinds".to_owned();
            self.problems
                .about(&at.child("kind"), "is missing", Some(hint));
            return None;
        }
        let section: Section = read_section(&at, &table, &mut self.problems)?;
        if section.kind == RepresentationKind::None {
            let message = "is \"none\"; only built-in backbones go without item vectors";
            self.problems.about(&at.child("kind"), message, None);
            return None;
        }
        let mut valid = self.own_keys(&at, &table, section.kind);
        valid &= self.judge(&at, RANGES.problems(&section));
        if section.kind == RepresentationKind::Permuted {
            return self
                .permuted(name, &section, dataset, chosen)
                .filter(|_| valid);
        }
        valid &= self.judge(&at, section.without_effect());
        let mut vectors = self.vectors_stage(&at, &section, name, dataset, chosen);
        let mut imputed = None;
        // Of another kind the key is refused, so that no representation is imputed by one that is imputed itself.
        let impute = section.impute.as_ref();
        if let Some(impute) = impute.filter(|_| section.kind == RepresentationKind::Id) {
            let made = self.imputed(&at, impute, dataset, chosen)?;
            imputed = Some(made.0);
            vectors = Some(made.1);
        }
        if !valid || vectors.is_none() {
            return None;
        }
        let frozen = section.frozen();
        Some(Representation {
            spec: RepresentationSpec {
                name: name.to_owned(),
                kind: section.kind,
                frozen,
                imputed,
                calibration: section.calibration,
            },
            vectors: vectors.flatten(),
        })
    }

    /// What cold items are imputed by, and the stage that makes the vectors; `None` if there was anything to report.
    fn imputed(
        &mut self,
        at: &KeyPath,
        impute: &Impute,
        dataset: Option<&str>,
        chosen: &[(&Axis, &Value)],
    ) -> Option<(ImputedSpec, Option<VectorsStage>)> {
        let key = at.child("impute").child("by");
        let source = KeyPath::new(["representation", &impute.by]);
        let kind = source.child("kind");
        let kind = kind.get(&self.tree).and_then(Value::as_str);
        if !matches!(kind, Some("archetype" | "text" | "vectors")) {
            let why = match source.get(&self.tree) {
                None => "which the spec does not define",
                Some(_) => "which has no vectors of a file",
            };
            let message = format!("is \"{}\", {why}", impute.by);
            let hint = "name a representation of kind archetype, text or vectors".to_owned();
            self.problems.about(&key, message, Some(hint));
            return None;
        }
        let made = self.representation(&impute.by, dataset, chosen)?;
        let frozen = made.spec.frozen?;
        let spec = ImputedSpec {
            neighbours: impute.neighbours,
            source: frozen.source,
            part: frozen.part,
        };
        Some((spec, made.vectors))
    }

    /// The vectors of another representation, shuffled; `None` if there was anything to report.
    fn permuted(
        &mut self,
        name: &str,
        section: &Section,
        dataset: Option<&str>,
        chosen: &[(&Axis, &Value)],
    ) -> Option<Representation> {
        let at = KeyPath::new(["representation", name]);
        let key = at.child("of");
        let Some(of) = &section.of else {
            let hint = "name the representation whose vectors are to be shuffled".to_owned();
            self.problems.about(&key, "is missing", Some(hint));
            return None;
        };
        let source = KeyPath::new(["representation", of]);
        let kind = source.child("kind");
        let kind = kind.get(&self.tree).and_then(Value::as_str);
        let refusal = match (source.get(&self.tree), kind) {
            (None, _) => Some("which the spec does not define"),
            (Some(_), None | Some("id")) => Some("which has no vectors to shuffle"),
            (Some(_), Some("permuted")) => Some("which is itself shuffled"),
            (Some(_), Some("random")) if section.within.is_some() => {
                Some("which has no metadata for `within`")
            }
            _ => None,
        };
        if let Some(why) = refusal {
            let message = format!("is \"{of}\", {why}");
            let hint = "name a representation of kind archetype, text or vectors".to_owned();
            self.problems.about(&key, message, Some(hint));
            return None;
        }
        let mut made = self.representation(of, dataset, chosen)?;
        made.spec.name = name.to_owned();
        made.spec.kind = RepresentationKind::Permuted;
        if section.calibration.is_some() {
            made.spec.calibration.clone_from(&section.calibration);
        }
        if let Some(frozen) = &mut made.spec.frozen {
            frozen.permuted = Some(match section.within {
                Some(_) => Permutation::Groups,
                None => Permutation::All,
            });
        }
        if let Some(vectors) = &mut made.vectors {
            vectors.form_mut().groups.clone_from(&section.within);
        }
        Some(made)
    }

    /// The representation whose table has the settings of a run's: its own, or that of the one it shuffles.
    pub(crate) fn settings_of<'n>(&'n self, name: &'n str) -> &'n str {
        let at = KeyPath::new(["representation", name]);
        let text = |key: &str| at.child(key).get(&self.tree).and_then(Value::as_str);
        match (text("kind"), text("of")) {
            (Some("permuted"), Some(of)) => of,
            _ => name,
        }
    }

    fn own_keys(&mut self, at: &KeyPath, table: &Table, kind: RepresentationKind) -> bool {
        let mut valid = true;
        for (name, kinds) in OWN_KEYS {
            if table.contains_key(name) && !kinds.contains(&kind) {
                let others: Vec<_> = kinds.iter().copied().map(quoted).collect();
                let message = format!("has no meaning for kind {}", quoted(kind));
                let hint = format!("it belongs to kind {}", others.join(", "));
                self.problems.about(&at.child(name), message, Some(hint));
                valid = false;
            }
        }
        valid
    }

    /// The stage that makes the vectors of a section: `Some(None)` where there is none to make, `None`
    /// if there was anything to report.
    fn vectors_stage(
        &mut self,
        at: &KeyPath,
        section: &Section,
        name: &str,
        dataset: Option<&str>,
        chosen: &[(&Axis, &Value)],
    ) -> Option<Option<VectorsStage>> {
        match section.kind {
            RepresentationKind::Id | RepresentationKind::Random | RepresentationKind::None => {
                Some(None)
            }
            RepresentationKind::Archetype => {
                let settings = self.archetype_of(dataset, name, chosen)?;
                let settings = match section.part {
                    // Its vectors are states of the prompt, and need no answer.
                    Some(VectorPart::Context) => settings.of_prompts(),
                    _ => settings,
                };
                Some(Some(VectorsStage::Archetype {
                    settings: Box::new(settings),
                    form: section.form(COMPONENTS),
                }))
            }
            RepresentationKind::Text => {
                let model = section.encoder.as_deref();
                let settings = self.text_of(dataset, name, model, chosen)?;
                Some(Some(VectorsStage::Text {
                    settings: Box::new(settings),
                    form: section.form(0),
                }))
            }
            RepresentationKind::Vectors => {
                let Some(path) = &section.path else {
                    let hint =
                        "name the .safetensors, .npy, .npz, .csv or .parquet file of the vectors"
                            .to_owned();
                    self.problems
                        .about(&at.child("path"), "is missing", Some(hint));
                    return None;
                };
                let path = self.absolute(&at.child("path"), path, Leads::ToVectors)?;
                if section.items.is_some() && section.id_column.is_some() {
                    let hint = "remove one of the two keys".to_owned();
                    let message = "is set, and `items` too; each says which item a row is";
                    self.problems
                        .about(&at.child("id_column"), message, Some(hint));
                    return None;
                }
                let items = match &section.items {
                    Some(items) => {
                        Some(self.absolute(&at.child("items"), items, Leads::ToVectors)?)
                    }
                    None => None,
                };
                Some(Some(VectorsStage::Import {
                    path,
                    items,
                    id_column: section.id_column.clone(),
                    form: section.form(0),
                }))
            }
            // See `permuted`.
            RepresentationKind::Permuted => None,
        }
    }
}

impl Section {
    fn frozen(&self) -> Option<FrozenSpec> {
        let source = match self.kind {
            RepresentationKind::Id | RepresentationKind::None => return None,
            RepresentationKind::Random => VectorSource::Gaussian {
                width: self.width.unwrap_or(GAUSSIAN_WIDTH),
            },
            // See `Draft::complete`.
            _ => VectorSource::File {
                recipe_sha256: String::new(),
            },
        };
        Some(FrozenSpec {
            part: self.part.unwrap_or(VectorPart::Both),
            scale: self.scale,
            finetune: self.finetune.unwrap_or_default(),
            delta: self.delta,
            adapter: self.adapter.clone().unwrap_or_default(),
            fusion: self.fusion.unwrap_or_default(),
            ..FrozenSpec::new(source)
        })
    }

    /// `components` are those of a section that says nothing.
    fn form(&self, components: usize) -> VectorsForm {
        VectorsForm {
            components: self.components.unwrap_or(components),
            whiten: self.whiten.unwrap_or_default(),
            joint: self.joint.unwrap_or_default(),
            groups: None,
            fitted: None,
        }
    }

    /// Settings that mean nothing beside others.
    fn without_effect(&self) -> Vec<SpecProblem> {
        let fusion = self.fusion.unwrap_or_default();
        let is_plain = self.components.unwrap_or(COMPONENTS) == 0
            && self.whiten.unwrap_or_default().ridge().is_none();
        let one_part = matches!(self.part, Some(VectorPart::Context | VectorPart::Archetype));
        [
            (
                "delta",
                self.delta.is_some() && self.finetune != Some(true),
                "bounds what `finetune` moves; set `finetune = true` beside it",
            ),
            (
                "joint",
                self.joint == Some(true) && one_part,
                "joins all parts, where `part` takes one; leave one of the two out",
            ),
            (
                "joint",
                self.joint == Some(true) && is_plain,
                "joins parts before they are reduced; set `components` or `whiten`",
            ),
            (
                "fusion.init",
                fusion.init == TableInit::Vectors
                    && matches!(fusion.kind, Fusion::None | Fusion::NullSpace),
                "has no meaning here; it starts the table of \"sum\", \"concat\" and \"dual\"",
            ),
            (
                "fusion.width",
                fusion.width.is_some() && fusion.kind != Fusion::NullSpace,
                "has no meaning here; only \"null-space\" has a table of its own width",
            ),
        ]
        .into_iter()
        .filter(|&(_, wrong, _)| wrong)
        .map(|(key, _, message)| SpecProblem::new(key, message.to_owned()))
        .collect()
    }
}

/// The name of a kind as a spec has it, in quotes.
fn quoted(kind: RepresentationKind) -> String {
    serde_json::json!(kind).to_string()
}

/// A section whose `fusion` is a table, also where it was written as a name.
fn with_fusion_table(mut table: Table) -> Table {
    if let Some(kind @ Value::String(_)) = table.get("fusion").cloned() {
        let fusion = Table::from_iter([("kind".to_owned(), kind)]);
        table.insert("fusion".to_owned(), Value::Table(fusion));
    }
    table
}

/// A prompt written as a preset's name, or as a table.
fn as_prompt(value: Option<Value>) -> Table {
    match value {
        Some(Value::Table(table)) => table,
        Some(preset) => Table::from_iter([("preset".to_owned(), preset)]),
        None => Table::new(),
    }
}

/// Archetype settings with their prompt as a table.
fn with_prompt_table(mut table: Table) -> Table {
    if let Some(prompt) = table.remove("prompt") {
        table.insert("prompt".to_owned(), Value::Table(as_prompt(Some(prompt))));
    }
    table
}

/// Puts `over` on top of `table`, table by table.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => merge(inner, over),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}
