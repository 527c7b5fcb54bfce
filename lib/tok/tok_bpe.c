/* tok_bpe.c - byte-level BPE: tables from the GGUF, and the encoding of plain text.
 * Stored token texts spell each byte as one printable character (GPT-2's alphabet, bytes_to_unicode in
 * https://github.com/openai/gpt-2/blob/master/src/encoder.py). Merging works on ids, so the alphabet appears only
 * where tables are made and where a token becomes bytes. */
#include "tok/tok_priv.h"

#include <stdio.h>
#include <string.h>

/* Bytes 0x21..0x7E, 0xA1..0xAC and 0xAE..0xFF stand for themselves, the other 68 are U+0100 and on in their order. */
static uint32_t byte_char(unsigned b)
{
    if (b < 0x21)
        return 0x100 + b;
    if (b < 0x7F)
        return b;
    if (b < 0xA1)
        return 0x100 + 0x21 + (b - 0x7F);
    return b == 0xAD ? 0x100 + 67 : b;
}

/* The byte a stored character stands for, -1 = none. */
static int char_byte(uint32_t cp)
{
    if (cp < 0x100)
        return byte_char(cp) == cp ? (int)cp : -1;
    cp -= 0x100;
    if (cp < 0x21)
        return (int)cp;
    if (cp < 67)
        return (int)(cp - 0x21 + 0x7F);
    return cp == 67 ? 0xAD : -1;
}

size_t om_tok_bpe_bytes(om_str text, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n;) {
        uint32_t cp = UINT32_MAX;
        int len = om_utf8_next(text.p + i, text.n - i, &cp);
        int b = len > 0 ? char_byte(cp) : -1;
        if (b < 0) { /* an added token that was stored as plain text */
            memcpy(out, text.p, text.n);
            return text.n;
        }
        out[n++] = (char)b;
        i += (size_t)len;
    }
    return n;
}

static omni_status find_bytes(om_tok *t, omni_error *err)
{
    size_t found = 0;
    for (unsigned b = 0; b < 256; b++) {
        char s[4];
        uint32_t id = om_tok_lookup(t, s, om_utf8_put(byte_char(b), s));
        bool good = id != OM_TOK_NONE && om_tok_mergeable(t, id);
        t->byte_id[b] = good ? id : OM_TOK_NONE;
        found += good;
    }
    if (found == 0)
        return om_fail(err, OMNI_E_INPUT, "tokenizer: no byte has a token, is this byte-level BPE?");
    return OMNI_OK;
}

typedef struct merge_text { /* an entry "left right" of tokenizer.ggml.merges */
    om_str all, left, right;
    uint64_t left_hash, right_hash;
} merge_text;

static omni_status parse_merge(const om_tok *t, om_str m, uint32_t rank, merge_text *out, omni_error *err)
{
    const char *sp = m.n > 2 ? memchr(m.p + 1, ' ', m.n - 2) : NULL;
    if (!sp)
        return om_fail(err, OMNI_E_INPUT,
                       "tokenizer.ggml.merges: entry %u, '%.*s': expected two token texts with a space between", rank,
                       m.n > 60 ? 60 : (int)m.n, m.p);
    size_t n = (size_t)(sp - m.p);
    *out = (merge_text){.all = m, .left = {m.p, n}, .right = {sp + 1, m.n - n - 1}};
    out->left_hash = om_tok_hash_text(out->left.p, out->left.n);
    out->right_hash = om_tok_hash_text(out->right.p, out->right.n);
    __builtin_prefetch(&t->slot[(uint32_t)out->left_hash & t->slot_mask]);
    __builtin_prefetch(&t->slot[(uint32_t)out->right_hash & t->slot_mask]);
    return OMNI_OK;
}

/* The token that is left and right together. It is nearly always the one after the result of the merge before (guess):
 * tried first, that saves a search. */
static uint32_t merge_result(const om_tok *t, const merge_text *m, uint32_t guess)
{
    char both[2 * OM_TOK_MAX_BYTES];
    size_t n = m->left.n + m->right.n;
    if (guess < t->n_vocab) {
        om_str g = om_tok_text(t, guess);
        if (g.n == n && memcmp(g.p, m->left.p, m->left.n) == 0 && memcmp(g.p + m->left.n, m->right.p, m->right.n) == 0)
            return guess;
    }
    if (n > t->max_len)
        return OM_TOK_NONE;
    memcpy(both, m->left.p, m->left.n);
    memcpy(both + m->left.n, m->right.p, m->right.n);
    return om_tok_lookup(t, both, n);
}

static omni_status add_merge(om_tok *t, const merge_text *m, uint32_t rank, uint32_t *last, omni_error *err)
{
    uint32_t left = om_tok_lookup_hashed(t, m->left.p, m->left.n, m->left_hash);
    uint32_t right = om_tok_lookup_hashed(t, m->right.p, m->right.n, m->right_hash);
    uint32_t id = merge_result(t, m, *last + 1);
    const char *lacks = left == OM_TOK_NONE ? "left part" : right == OM_TOK_NONE ? "right part" : "result";
    if (left == OM_TOK_NONE || right == OM_TOK_NONE || id == OM_TOK_NONE)
        return om_fail(err, OMNI_E_INPUT, "tokenizer.ggml.merges: entry %u, '%.*s': its %s is not in the vocabulary",
                       rank, m->all.n > 60 ? 60 : (int)m->all.n, m->all.p, lacks);
    *last = id;
    /* A merge that spells a control token is what user text must never do. */
    if (!om_tok_mergeable(t, left) || !om_tok_mergeable(t, right) || !om_tok_mergeable(t, id))
        return OMNI_OK;
    t->attr[id] |= OM_TOK_MERGED;
    uint32_t i = om_tok_merge_hash(left, right) & t->merge_mask;
    for (; t->merge[i].rank1; i = (i + 1) & t->merge_mask)
        if (t->merge[i].left == left && t->merge[i].right == right)
            return OMNI_OK; /* a repeated merge: the first rank counts */
    t->merge[i] = (om_tok_merge){left, right, rank + 1, id};
    return OMNI_OK;
}

#define BATCH 16 /* entries are parsed this far ahead of the searches, which then find their slots in the cache */

static omni_status read_merges(om_tok *t, const om_gguf *g, omni_error *err)
{
    om_gguf_array a;
    merge_text m[BATCH];
    omni_status s = om_gguf_get_array(g, "tokenizer.ggml.merges", OM_GGUF_STRING, &a, err);
    if (s != OMNI_OK)
        return s;
    if (a.n > OM_TOK_MAX_VOCAB)
        return om_fail(err, OMNI_E_INPUT, "tokenizer.ggml.merges: %llu entries, at most %u are supported",
                       (unsigned long long)a.n, OM_TOK_MAX_VOCAB);
    size_t slots = om_tok_slots((size_t)a.n);
    t->merge = om_tok_table(slots, sizeof *t->merge);
    if (!t->merge)
        return om_fail_memory(err, slots * sizeof *t->merge, "the table of merges");
    t->merge_mask = (uint32_t)(slots - 1);
    size_t cursor = 0;
    uint32_t last = OM_TOK_NONE - 1, n_all = (uint32_t)a.n;
    for (uint32_t i = 0; i < n_all; i += BATCH) {
        uint32_t n = n_all - i < BATCH ? n_all - i : BATCH;
        for (uint32_t k = 0; k < n && s == OMNI_OK; k++)
            s = parse_merge(t, om_gguf_array_next_str(&a, &cursor), i + k, &m[k], err);
        for (uint32_t k = 0; k < n && s == OMNI_OK; k++)
            s = add_merge(t, &m[k], i + k, &last, err);
        if (s != OMNI_OK)
            return s;
    }
    return OMNI_OK;
}

omni_status om_tok_bpe_init(om_tok *t, const om_gguf *g, omni_error *err)
{
    om_str pre;
    omni_status s = om_gguf_get_str(g, "tokenizer.ggml.pre", &pre, err);
    if (s != OMNI_OK)
        return s;
    if (!om_tok_pre_find(pre, &t->rule, &t->ignore_merges, &t->wants_bos))
        return om_fail(
            err, OMNI_E_INPUT,
            "tokenizer.ggml.pre: pre-tokenizer '%.*s' is not supported; known: gpt-2, smollm, llama-bpe, qwen2 "
            "and the names that share their rules",
            pre.n > 60 ? 60 : (int)pre.n, pre.p);
    snprintf(t->name, sizeof t->name, "bpe %.*s", (int)pre.n, pre.p); /* a known name: short */
    s = find_bytes(t, err);
    return s == OMNI_OK ? read_merges(t, g, err) : s;
}

/* With ignore_merges a word that is a token as a whole is taken as it is. */
static uint32_t whole_word(const om_tok *t, const char *s, size_t n)
{
    char text[2 * OM_TOK_MAX_BYTES + 8];
    size_t len = 0;
    if (n > t->max_len)
        return OM_TOK_NONE;
    for (size_t i = 0; i < n && len <= 2 * OM_TOK_MAX_BYTES; i++) {
        char c[4];
        size_t k = om_utf8_put(byte_char((unsigned char)s[i]), c);
        memcpy(text + len, c, k);
        len += k;
    }
    uint32_t id = len <= t->max_len ? om_tok_lookup(t, text, len) : OM_TOK_NONE;
    return id != OM_TOK_NONE && om_tok_mergeable(t, id) ? id : OM_TOK_NONE;
}

static omni_status encode_word(om_tok_work *w, const char *s, size_t n)
{
    const om_tok *t = w->t;
    uint32_t whole = t->ignore_merges ? whole_word(t, s, n) : OM_TOK_NONE;
    if (whole != OM_TOK_NONE)
        return om_tok_emit(w, whole);
    omni_status st = om_tok_room(w, &w->id, &w->id_cap, n);
    if (st != OMNI_OK)
        return st;
    w->n_sym = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = t->byte_id[(unsigned char)s[i]];
        if (id == OM_TOK_NONE)
            id = t->unk;
        if (id != OM_TOK_NONE) /* else left out before merging, as the reference does */
            w->id[w->n_sym++] = id;
    }
    st = om_tok_merge_word(w);
    for (size_t i = 0; st == OMNI_OK && i < w->n_sym; i++)
        st = om_tok_emit(w, w->id[i]);
    return st;
}

omni_status om_tok_bpe_text(om_tok_work *w, const char *s, size_t n)
{
    omni_status st = OMNI_OK;
    while (n && st == OMNI_OK) {
        size_t len = om_tok_pre_next(w->t->rule, s, n);
        for (size_t at = 0; at < len && st == OMNI_OK; at += OM_TOK_MAX_WORD)
            st = encode_word(w, s + at, len - at < OM_TOK_MAX_WORD ? len - at : OM_TOK_MAX_WORD);
        s += len;
        n -= len;
    }
    return st;
}
