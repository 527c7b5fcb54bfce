/* model_seq.c - sequences: one arena for everything a forward pass writes, sized before it is taken. */
#include "model/model_seq.h"

#include <string.h>

/* Lays the parts of the arena out one after the other, 64-byte aligned; with base NULL it only counts. */
typedef struct layout {
    char *base;
    size_t n;
    bool ok;
} layout;

static void *take(layout *a, size_t count, size_t size)
{
    size_t bytes, at = a->n;
    a->ok = a->ok && om_mul(count, size, &bytes) && om_align_up(bytes, 64, &bytes) && om_add(a->n, bytes, &a->n);
    return a->base ? a->base + at : NULL;
}

static size_t widest_input(const om_model *m)
{
    size_t n = (m->max_cols + 31) / 32 * 32;
    return n;
}

static bool lay_out(om_seq *s, const om_model *m, size_t n_ctx, size_t n_batch, char *base, size_t *bytes)
{
    const om_hparams *h = &m->h;
    layout a = {base, 0, true};
    om_work *w = &s->w;
    size_t T = n_batch, q = (size_t)h->n_head * h->head_dim, kv = (size_t)h->n_head_kv * h->head_dim;
    /* w.h also takes the logit rows' norms, w.x and the others T rows */
    w->x = take(&a, T, h->n_embd * sizeof(float));
    w->h = take(&a, T > LOGIT_ROWS ? T : LOGIT_ROWS, h->n_embd * sizeof(float));
    w->qkv = take(&a, T, (q + 2 * kv) * sizeof(float));
    w->att = take(&a, T, q * sizeof(float));
    w->gate = take(&a, T, h->n_ff * sizeof(float));
    w->up = take(&a, T, h->n_ff * sizeof(float));
    for (int i = 0; i < 2; i++) {
        w->cosv[i] = take(&a, T, h->n_rot / 2 * sizeof(float));
        w->sinv[i] = take(&a, T, h->n_rot / 2 * sizeof(float));
    }
    w->q16 = take(&a, 1, om_q16_bytes(T, widest_input(m)));
    w->partial = take(&a, 1, om_nn_attention_bytes(h->n_head, h->head_dim, n_ctx));
    w->logits = take(&a, LOGIT_ROWS, h->n_vocab * sizeof(float));
    s->tokens = take(&a, n_ctx, sizeof(int32_t));
    *bytes = a.n;
    return a.ok;
}

/* Float activations deserve keys and values of more than 11 bits. */
static om_kv kv_shape(const om_model *m, size_t n_ctx)
{
    return (om_kv){.n_layer = m->h.n_layer,
                   .n_head_kv = m->h.n_head_kv,
                   .head_dim = m->h.head_dim,
                   .n_ctx = n_ctx,
                   .n_planes = m->nn.float_act ? 2 : 1};
}

bool om_seq_bytes(const om_model *m, size_t n_ctx, size_t n_batch, size_t *bytes)
{
    om_seq probe;
    size_t arena, kv;
    om_kv shape = kv_shape(m, n_ctx);
    return lay_out(&probe, m, n_ctx, n_batch, NULL, &arena) && om_kv_bytes(&shape, &kv) && om_add(arena, kv, bytes) &&
           om_add(*bytes, sizeof(om_seq), bytes);
}

omni_status om_seq_new(om_seq **out, om_model *m, size_t n_ctx, size_t n_batch, omni_error *err)
{
    om_seq *s = om_alloc_zero(1, sizeof *s);
    if (!s)
        return om_fail_memory(err, sizeof *s, "a sequence");
    size_t bytes = 0;
    omni_status st = OMNI_OK;
    if (!lay_out(s, m, n_ctx, n_batch, NULL, &bytes))
        st = om_fail(err, OMNI_E_USAGE, "a context of %zu positions does not fit the address space", n_ctx);
    if (st == OMNI_OK) {
        s->arena = om_alloc_aligned(64, bytes);
        if (!s->arena)
            st = om_fail_memory(err, bytes, "work space of a sequence");
    }
    om_kv shape = kv_shape(m, n_ctx);
    if (st == OMNI_OK)
        st = om_kv_init(&s->kv, &shape, err);
    if (st != OMNI_OK) {
        om_seq_free(s);
        return st;
    }
    lay_out(s, m, n_ctx, n_batch, s->arena, &bytes);
    s->m = m;
    s->n_ctx = n_ctx;
    s->n_batch = n_batch;
    atomic_init(&s->cancel, 0);
    *out = s;
    return OMNI_OK;
}

void om_seq_free(om_seq *s)
{
    if (!s)
        return;
    om_kv_release(&s->kv);
    om_free(s->arena);
    om_free(s);
}

size_t om_seq_n(const om_seq *s)
{
    return s->n;
}
size_t om_seq_n_ctx(const om_seq *s)
{
    return s->n_ctx;
}
const int32_t *om_seq_tokens(const om_seq *s)
{
    return s->tokens;
}
const float *om_seq_logits(const om_seq *s)
{
    return s->logits;
}

void om_seq_truncate(om_seq *s, size_t n)
{
    if (n < s->n) {
        s->n = n;
        s->logits = NULL;
    }
}

void om_seq_cancel(om_seq *s)
{
    atomic_store_explicit(&s->cancel, 1, memory_order_relaxed);
}

/* Logits of the T tokens just run: of all of them through each, or of the last alone. */
static omni_status finish_batch(om_seq *s, size_t first, size_t T, bool last,
                                int (*each)(void *, size_t, const float *), void *user, omni_error *err)
{
    size_t V = s->m->h.n_vocab;
    if (!each) {
        if (last) {
            om_forward_logits(s, T - 1, 1);
            s->logits = s->w.logits;
        }
        return OMNI_OK;
    }
    for (size_t t = 0; t < T; t += LOGIT_ROWS) {
        size_t n = T - t < LOGIT_ROWS ? T - t : LOGIT_ROWS;
        om_forward_logits(s, t, n);
        for (size_t i = 0; i < n; i++)
            if (each(user, first + t + i, s->w.logits + i * V) != 0)
                return om_fail(err, OMNI_E_CANCELLED, "stopped by the caller");
        if (last && t + n == T)
            s->logits = s->w.logits + (n - 1) * V;
    }
    return OMNI_OK;
}

static omni_status check_ids(const om_seq *s, const int32_t *ids, size_t n, omni_error *err)
{
    if (n == 0)
        return om_fail(err, OMNI_E_USAGE, "no tokens to evaluate");
    if (n > s->n_ctx - s->n)
        return om_fail(err, OMNI_E_FULL, "%zu tokens do not fit: the context has %zu positions, %zu are taken", n,
                       s->n_ctx, s->n);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= s->m->h.n_vocab)
            return om_fail(err, OMNI_E_INPUT, "token %zu: expected an id in 0..%u, found %d", i, s->m->h.n_vocab - 1,
                           ids[i]);
    return OMNI_OK;
}

omni_status om_seq_eval(om_seq *s, const int32_t *ids, size_t n, int (*each)(void *user, size_t i, const float *logits),
                        void *user, omni_error *err)
{
    omni_status st = check_ids(s, ids, n, err);
    if (st != OMNI_OK)
        return st;
    s->logits = NULL;
    for (size_t done = 0; done < n && st == OMNI_OK;) {
        size_t T = n - done < s->n_batch ? n - done : s->n_batch;
        if (!om_forward_layers(s, ids + done, T)) {
            atomic_store_explicit(&s->cancel, 0, memory_order_relaxed);
            return om_fail(err, OMNI_E_CANCELLED, "cancelled");
        }
        memcpy(s->tokens + s->n, ids + done, T * sizeof *ids);
        s->n += T;
        st = finish_batch(s, done, T, done + T == n, each, user, err);
        done += T;
    }
    return st;
}

omni_status om_seq_shift(om_seq *s, size_t keep, size_t drop, omni_error *err)
{
    size_t from;
    if (!om_add(keep, drop, &from) || from > s->n)
        return om_fail(err, OMNI_E_USAGE, "context shift: %zu kept and %zu dropped positions of %zu", keep, drop, s->n);
    if (drop == 0)
        return OMNI_OK;
    for (size_t i = 0; i < s->m->h.n_layer; i++)
        om_kv_shift(&s->kv, s->m->nn.kern, i, s->m->layer[i].local ? &s->m->rope_local : &s->m->rope, from, s->n, drop);
    memmove(s->tokens + keep, s->tokens + from, (s->n - from) * sizeof *s->tokens);
    s->n -= drop;
    return OMNI_OK; /* the logits are still those of the last token */
}
