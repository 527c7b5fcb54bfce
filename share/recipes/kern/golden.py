#!/usr/bin/env python3
"""Writes tests/golden/kern_blocks.txt: blocks of every quantised GGUF format with the floats they mean.

    python3 share/recipes/kern/golden.py > tests/golden/kern_blocks.txt
    python3 share/recipes/kern/golden.py --check     # compares with the dequantisers of the pip package `gguf` (and numpy)

The formulas are written from the description of the formats (ggml-common.h, ggml-quants.c: "dequantize_row_*"), one element
at a time, independent of the C code. Bytes come from SHA-256 of a label, so that they are the same everywhere. A line is
TYPE, the block's bytes in hex, its floats as hex bit patterns.
"""
import hashlib
import struct
import sys


def f32(x):
    """x (exact in a double) rounded once to a float."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


def f16(b):
    return struct.unpack("<e", b)[0]


def q8_0(b):
    d = f16(b[0:2])
    return [d * q for q in struct.unpack("<32b", b[2:34])]


def nibble(qs, i):
    return qs[i] & 15 if i < 16 else qs[i - 16] >> 4


def q4_0(b):
    d = f16(b[0:2])
    return [d * (nibble(b[2:18], i) - 8) for i in range(32)]


def q4_1(b):
    d, m = f16(b[0:2]), f16(b[2:4])
    return [d * nibble(b[4:20], i) + m for i in range(32)]


def fifth(qh, i):
    return (int.from_bytes(qh, "little") >> i & 1) << 4


def q5_0(b):
    d = f16(b[0:2])
    return [d * ((nibble(b[6:22], i) | fifth(b[2:6], i)) - 16) for i in range(32)]


def q5_1(b):
    d, m = f16(b[0:2]), f16(b[2:4])
    return [d * (nibble(b[8:24], i) | fifth(b[4:8], i)) + m for i in range(32)]


def scale_min(s, j):
    if j < 4:
        return s[j] & 63, s[j + 4] & 63
    return (s[j + 4] & 15) | (s[j - 4] >> 6) << 4, (s[j + 4] >> 4) | (s[j] >> 6) << 4


def q45_k(b, qh, qs):
    d, dmin = f16(b[0:2]), f16(b[2:4])
    out = []
    for i in range(256):
        j = i // 32
        sc, m = scale_min(b[4:16], j)
        byte = qs[32 * (i // 64) + i % 32]
        q = byte >> 4 if j & 1 else byte & 15
        if qh:
            q |= (qh[i % 32] >> j & 1) << 4
        out.append(d * sc * q - dmin * m)
    return out


def q4_k(b):
    return q45_k(b, None, b[16:144])


def q5_k(b):
    return q45_k(b, b[16:48], b[48:176])


def q6_k(b):
    ql, qh, sc, d = b[0:128], b[128:192], struct.unpack("<16b", b[192:208]), f16(b[208:210])
    out = []
    for i in range(256):
        half, part, l = i // 128, i % 128 // 32, i % 32
        low = ql[64 * half + 32 * (part & 1) + l] >> (4 * (part >> 1)) & 15
        high = qh[32 * half + l] >> (2 * part) & 3
        out.append(d * sc[i // 16] * ((low | high << 4) - 32))
    return out


# name: bytes a block, offsets of its f16 fields, blocks to write, formula
FORMATS = {
    "Q8_0": (34, [0], 4, q8_0),
    "Q4_0": (18, [0], 4, q4_0),
    "Q4_1": (20, [0, 2], 4, q4_1),
    "Q5_0": (22, [0], 4, q5_0),
    "Q5_1": (24, [0, 2], 4, q5_1),
    "Q4_K": (144, [0, 2], 2, q4_k),
    "Q5_K": (176, [0, 2], 2, q5_k),
    "Q6_K": (210, [208], 2, q6_k),
}


def block(name, n):
    size, halves, _, _ = FORMATS[name]
    raw = b"".join(hashlib.sha256(f"{name} {n} {i}".encode()).digest() for i in range(size // 32 + 1))
    b = bytearray(raw[:size])
    for h in halves:  # finite scales; in block 1 subnormal ones
        b[h + 1] = b[h + 1] & 0x83 if n == 1 else (b[h + 1] & 0x83) | 0x24 + (n << 2)
    return bytes(b)


def main():
    for name, (_, _, count, formula) in FORMATS.items():
        for n in range(count):
            b = block(name, n)
            values = [f32(v) + 0.0 for v in formula(b)]
            if sys.argv[1:] == ["--check"]:
                check(name, b, values)
            else:
                print(name, b.hex(), " ".join("%08x" % struct.unpack("<I", struct.pack("<f", v)) for v in values))


def check(name, b, values):
    import gguf
    import numpy as np

    want = gguf.dequantize(np.frombuffer(b, np.uint8), gguf.GGMLQuantizationType[name]).astype(np.float64)
    worst = np.max(np.abs(want - values))
    print(name, "largest difference", worst)
    assert worst <= 1e-6 * np.max(np.abs(values)) + 1e-12, name


main()
