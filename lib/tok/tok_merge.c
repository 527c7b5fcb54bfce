/* tok_merge.c - merges the symbols of one word: always the pair of lowest key first, the leftmost among equals, until
 * no pair is a token. The key is the merge's rank (BPE) or the falling order of scores (SentencePiece); both
 * references are the same algorithm with another key. Short words scan, long ones use a heap over a linked list:
 * O(n log n) for any word. */
#include "tok/tok_priv.h"

#include <string.h>

#define SHORT_WORD 32 /* symbols; below, a scan beats the heap */

void om_tok_work_release(om_tok_work *w)
{
    om_free(w->text);
    om_free(w->id);
    om_free(w->start);
    om_free(w->next);
    om_free(w->prev);
    om_free(w->pair_key);
    om_free(w->pair_id);
    om_free(w->heap);
}

omni_status om_tok_room(om_tok_work *w, uint32_t **p, size_t *cap, size_t need)
{
    void *q = *p;
    omni_status s = om_grow(&q, cap, need, sizeof **p, w->err);
    *p = q;
    return s;
}

omni_status om_tok_emit(om_tok_work *w, uint32_t id)
{
    int32_t v = (int32_t)id;
    if (w->out->n < w->out->cap) {
        w->out->ids[w->out->n++] = v;
        return OMNI_OK;
    }
    omni_status s = omni_tokens_push(w->out, &v, 1);
    return s == OMNI_OK ? s : om_fail_memory(w->err, (w->out->n + 1) * sizeof v, "token ids");
}

omni_status om_tok_emit_byte(om_tok_work *w, unsigned char b)
{
    uint32_t id = w->t->byte_id[b];
    if (id == OM_TOK_NONE)
        id = w->t->unk;
    return id == OM_TOK_NONE ? OMNI_OK : om_tok_emit(w, id);
}

static uint32_t find_merge(const om_tok *t, uint32_t left, uint32_t right, uint32_t *key)
{
    if (left == OM_TOK_NONE || right == OM_TOK_NONE)
        return OM_TOK_NONE;
    uint32_t i = om_tok_merge_hash(left, right) & t->merge_mask;
    for (; t->merge[i].rank1; i = (i + 1) & t->merge_mask)
        if (t->merge[i].left == left && t->merge[i].right == right) {
            *key = t->merge[i].rank1;
            return t->merge[i].id;
        }
    return OM_TOK_NONE;
}

/* The higher the score the lower the key; -0 and 0 are equal. */
static uint32_t score_key(const om_tok *t, uint32_t id)
{
    float f;
    uint32_t u;
    memcpy(&f, t->score.p + (size_t)id * sizeof f, sizeof f);
    f += 0.0f;
    memcpy(&u, &f, sizeof u);
    return u >> 31 ? u : ~(u | 0x80000000u);
}

/* The token that symbols left and right would become; text is bytes [from, to) of w->text. */
static uint32_t find_pair(const om_tok_work *w, uint32_t left, uint32_t right, size_t from, size_t to, uint32_t *key)
{
    const om_tok *t = w->t;
    if (t->bpe)
        return find_merge(t, left, right, key);
    if (to - from > t->max_len)
        return OM_TOK_NONE;
    uint32_t id = om_tok_lookup(t, w->text + from, to - from);
    if (id == OM_TOK_NONE || !om_tok_mergeable(t, id))
        return OM_TOK_NONE;
    *key = score_key(t, id);
    return id;
}

static void short_pair(const om_tok_work *w, size_t i, uint32_t *key, uint32_t *id)
{
    bool spm = !w->t->bpe;
    *id = find_pair(w, w->id[i], w->id[i + 1], spm ? w->start[i] : 0, spm ? w->start[i + 2] : 0, key);
}

static void merge_short(om_tok_work *w)
{
    uint32_t key[SHORT_WORD], id[SHORT_WORD];
    size_t n = w->n_sym;
    for (size_t i = 0; i + 1 < n; i++)
        short_pair(w, i, &key[i], &id[i]);
    for (;;) {
        size_t best = n;
        for (size_t i = 0; i + 1 < n; i++)
            if (id[i] != OM_TOK_NONE && (best == n || key[i] < key[best]))
                best = i;
        if (best == n)
            break;
        size_t tail = n - best - 2; /* symbols after the pair */
        w->id[best] = id[best];
        memmove(w->id + best + 1, w->id + best + 2, tail * sizeof *w->id);
        if (!w->t->bpe)
            memmove(w->start + best + 1, w->start + best + 2, (tail + 1) * sizeof *w->start);
        if (tail) {
            memmove(key + best + 1, key + best + 2, (tail - 1) * sizeof *key);
            memmove(id + best + 1, id + best + 2, (tail - 1) * sizeof *id);
        }
        n--;
        if (best > 0)
            short_pair(w, best - 1, &key[best - 1], &id[best - 1]);
        if (tail)
            short_pair(w, best, &key[best], &id[best]);
    }
    w->n_sym = n;
}

static void heap_push(om_tok_work *w, uint64_t v)
{
    uint64_t *h = w->heap;
    size_t i = w->n_heap++;
    for (; i > 0 && h[(i - 1) / 2] > v; i = (i - 1) / 2)
        h[i] = h[(i - 1) / 2];
    h[i] = v;
}

static uint64_t heap_pop(om_tok_work *w)
{
    uint64_t *h = w->heap, top = h[0], v = h[--w->n_heap];
    size_t i = 0;
    for (size_t c; (c = 2 * i + 1) < w->n_heap; i = c) {
        if (c + 1 < w->n_heap && h[c + 1] < h[c])
            c++;
        if (h[c] >= v)
            break;
        h[i] = h[c];
    }
    h[i] = v;
    return top;
}

/* Pairs symbol i with the one after it. An older heap entry of i is stale from now on unless its key is the same, and
 * then it stands for this pair as well. */
static void long_pair(om_tok_work *w, uint32_t i)
{
    uint32_t j = w->next[i];
    w->pair_id[i] = OM_TOK_NONE;
    if (j == w->n_sym)
        return;
    bool spm = !w->t->bpe;
    w->pair_id[i] =
        find_pair(w, w->id[i], w->id[j], spm ? w->start[i] : 0, spm ? w->start[w->next[j]] : 0, &w->pair_key[i]);
    if (w->pair_id[i] != OM_TOK_NONE)
        heap_push(w, (uint64_t)w->pair_key[i] << 32 | i);
}

static omni_status long_room(om_tok_work *w)
{
    size_t n = w->n_sym;
    omni_status s = om_tok_room(w, &w->next, &w->next_cap, n);
    if (s == OMNI_OK)
        s = om_tok_room(w, &w->prev, &w->prev_cap, n);
    if (s == OMNI_OK)
        s = om_tok_room(w, &w->pair_key, &w->key_cap, n);
    if (s == OMNI_OK)
        s = om_tok_room(w, &w->pair_id, &w->pid_cap, n);
    if (s == OMNI_OK) {
        /* n - 1 entries at first; each of at most n - 1 merges takes one out and puts at most two in. */
        void *q = w->heap;
        s = om_grow(&q, &w->heap_cap, 2 * n, sizeof *w->heap, w->err);
        w->heap = q;
    }
    return s;
}

static omni_status merge_long(om_tok_work *w)
{
    omni_status s = long_room(w);
    if (s != OMNI_OK)
        return s;
    uint32_t n = (uint32_t)w->n_sym;
    w->n_heap = 0;
    for (uint32_t i = 0; i < n; i++) {
        w->next[i] = i + 1;
        w->prev[i] = i ? i - 1 : OM_TOK_NONE;
    }
    for (uint32_t i = 0; i < n; i++)
        long_pair(w, i);
    while (w->n_heap) {
        uint64_t top = heap_pop(w);
        uint32_t i = (uint32_t)top;
        if (w->pair_id[i] == OM_TOK_NONE || w->pair_key[i] != top >> 32)
            continue;
        uint32_t gone = w->next[i], after = w->next[gone];
        w->id[i] = w->pair_id[i];
        w->pair_id[gone] = OM_TOK_NONE;
        w->next[i] = after;
        if (after != n)
            w->prev[after] = i;
        if (w->prev[i] != OM_TOK_NONE)
            long_pair(w, w->prev[i]);
        long_pair(w, i);
    }
    size_t left = 0;
    for (uint32_t i = 0; i != n; i = w->next[i], left++) { /* left <= i: compacts in place */
        w->id[left] = w->id[i];
        if (!w->t->bpe)
            w->start[left] = w->start[i];
    }
    if (!w->t->bpe)
        w->start[left] = w->start[n];
    w->n_sym = left;
    return OMNI_OK;
}

omni_status om_tok_merge_word(om_tok_work *w)
{
    if (w->n_sym > SHORT_WORD)
        return merge_long(w);
    merge_short(w);
    return OMNI_OK;
}
