/* tok_spm.c - SentencePiece vocabularies (tokenizer.ggml.model "llama"): merges by score over characters, spaces
 * spelled U+2581, characters without token as bytes <0xXX>.
 * Two differences from the reference, both so that decoding is the exact inverse: a U+2581 that was in the text is
 * encoded as bytes, since its token would come back as a space; and text that spells a control or byte token stays
 * text (as in SentencePiece itself, where such tokens are not in the merge table). */
#include "tok/tok_priv.h"

#include <string.h>

#define SPACE "\xE2\x96\x81"

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int om_tok_byte_of(om_str s)
{
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>' || hex(s.p[3]) < 0 || hex(s.p[4]) < 0)
        return -1;
    return hex(s.p[3]) * 16 + hex(s.p[4]);
}

/* U+2581 somewhere after another character. */
static bool space_inside(om_str s)
{
    size_t i = 0;
    while (s.n - i >= 3 && memcmp(s.p + i, SPACE, 3) == 0)
        i += 3;
    for (const char *p = s.p + i, *end = s.p + s.n; end - p >= 3 && (p = memchr(p, SPACE[0], (size_t)(end - p) - 2));
         p++)
        if (memcmp(p, SPACE, 3) == 0)
            return true;
    return false;
}

omni_status om_tok_spm_init(om_tok *t, const om_gguf *g, omni_error *err)
{
    omni_status s = om_gguf_get_array(g, "tokenizer.ggml.scores", OM_GGUF_F32, &t->score, err);
    if (s != OMNI_OK)
        return s;
    if (t->score.n != t->n_vocab)
        return om_fail(err, OMNI_E_INPUT, "tokenizer.ggml.scores: %llu entries for %u tokens",
                       (unsigned long long)t->score.n, t->n_vocab);
    memcpy(t->name, "spm", 4);
    t->wants_bos = true;
    t->space_prefix = true;
    if (om_gguf_has(g, "tokenizer.ggml.add_space_prefix"))
        s = om_gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix, err);
    if (s != OMNI_OK)
        return s;
    for (int b = 0; b < 256; b++) {
        char c = (char)b;
        uint32_t id = b < 128 ? om_tok_lookup(t, &c, 1) : OM_TOK_NONE;
        t->byte_id[b] = id != OM_TOK_NONE && om_tok_mergeable(t, id) ? id : OM_TOK_NONE;
    }
    t->spm_words = true;
    for (uint32_t id = 0; id < t->n_vocab; id++) {
        om_str text = om_tok_text(t, id);
        if (om_tok_type(t, id) == OM_TOK_BYTE)
            t->byte_id[om_tok_byte_of(text)] = id;
        else if (om_tok_mergeable(t, id) && space_inside(text))
            t->spm_words = false;
    }
    return OMNI_OK;
}

static omni_status emit_symbol(om_tok_work *w, size_t i)
{
    const om_tok *t = w->t;
    if (w->id[i] != OM_TOK_NONE)
        return om_tok_emit(w, w->id[i]);
    const char *s = w->text + w->start[i];
    size_t n = w->start[i + 1] - w->start[i];
    if (n == 3 && memcmp(s, SPACE, 3) == 0)
        return om_tok_emit_byte(w, ' ');
    bool all = true;
    for (size_t k = 0; k < n; k++)
        all = all && t->byte_id[(unsigned char)s[k]] != OM_TOK_NONE;
    if (!all) /* one unknown a character, not one a byte */
        return t->unk == OM_TOK_NONE ? OMNI_OK : om_tok_emit(w, t->unk);
    omni_status st = OMNI_OK;
    for (size_t k = 0; k < n && st == OMNI_OK; k++)
        st = om_tok_emit_byte(w, (unsigned char)s[k]);
    return st;
}

/* Merges the escaped word in w->text and empties it. */
static omni_status flush(om_tok_work *w)
{
    size_t n = w->text_n, need = n + 1;
    omni_status st = om_tok_room(w, &w->id, &w->id_cap, need);
    if (st == OMNI_OK)
        st = om_tok_room(w, &w->start, &w->start_cap, need);
    if (st != OMNI_OK)
        return st;
    w->n_sym = 0;
    for (size_t i = 0; i < n; w->n_sym++) {
        int len = om_utf8_next(w->text + i, n - i, NULL);
        size_t k = len > 0 ? (size_t)len : 1;
        uint32_t id = om_tok_lookup(w->t, w->text + i, k);
        w->id[w->n_sym] = id != OM_TOK_NONE && om_tok_mergeable(w->t, id) ? id : OM_TOK_NONE;
        w->start[w->n_sym] = (uint32_t)i;
        i += k;
    }
    w->start[w->n_sym] = (uint32_t)n;
    st = om_tok_merge_word(w);
    for (size_t i = 0; i < w->n_sym && st == OMNI_OK; i++)
        st = emit_symbol(w, i);
    w->text_n = 0;
    return st;
}

static omni_status add(om_tok_work *w, const char *s, size_t n)
{
    if (w->text_n + n > w->text_cap) {
        void *q = w->text;
        omni_status st = om_grow(&q, &w->text_cap, w->text_n + n, 1, w->err);
        w->text = q;
        if (st != OMNI_OK)
            return st;
    }
    memcpy(w->text + w->text_n, s, n);
    w->text_n += n;
    return OMNI_OK;
}

static bool can_spell_space(const om_tok *t)
{
    return t->byte_id[0xE2] != OM_TOK_NONE && t->byte_id[0x96] != OM_TOK_NONE && t->byte_id[0x81] != OM_TOK_NONE;
}

omni_status om_tok_spm_text(om_tok_work *w, const char *s, size_t n)
{
    const om_tok *t = w->t;
    bool spell = can_spell_space(t), in_space = false;
    omni_status st = OMNI_OK;
    w->text_n = 0;
    if (t->space_prefix && n) {
        st = add(w, SPACE, 3);
        in_space = true;
    }
    for (size_t i = 0; i < n && st == OMNI_OK;) {
        bool space = s[i] == ' ';
        /* A word starts at the first of some spaces; no merge reaches across (see spm_words). */
        if (w->text_n && ((t->spm_words && space && !in_space) || w->text_n >= OM_TOK_MAX_WORD))
            st = flush(w);
        if (st != OMNI_OK)
            break;
        in_space = space;
        if (space) {
            st = add(w, SPACE, 3);
            i++;
            continue;
        }
        int len = om_utf8_next(s + i, n - i, NULL);
        size_t k = len > 0 ? (size_t)len : 1;
        if (spell && k == 3 && memcmp(s + i, SPACE, 3) == 0) {
            st = flush(w);
            for (size_t b = 0; b < 3 && st == OMNI_OK; b++)
                st = om_tok_emit_byte(w, (unsigned char)s[i + b]);
        } else {
            st = add(w, s + i, k);
        }
        i += k;
    }
    return st == OMNI_OK ? flush(w) : st;
}
