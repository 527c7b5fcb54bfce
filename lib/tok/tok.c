/* tok.c - making a tokenizer from GGUF metadata, special tokens, ids back to bytes. */
#include "tok/tok_priv.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

const unsigned char om_tok_all_trusted[1] = {1};

/* ---- text -> id ---- */

size_t om_tok_slots(size_t n)
{
    size_t slots = 8;
    while (slots < n + n / 3)
        slots *= 2;
    return slots;
}

/* Written, not calloc'ed: the first probe of a fresh page would otherwise read it (one fault) before writing (another).
 */
void *om_tok_table(size_t n, size_t size)
{
    size_t bytes;
    void *p = om_mul(n, size, &bytes) ? om_alloc(bytes) : NULL;
    if (p)
        memset(p, 0, bytes);
    return p;
}

uint32_t om_tok_lookup_hashed(const om_tok *t, const char *p, size_t n, uint64_t h)
{
    for (uint32_t i = (uint32_t)h & t->slot_mask; t->slot[i]; i = (i + 1) & t->slot_mask) {
        if (t->slot[i] >> 32 != h >> 32)
            continue;
        uint32_t id = (uint32_t)t->slot[i] - 1;
        om_str s = om_tok_text(t, id);
        if (s.n == n && memcmp(s.p, p, n) == 0)
            return id;
    }
    return OM_TOK_NONE;
}

uint32_t om_tok_lookup(const om_tok *t, const char *p, size_t n)
{
    return om_tok_lookup_hashed(t, p, n, om_tok_hash_text(p, n));
}

static omni_status add_text(om_tok *t, uint32_t id, om_str s, uint64_t h, omni_error *err)
{
    uint32_t i = (uint32_t)h & t->slot_mask;
    for (; t->slot[i]; i = (i + 1) & t->slot_mask) {
        if (t->slot[i] >> 32 != h >> 32)
            continue;
        om_str o = om_tok_text(t, (uint32_t)t->slot[i] - 1);
        if (o.n == s.n && memcmp(o.p, s.p, s.n) == 0)
            return om_fail(err, OMNI_E_INPUT, "tokenizer.ggml.tokens: tokens %u and %u have the same text '%.*s'",
                           (uint32_t)t->slot[i] - 1, id, s.n > 60 ? 60 : (int)s.n, s.p);
    }
    t->slot[i] = (h >> 32) << 32 | (id + 1);
    return OMNI_OK;
}

static omni_status check_length(const om_tok *t, uint32_t id, om_str s, omni_error *err)
{
    char bytes[2 * OM_TOK_MAX_BYTES];
    if (s.n <= OM_TOK_MAX_BYTES)
        return OMNI_OK;
    if (t->bpe && s.n <= sizeof bytes && om_tok_bpe_bytes(s, bytes) <= OM_TOK_MAX_BYTES)
        return OMNI_OK;
    return om_fail(err, OMNI_E_INPUT, "tokenizer.ggml.tokens: token %u has %zu bytes, at most %d are supported", id,
                   s.n, OM_TOK_MAX_BYTES);
}

#define BATCH 16 /* slots are asked for this many tokens ahead: the table does not fit in the first caches */

static omni_status read_texts(om_tok *t, omni_error *err)
{
    size_t cursor = 0;
    uint64_t hash[BATCH];
    om_str text[BATCH];
    for (uint32_t id = 0; id < t->n_vocab; id += BATCH) {
        uint32_t n = t->n_vocab - id < BATCH ? t->n_vocab - id : BATCH;
        for (uint32_t k = 0; k < n; k++) {
            text[k] = om_gguf_array_next_str(&t->text, &cursor);
            t->off[id + k] = (uint32_t)(cursor - text[k].n);
            omni_status s = check_length(t, id + k, text[k], err);
            if (s != OMNI_OK)
                return s;
            if (text[k].n > t->max_len)
                t->max_len = (uint32_t)text[k].n;
            hash[k] = om_tok_hash_text(text[k].p, text[k].n);
            __builtin_prefetch(&t->slot[(uint32_t)hash[k] & t->slot_mask], 1);
        }
        for (uint32_t k = 0; k < n; k++) {
            omni_status s =
                text[k].n ? add_text(t, id + k, text[k], hash[k], err) : OMNI_OK; /* unused ids may be empty */
            if (s != OMNI_OK)
                return s;
        }
    }
    return OMNI_OK;
}

static omni_status read_types(om_tok *t, const om_gguf *g, omni_error *err)
{
    static const char key[] = "tokenizer.ggml.token_type";
    om_gguf_array a;
    if (!om_gguf_has(g, key)) {
        memset(t->attr, OM_TOK_NORMAL, t->n_vocab);
        return OMNI_OK;
    }
    omni_status s = om_gguf_get_array(g, key, OM_GGUF_I32, &a, err);
    if (s != OMNI_OK)
        return s;
    if (a.n != t->n_vocab)
        return om_fail(err, OMNI_E_INPUT, "%s: %llu entries for %u tokens", key, (unsigned long long)a.n, t->n_vocab);
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        const unsigned char *p = a.p + (size_t)id * 4;
        uint32_t v = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        if (v >= OM_TOK_N_TYPES)
            return om_fail(err, OMNI_E_INPUT, "%s: token %u: expected 0..%d, found %d", key, id, OM_TOK_N_TYPES - 1,
                           (int)v);
        t->attr[id] = (uint8_t)v;
        if (v == OM_TOK_BYTE && om_tok_byte_of(om_tok_text(t, id)) < 0)
            return om_fail(err, OMNI_E_INPUT, "%s: token %u is a byte, but its text is not of the form <0xXX>", key,
                           id);
        /* Such a text means spaces. SentencePiece matches it after spaces were escaped: it is an ordinary token. */
        om_str text = om_tok_text(t, id);
        for (size_t i = 0; !t->bpe && v == OM_TOK_USER && i + 3 <= text.n; i++)
            if (memcmp(text.p + i, "\xE2\x96\x81", 3) == 0)
                t->attr[id] = OM_TOK_NORMAL;
    }
    return OMNI_OK;
}

/* ---- special ids and the ends of an answer ---- */

/* *id stays as it is when the key is absent. */
static omni_status special_id(const om_tok *t, const om_gguf *g, const char *name, int32_t *id, omni_error *err)
{
    char key[64];
    uint32_t v;
    snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", name);
    if (!om_gguf_has(g, key))
        return OMNI_OK;
    omni_status s = om_gguf_get_u32(g, key, &v, err);
    if (s != OMNI_OK)
        return s;
    if (v >= t->n_vocab)
        return om_fail(err, OMNI_E_INPUT, "key '%s': %u is outside the vocabulary of %u tokens", key, v, t->n_vocab);
    *id = (int32_t)v;
    return OMNI_OK;
}

/* What a token with a well-known name is, whatever type the file gives it (llama.cpp src/llama-vocab.cpp, "auto-detect
 * special tokens by text" and special_eog_ids). In groups of equal key the metadata key comes first, then the first
 * name that exists. Unlike there, a token that merges produce stays ordinary: "</s>" of qwen2 is a closing HTML tag. */
static const struct {
    const char *key, *name;
    bool end;
} known_names[] = {
    {NULL, "<|eot_id|>", true},
    {NULL, "<|im_end|>", true},
    {NULL, "<|end|>", true},
    {NULL, "<|return|>", true},
    {NULL, "<|call|>", true},
    {NULL, "<|flush|>", true},
    {NULL, "<|calls|>", true},
    {NULL, "<end_of_turn>", true},
    {NULL, "<|endoftext|>", true},
    {NULL, "</s>", true},
    {NULL, "<|eom_id|>", true},
    {NULL, "<EOT>", true},
    {NULL, "_<EOT>", true},
    {NULL, "[EOT]", true},
    {NULL, "[EOS]", true},
    {NULL, "<|end_of_text|>", true},
    {NULL, "<end_of_utterance>", true},
    {NULL, "<eos>", true},
    {NULL, "<turn|>", true},
    {NULL, "<|tool_response>", true},
    {NULL,
     "<\xEF\xBD\x9C"
     "end\xE2\x96\x81"
     "of\xE2\x96\x81"
     "sentence\xEF\xBD\x9C>",
     true},
    {NULL, "[e~[", true},
    {"fim_pad", "<|fim_pad|>", true},
    {"fim_pad", "<fim-pad>", true},
    {"fim_pad", "<fim_pad>", true},
    {"fim_pad", "<PAD>", true},
    {"fim_pad", "[PAD]", true},
    {"fim_rep", "<|fim_repo|>", true},
    {"fim_rep", "<|repo_name|>", true},
    {"fim_rep", "<fim-repo>", true},
    {"fim_rep", "<REPO>", true},
    {"fim_rep", "<reponame>", true},
    {"fim_sep", "<|file_sep|>", true},
    {"fim_pre", "<|fim_prefix|>", false},
    {"fim_pre", "<fim-prefix>", false},
    {"fim_pre", "<fim_prefix>", false},
    {"fim_pre", "<PRE>", false},
    {"fim_suf", "<|fim_suffix|>", false},
    {"fim_suf", "<fim-suffix>", false},
    {"fim_suf", "<fim_suffix>", false},
    {"fim_suf", "<SUF>", false},
    {"fim_mid", "<|fim_middle|>", false},
    {"fim_mid", "<fim-middle>", false},
    {"fim_mid", "<fim_middle>", false},
    {"fim_mid", "<MID>", false},
};

static void make_control(om_tok *t, uint32_t id, bool end)
{
    t->attr[id] = (uint8_t)((t->attr[id] & ~OM_TOK_TYPE) | OM_TOK_CONTROL | (end ? OM_TOK_END : 0));
}

static omni_status find_known(om_tok *t, const om_gguf *g, omni_error *err)
{
    const char *group = NULL;
    int32_t id = -1;
    for (size_t i = 0; i < sizeof known_names / sizeof *known_names; i++) {
        const char *key = known_names[i].key;
        bool new_group = !key || !group || strcmp(key, group) != 0;
        if (new_group)
            id = -1;
        group = key;
        if (key && new_group) {
            omni_status s = special_id(t, g, key, &id, err);
            if (s != OMNI_OK)
                return s;
            if (id >= 0 && known_names[i].end)
                t->attr[id] |= OM_TOK_END;
        }
        if (id >= 0)
            continue;
        id = om_tok_find(t, known_names[i].name, strlen(known_names[i].name));
        if (id >= 0 && !(t->attr[id] & OM_TOK_MERGED))
            make_control(t, (uint32_t)id, known_names[i].end);
    }
    return OMNI_OK;
}

static bool ends(const om_tok *t, const char *name)
{
    return om_tok_is_end(t, om_tok_find(t, name, strlen(name)));
}

static void not_end(om_tok *t, const char *name)
{
    int32_t id = om_tok_find(t, name, strlen(name));
    if (id >= 0)
        t->attr[id] &= (uint8_t)~OM_TOK_END;
}

static omni_status read_special(om_tok *t, const om_gguf *g, omni_error *err)
{
    static const char *const end_keys[] = {"eos", "eot", "eom"};
    static const char *const other_keys[] = {"seperator", "padding", "mask"}; /* the format's spelling */
    int32_t unk = t->bpe ? -1 : 0, ignored = -1;
    t->bos = !t->bpe && t->n_vocab > 1 ? 1 : -1;
    omni_status s = find_known(t, g, err);
    if (s == OMNI_OK)
        s = special_id(t, g, "bos", &t->bos, err);
    if (s == OMNI_OK)
        s = special_id(t, g, "unknown", &unk, err);
    for (size_t i = 0; i < 3 && s == OMNI_OK; i++)
        s = special_id(t, g, other_keys[i], &ignored, err);
    /* Two families have an ordinary token of an end's name. */
    if (ends(t, "<|return|>") ? ends(t, "<|call|>") || ends(t, "<|calls|>")
                              : ends(t, "<|flush|>") && (ends(t, "<|call|>") || ends(t, "<|calls|>")))
        not_end(t, "<|end|>");
    if (ends(t, "<|tool_response>"))
        not_end(t, "</s>");
    for (size_t i = 0; i < 3 && s == OMNI_OK; i++) {
        int32_t id = i == 0 && !t->bpe && t->n_vocab > 2 ? 2 : -1;
        s = special_id(t, g, end_keys[i], &id, err);
        if (s == OMNI_OK && id >= 0)
            t->attr[id] |= OM_TOK_END;
        if (i == 0)
            t->eos = id;
    }
    /* Text must never turn into a control token: some files name their end token as the unknown one. */
    bool usable = unk >= 0 && om_tok_type(t, (uint32_t)unk) != OM_TOK_CONTROL && !om_tok_is_end(t, unk);
    t->unk = usable ? (uint32_t)unk : OM_TOK_NONE;
    return s;
}

/* ---- special tokens in a text ---- */

typedef struct named {
    om_str s;
    uint32_t id;
} named;

static int by_text(const void *a, const void *b)
{
    const named *x = a, *y = b;
    int c = memcmp(x->s.p, y->s.p, x->s.n < y->s.n ? x->s.n : y->s.n);
    return c ? c : (x->s.n > y->s.n) - (x->s.n < y->s.n);
}

static bool is_special(const om_tok *t, uint32_t id)
{
    unsigned type = om_tok_type(t, id);
    return type == OM_TOK_CONTROL || type == OM_TOK_UNKNOWN || type == OM_TOK_USER;
}

static omni_status list_special(om_tok *t, omni_error *err)
{
    size_t n = 0;
    for (uint32_t id = 0; id < t->n_vocab; id++)
        n += is_special(t, id) && om_tok_text(t, id).n > 0;
    named *list = om_alloc(n * sizeof *list);
    t->special = om_alloc(n * sizeof *t->special);
    if (!list || !t->special) {
        om_free(list);
        return om_fail_memory(err, n * sizeof *list, "special tokens");
    }
    t->n_special = (uint32_t)n;
    n = 0;
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        om_str s = om_tok_text(t, id);
        if (!is_special(t, id) || s.n == 0)
            continue;
        list[n++] = (named){s, id};
        t->has_user = t->has_user || om_tok_type(t, id) == OM_TOK_USER;
        t->special_from[(unsigned char)s.p[0] + 1]++;
    }
    qsort(list, n, sizeof *list, by_text);
    for (size_t i = 0; i < n; i++)
        t->special[i] = list[i].id;
    for (size_t b = 0; b < 256; b++)
        t->special_from[b + 1] += t->special_from[b];
    om_free(list);
    return OMNI_OK;
}

/* First index in [lo, hi) whose byte k is at least c; all texts there are longer than k and share the bytes before. */
static uint32_t lower(const om_tok *t, uint32_t lo, uint32_t hi, size_t k, unsigned c)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if ((unsigned char)om_tok_text(t, t->special[mid]).p[k] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Length of the longest special token at s[0..n), 0 = none. trusted as in om_tok_encode, for these bytes. */
static size_t match_special(const om_tok *t, const char *s, size_t n, const unsigned char *trusted, uint32_t *id)
{
    unsigned c = (unsigned char)s[0];
    uint32_t lo = t->special_from[c], hi = t->special_from[c + 1];
    size_t best = 0;
    bool trust = trusted != NULL;
    for (size_t k = 1; lo < hi; k++) { /* special[lo..hi) share s[0..k) */
        trust = trust && (trusted == om_tok_all_trusted || trusted[k - 1]);
        if (!trust && !t->has_user)
            break;
        if (om_tok_text(t, t->special[lo]).n == k) {
            if (trust || om_tok_type(t, t->special[lo]) == OM_TOK_USER) {
                best = k;
                *id = t->special[lo];
            }
            lo++;
        }
        if (k == n)
            break;
        c = (unsigned char)s[k];
        lo = lower(t, lo, hi, k, c);
        hi = lower(t, lo, hi, k, c + 1);
    }
    return best;
}

/* ---- public ---- */

static omni_status check_vocab(om_tok *t, const om_gguf *g, omni_error *err)
{
    om_str model;
    omni_status s = om_gguf_get_str(g, "tokenizer.ggml.model", &model, err);
    if (s != OMNI_OK)
        return s;
    t->bpe = model.n == 4 && memcmp(model.p, "gpt2", 4) == 0;
    if (!t->bpe && !(model.n == 5 && memcmp(model.p, "llama", 5) == 0))
        return om_fail(err, OMNI_E_INPUT, "tokenizer.ggml.model: '%.*s' is not supported; known: gpt2, llama",
                       model.n > 60 ? 60 : (int)model.n, model.p);
    s = om_gguf_get_array(g, "tokenizer.ggml.tokens", OM_GGUF_STRING, &t->text, err);
    if (s != OMNI_OK)
        return s;
    if (t->text.n == 0 || t->text.n > OM_TOK_MAX_VOCAB || t->text.bytes > UINT32_MAX)
        return om_fail(err, OMNI_E_INPUT,
                       "tokenizer.ggml.tokens: %llu tokens of %zu bytes; 1..%u tokens and 4 GiB are supported",
                       (unsigned long long)t->text.n, t->text.bytes, OM_TOK_MAX_VOCAB);
    t->n_vocab = (uint32_t)t->text.n;
    return OMNI_OK;
}

static omni_status build(om_tok *t, const om_gguf *g, omni_error *err)
{
    omni_status s = check_vocab(t, g, err);
    if (s != OMNI_OK)
        return s;
    size_t slots = om_tok_slots(t->n_vocab);
    t->slot_mask = (uint32_t)(slots - 1);
    t->off = om_alloc(t->n_vocab * sizeof *t->off);
    t->attr = om_alloc(t->n_vocab);
    t->slot = om_tok_table(slots, sizeof *t->slot);
    if (!t->off || !t->attr || !t->slot)
        return om_fail_memory(err, slots * sizeof *t->slot, "the vocabulary");
    s = read_texts(t, err);
    if (s == OMNI_OK)
        s = read_types(t, g, err);
    if (s == OMNI_OK)
        s = t->bpe ? om_tok_bpe_init(t, g, err) : om_tok_spm_init(t, g, err);
    if (s == OMNI_OK)
        s = read_special(t, g, err);
    if (s == OMNI_OK && om_gguf_has(g, "tokenizer.ggml.add_bos_token"))
        s = om_gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &t->wants_bos, err);
    t->wants_bos = t->wants_bos && t->bos >= 0;
    return s == OMNI_OK ? list_special(t, err) : s;
}

omni_status om_tok_new(om_tok **out, const om_gguf *g, omni_error *err)
{
    om_tok *t = om_alloc_zero(1, sizeof *t);
    if (!t)
        return om_fail_memory(err, sizeof *t, "a tokenizer");
    omni_status s = build(t, g, err);
    if (s != OMNI_OK) {
        om_tok_free(t);
        return s;
    }
    *out = t;
    return OMNI_OK;
}

void om_tok_free(om_tok *t)
{
    if (!t)
        return;
    om_free(t->off);
    om_free(t->attr);
    om_free(t->slot);
    om_free(t->merge);
    om_free(t->special);
    om_free(t);
}

uint32_t om_tok_n_vocab(const om_tok *t)
{
    return t->n_vocab;
}

const char *om_tok_name(const om_tok *t)
{
    return t->name;
}

uint64_t om_tok_hash(const om_tok *t)
{
    uint64_t h = atomic_load_explicit(&((om_tok *)t)->hash, memory_order_relaxed);
    if (h)
        return h;
    h = OM_HASH_FNV1A_INIT;
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        om_str s = om_tok_text(t, id);
        h = om_hash_fnv1a(om_hash_fnv1a(h, s.p, s.n), "", 1);
    }
    /* Threads that race compute the same value. */
    atomic_store_explicit(&((om_tok *)t)->hash, h, memory_order_relaxed);
    return h;
}

int32_t om_tok_bos(const om_tok *t)
{
    return t->bos;
}

int32_t om_tok_eos(const om_tok *t)
{
    return t->eos;
}

bool om_tok_wants_bos(const om_tok *t)
{
    return t->wants_bos;
}

static bool in_vocab(const om_tok *t, int32_t id)
{
    return id >= 0 && (uint32_t)id < t->n_vocab;
}

bool om_tok_is_end(const om_tok *t, int32_t id)
{
    return in_vocab(t, id) && (t->attr[id] & OM_TOK_END);
}

bool om_tok_is_control(const om_tok *t, int32_t id)
{
    if (!in_vocab(t, id))
        return false;
    unsigned type = om_tok_type(t, (uint32_t)id);
    return type == OM_TOK_CONTROL || type == OM_TOK_UNKNOWN;
}

int32_t om_tok_find(const om_tok *t, const char *text, size_t n)
{
    uint32_t id = n ? om_tok_lookup(t, text, n) : OM_TOK_NONE;
    return id == OM_TOK_NONE ? -1 : (int32_t)id;
}

static omni_status encode_text(om_tok_work *w, const char *s, size_t n)
{
    if (n == 0)
        return OMNI_OK;
    return w->t->bpe ? om_tok_bpe_text(w, s, n) : om_tok_spm_text(w, s, n);
}

static omni_status encode(om_tok_work *w, const char *text, size_t n, const unsigned char *trusted)
{
    const om_tok *t = w->t;
    bool search = t->has_user || (trusted && t->n_special);
    size_t from = 0;
    for (size_t at = 0; search && at < n;) {
        uint32_t id = 0;
        const unsigned char *tr = trusted && trusted != om_tok_all_trusted ? trusted + at : trusted;
        size_t len = match_special(t, text + at, n - at, tr, &id);
        if (len == 0) {
            at++;
            continue;
        }
        omni_status s = encode_text(w, text + from, at - from);
        if (s == OMNI_OK)
            s = om_tok_emit(w, id);
        if (s != OMNI_OK)
            return s;
        from = at += len;
    }
    return encode_text(w, text + from, n - from);
}

omni_status om_tok_encode(const om_tok *t, const char *text, size_t n, const unsigned char *trusted, bool bos,
                          omni_tokens *out, omni_error *err)
{
    om_tok_work w = {.t = t, .out = out, .err = err};
    size_t n_before = out->n;
    omni_status s = bos && t->wants_bos ? om_tok_emit(&w, (uint32_t)t->bos) : OMNI_OK;
    if (s == OMNI_OK)
        s = encode(&w, text, n, trusted);
    if (s != OMNI_OK)
        out->n = n_before;
    om_tok_work_release(&w);
    return s;
}

/* SentencePiece text -> bytes: U+2581 is a space. */
static size_t unescape(om_str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        bool space = s.n - i >= 3 && memcmp(s.p + i, "\xE2\x96\x81", 3) == 0;
        out[n++] = space ? ' ' : s.p[i];
        i += space ? 3 : 1;
    }
    return n;
}

size_t om_tok_bytes(const om_tok *t, int32_t id, bool first, bool control, char *buf, size_t cap)
{
    char bytes[2 * OM_TOK_MAX_BYTES];
    const char *p = bytes;
    if (!in_vocab(t, id) || (!control && om_tok_is_control(t, id)))
        return 0;
    om_str s = om_tok_text(t, (uint32_t)id);
    size_t n = s.n;
    unsigned type = om_tok_type(t, (uint32_t)id);
    if (is_special(t, (uint32_t)id)) {
        p = s.p;
    } else if (type == OM_TOK_BYTE) {
        bytes[0] = (char)om_tok_byte_of(s);
        n = 1;
    } else {
        n = t->bpe ? om_tok_bpe_bytes(s, bytes) : unescape(s, bytes);
    }
    if (first && t->space_prefix && p == bytes && n && p[0] == ' ') {
        p++;
        n--;
    }
    size_t copy = n < cap ? n : cap;
    if (copy)
        memcpy(buf, p, copy);
    return n;
}

size_t om_tok_stream_push(omni_text_decoder *d, const om_tok *t, int32_t id, char *buf)
{
    if (!in_vocab(t, id))
        return 0;
    size_t n = d->n_held, i = 0;
    memcpy(buf, d->held, n);
    n += om_tok_bytes(t, id, !d->started, false, buf + n, OMNI_TEXT_DECODER_MAX - n);
    /* After a special token the encoder added a space again. */
    d->started = !is_special(t, (uint32_t)id);
    for (int len; i < n && (len = om_utf8_next(buf + i, n - i, NULL)) >= 0;)
        i += len ? (size_t)len : 1;
    d->n_held = (unsigned char)(n - i); /* at most 3: a character that is cut short */
    memcpy(d->held, buf + i, n - i);
    return i;
}
