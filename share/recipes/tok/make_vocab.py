#!/usr/bin/env python3
"""Cuts the vocabulary of the default model down to its first merges and encodes texts with it, as the Hugging Face
tokenizers do: tests/data/tok-smollm2.gguf and tests/golden/tokenizer-small.jsonl, so that the tokenizer is tested
against the reference without the model.

    pip install gguf tokenizers
    python3 share/recipes/tok/make_vocab.py SmolLM2-135M-Instruct.Q4_1.gguf tests/data/tok-smollm2.gguf \\
        tests/golden/tokenizer.jsonl > tests/golden/tokenizer-small.jsonl

The vocabulary is SmolLM2's (Apache-2.0). Each text is encoded with every pre-tokenizer rule over these merges.
"""
import json
import sys

from gguf import GGUFReader, GGUFWriter
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

N_MERGES = 2500
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
MORE = ["a" * 100, "ab" * 60, "the " * 40, "internationalization " * 3, "x" * 33, "=" * 200, "aaab" * 20 + "\n" * 40,
        "It'S WE'LL don't 12345 67 8", "a\x04b!\x04!", "tab\t\ttab \n\n  end  ", "<|im_start|>user\nhi<|im_end|>\n", "'\u017f \u2160\u00bd\u0661"]


def pre_tokenizer(pre):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre in ("gpt-2", "smollm"))
    if pre == "gpt-2":
        return byte_level
    if pre == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    numbers = r"\p{N}{1,3}" if pre == "llama-bpe" else r"\p{N}"
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3 % numbers), "isolated"), byte_level])


def main():
    model, out, golden = sys.argv[1:]
    f = GGUFReader(model).fields
    merges = f["tokenizer.ggml.merges"].contents()[:N_MERGES]
    tokens = f["tokenizer.ggml.tokens"].contents()
    types = f["tokenizer.ggml.token_type"].contents()
    n = 1 + max(tokens.index(m.replace(" ", "")) for m in merges)
    tokens, types = tokens[:n], types[:n]

    w = GGUFWriter(out, "llama")
    w.add_name("SmolLM2 vocabulary, first %d merges" % N_MERGES)
    w.add_license("apache-2.0")
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges(merges)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_add_bos_token(False)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()

    texts = [json.loads(line)["text"] for line in open(golden)] + MORE
    for pre in ("gpt-2", "smollm", "llama-bpe", "qwen2"):
        t = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in merges],
                                 ignore_merges=pre == "llama-bpe"))
        t.pre_tokenizer = pre_tokenizer(pre)
        t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s, k in zip(tokens, types) if k == 3])
        for text in texts:
            print(json.dumps({"pre": pre, "text": text, "ids": t.encode(text, add_special_tokens=False).ids}))


main()
