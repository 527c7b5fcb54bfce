#!/usr/bin/env python3
"""Writes tests/golden/pretok.jsonl: how the published pre-tokenizer regexes split texts.

    pip install regex unicodedata2==15.1.0
    python3 share/recipes/tok/make_pretok_golden.py > tests/golden/pretok.jsonl

The engine is the Python package `regex`; code points that Unicode 15.1 does not assign are avoided, because the
package may know newer ones.
"""
import json
import random

import regex
import unicodedata2 as ud

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")


def whole(pattern):
    r = regex.compile(pattern)
    return lambda text: r.findall(text)


def smollm(text):
    """Digits(individual_digits) and then ByteLevel(use_regex) of the Hugging Face tokenizers."""
    split, out = whole(GPT2), []
    for part in regex.findall(r"\p{N}|\P{N}+", text):
        out += [part] if regex.fullmatch(r"\p{N}", part) else split(part)
    return out


RULES = {"gpt-2": whole(GPT2), "smollm": smollm, "llama-bpe": whole(LLAMA3 % r"\p{N}{1,3}"),
         "qwen2": whole(LLAMA3 % r"\p{N}")}

NASTY = [
    "a", " ", "  ", "   ", " a", "  a", "   a", "a ", "a  ", "a   b", "\n", "\n\n", "a\n", "a\n\nb", "a \n b", " \n", "\n ",
    "\n  x", "  \n  x", "\r\n", "a\r\nb", "a \r\n\r\n  b", "\t", "\t\tx", "x\t", "\t\n\t", "\x0b\x0cx", "\x85a", "a\xa0b",
    "\xa0\xa0b", " \xa0 b", "\u3000", "\u3000\u3000x", "a\u3000b", "\u2028\u2029x", "\u200bx", "\ufeffx", "x\u00ad",
    "don't", "DON'T", "I'LL we'Ve they'RE", "'s", "''s", "'S", "'\u017f", "it'\u017fx", "x'\u212a", "'", "'x", " 's", "'ll'd", "a'b",
    "can''t", "'d've", "o'clock", "'re-'ve", "1's", "\u2019s", "123", "1234567", " 1", "  12", "   123 456", "a1b22c333d4444",
    "3.14", "1,000,000", "\u00bd\u00be\u2160\u2174", "\u0663\u0664\u0665\u0666", "\uff11\uff12\uff13\uff14", "x\u00b2", "1 \n2", "1  \t3",
    "hello world", "Hello, world!", "!!", " !!", "  !!", "!!\n", "!!\r\n\r\nx", "...\n\n...", " ...", "a!b", "a !b", "a! b",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u3053\u3093\u306b\u3061\u306f 123", "\uc548\ub155 \ud558\uc138\uc694", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643",
    "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0e44\u0e17\u0e22 \u0e01\u0e33", "e\u0301", "e\u0301e\u0301 x\u0301y", "\u0301", " \u0301", "a\u0301\u0302b", "\u0301a",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f3f3\ufe0f\u200d\U0001f308!", " \U0001f600 x", "\U0001f600\U0001f600\n", "\U0001d54f\U0001d7d8",
    "\x00", "a\x00b", "\x1b[31m", "\x7f", "\ue000", "\U0010ffff", "\ufffd", "_a_b", "a_b", "$5.00", "a+b=c", "x->y", "/* c */", "#!/bin/sh\n",
    "if (x) {\n    return 0;\n}\n", "\tif x:\n\t\tpass", "<|im_start|>user\n", "http://a.b/c?d=e&f=g#h", "\u01c5\u02b0\u2c7c", "\u00aa\u00ba\u00b5",
]
PARTS = ["a", "Bc", "\u00e9", "\u0416", "\u4e2d", "\u0930", "1", "23", "456", "7890", "\u0661", "\u00bc", "\u216f", " ", " ", "  ", "\n", "\r\n", "\t", "\xa0",
         "\u3000", "\u2009", "\x0b", "\x85", "'", "'s", "'T", "'re", "'LL", "\u2019", ".", "!?", "--", "(", "\u2026", "$", "+", "\u20ac", "\u0301", "\u0941", "\u20e3",
         "\u200d", "\U0001f600", "\U0001f3fd", "\x01", "\u017f"]


def texts():
    yield from NASTY
    r = random.Random(20240229)
    for i in range(130):
        out = []
        for _ in range(r.randint(3, 12)):
            if r.random() < 0.8:
                out.append(r.choice(PARTS))
                continue
            cp = r.choice([r.randint(0x80, 0x2fff), r.randint(0x3000, 0xfffd), r.randint(0x10000, 0x1ffff)])
            if ud.category(chr(cp)) not in ("Cn", "Cs"):
                out.append(chr(cp))
        yield "".join(out)


for text in texts():
    for pre, split in RULES.items():
        pieces = split(text)
        assert "".join(pieces) == text
        print(json.dumps({"pre": pre, "text": text, "pieces": pieces}))
