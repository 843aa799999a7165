#!/usr/bin/env python3
"""Writes hidden_means.json: means of final hidden states by NumPy, for crates/genair-llama/tests/engine.rs.

Independent of llama.cpp in all that counts: the GGUF's weights are dequantised to f32 by the `gguf`
package, tokens come from Hugging Face's `tokenizers` with the file's vocabulary and merges, and the Llama
forward below is written out. Means are over the prompt's tokens, and over all tokens of a given answer
(teacher forcing), of the states after the final norm.

    pip install numpy==2.4.6 gguf==0.19.0 tokenizers==0.22.1
    ./hidden_means.py SmolLM2-135M-Instruct.Q4_1.gguf
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader, dequantize
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

QUESTION = "Based on the following attributes, identify the types of users this item would appeal to: "
CONTINUATION = " The potential users who align best with this movie are people who"
# Invented films. One prompt is a chat with special tokens, one is not ASCII, one is longer than a batch.
ITEMS = [
    (
        "short",
        QUESTION + "title is The Lamplighter's Atlas (1987); genres is Adventure, Drama;" + CONTINUATION,
        " enjoy slow journeys through old cities, maps and the sea.",
    ),
    (
        "digits",
        QUESTION + "title is 12 Minutes to 2049 (1996); genres is Sci-Fi, Thriller;" + CONTINUATION,
        " like clocks, chases and 100 turns of plot in 90 minutes.",
    ),
    (
        "not-ascii",
        QUESTION + "title is Le café d'été à Besançon (1974); genres is Comédie, Romance;" + CONTINUATION,
        " aiment rire, and people who read subtitles — gladly.",
    ),
    (
        "chat",
        "<|im_start|>system\nYou describe audiences.<|im_end|>\n<|im_start|>user\n"
        + QUESTION
        + "title is Nine Goats on a Roof (2001); genres is Children's, Comedy;<|im_end|>\n"
        + "<|im_start|>assistant\n",
        "Families with young children, and anyone who likes animals in trouble.",
    ),
    (
        "long",
        QUESTION
        + "title is The Catalogue (1999); description is "
        + " ".join(f"Part {n} tells of a collector, a thief and the {n}th painting they share." for n in range(1, 36))
        + ";"
        + CONTINUATION,
        " never tire of lists.",
    ),
]


class Llama:
    def __init__(self, path):
        reader = GGUFReader(path)
        field = lambda name: reader.fields[name].contents()
        assert field("general.architecture") == "llama"
        self.heads = field("llama.attention.head_count")
        self.kv_heads = field("llama.attention.head_count_kv")
        self.layers = field("llama.block_count")
        self.epsilon = field("llama.attention.layer_norm_rms_epsilon")
        self.rope_base = field("llama.rope.freq_base")
        self.weights = {t.name: dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
        self.tokenizer = self.make_tokenizer(field)

    @staticmethod
    def make_tokenizer(field):
        tokens, kinds = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
        assert field("tokenizer.ggml.pre") == "smollm" and not field("tokenizer.ggml.add_bos_token")
        merges = [tuple(merge.split(" ")) for merge in field("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        control = [AddedToken(t, special=True) for t, kind in zip(tokens, kinds) if kind == 3]
        tokenizer.add_special_tokens(control)
        return tokenizer

    def norm(self, x, name):
        return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + self.epsilon) * self.weights[name]

    def rotate(self, x):
        """Rotary embedding of [T, heads, D], pairs side by side: llama.cpp's converter permutes so."""
        time, _, size = x.shape
        angle = np.arange(time)[:, None] * self.rope_base ** (-np.arange(0, size, 2) / size)
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape).astype(np.float32)

    def hidden(self, tokens):
        """States [T, width] after the final norm."""
        w, time = self.weights, len(tokens)
        x = w["token_embd.weight"][tokens]
        causal = np.triu(np.full((time, time), -np.inf, np.float32), 1)
        for layer in range(self.layers):
            of = lambda name: w[f"blk.{layer}.{name}.weight"]
            h = self.norm(x, f"blk.{layer}.attn_norm.weight")
            q = self.rotate((h @ of("attn_q").T).reshape(time, self.heads, -1))
            k = self.rotate((h @ of("attn_k").T).reshape(time, self.kv_heads, -1))
            v = (h @ of("attn_v").T).reshape(time, self.kv_heads, -1)
            k, v = (np.repeat(a, self.heads // self.kv_heads, axis=1) for a in (k, v))
            scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(q.shape[-1]) + causal
            p = np.exp(scores - scores.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            x = x + np.einsum("hts,shd->thd", p, v).reshape(time, -1) @ of("attn_output").T
            h = self.norm(x, f"blk.{layer}.ffn_norm.weight")
            gate = h @ of("ffn_gate").T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ of("ffn_up").T)) @ of("ffn_down").T
        return self.norm(x, "output_norm.weight")


def encode(vector):
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


def main(path):
    model = Llama(path)
    results = []
    for key, prompt, text in ITEMS:
        ids = [model.tokenizer.encode(part, add_special_tokens=False).ids for part in (prompt, text)]
        hidden = model.hidden(ids[0] + ids[1])
        results.append(
            {
                "key": key,
                "prompt": prompt,
                "text": text,
                "prompt_tokens": len(ids[0]),
                "new_tokens": len(ids[1]),
                "context_f16": encode(hidden[: len(ids[0])].mean(0)),
                "archetype_f16": encode(hidden[len(ids[0]) :].mean(0)),
            }
        )
        print(key, len(ids[0]), len(ids[1]), float(np.linalg.norm(hidden.mean(0))), file=sys.stderr)
    target = Path(__file__).with_name("hidden_means.json")
    target.write_text(json.dumps({"model": Path(path).name, "items": results}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
