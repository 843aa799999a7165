#!/usr/bin/env python3
"""Makes the oracles of genair-encoder with sentence-transformers, the reference implementation.

    pip install torch==2.13.0 transformers==5.23.0 sentence-transformers==6.2.0
    python3 generate.py tiny             # a random BERT, its vocabulary and its answers -> tiny/
    python3 generate.py minilm FOLDER    # what the real model in FOLDER answers -> minilm.json

Texts are our own. Vectors are little-endian f32 in base64.
"""

import base64
import json
import sys
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel

HERE = Path(__file__).resolve().parent

# What can go wrong in a text: accents, capitals, control characters, CJK, emoji, words nobody knows,
# one longer than 100 characters, punctuation, nothing at all, more tokens than fit.
TEXTS = [
    "title is The Last Lighthouse; genres is Drama, Romance; year is 1994",
    "",
    "Café CRÈME, naïve façade — “quoted” prices: $3.50 (50% off)!",
    "tabs\tand\nnew lines\r\nand\u00a0hard spaces\u3000and a\u200bzero width space\u0000\ufffd",
    "東京物語 is a film; 七人の侍 too; Амели и İstanbul, ΟΔΥΣΣΕΥΣ, Straße, ﬁnal",
    "rated ★★★★☆ 👩‍🚀🎬 c++/c# e-mail@example.org __init__ don't ~~~ `x` ^ | = <b>",
    "w" * 100 + " " + "w" * 101 + " 한국어 हिन्दी العربية e\u0301 \u0301 \ue000",
    "people who enjoy slow mysteries set on islands, and quiet endings",
    "people who like quiet island mysteries with a slow pace",
    "a very long description of a lamp, with many words about its colour and its shade. " * 30,
]


def tokens_of(model, text):
    return model.tokenizer(text, truncation=True, max_length=model.max_seq_length)["input_ids"]


def answers(folder):
    model = SentenceTransformer(str(folder), device="cpu")
    rows = []
    for text in TEXTS:
        # One at a time: padding moves the reference by its own rounding.
        vector = model.encode(text, convert_to_numpy=True)
        rows.append({
            "text": text,
            "tokens": tokens_of(model, text),
            "vector": base64.b64encode(vector.astype("<f4").tobytes()).decode(),
        })
    return rows


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n")


def tiny():
    folder = HERE / "tiny"
    folder.mkdir(exist_ok=True)
    letters = "abcdefghilmnoprstuwy"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary += ["title", "is", "the", "people", "who", "##ing", "##er", "東", "амели"]
    vocabulary += list(".,;'$?★σ") + list(letters) + ["##" + c for c in letters + "σ"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")

    torch.manual_seed(44)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=32, max_position_embeddings=48, layer_norm_eps=1e-12, hidden_act="gelu",
        initializer_range=0.5,
    )
    model = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():  # Biases and norms start at 0 and 1, where a mistake would not show.
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    write_json(folder / "tokenizer_config.json", {
        "do_lower_case": True, "tokenizer_class": "BertTokenizer", "strip_accents": None,
        "tokenize_chinese_chars": True, "unk_token": "[UNK]", "sep_token": "[SEP]",
        "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
    })
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 40, "do_lower_case": False})
    write_json(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ])
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 16, "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    })
    write_json(folder / "answers.json", answers(folder))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["tiny"]:
            tiny()
        case ["minilm", folder]:
            write_json(HERE / "minilm.json", answers(folder))
        case _:
            sys.exit(__doc__)
