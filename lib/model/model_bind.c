/* model_bind.c - finds the tensors of a decoder in a GGUF and checks format and shape of each against the metadata. */
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct binder {
    const om_gguf *g;
    om_model *m;
    omni_error *err;
    omni_status status; /* the first failure; later calls do nothing */
} binder;

static const om_gguf_tensor *find(binder *b, bool required, const char *name)
{
    if (b->status != OMNI_OK)
        return NULL;
    const om_gguf_tensor *t = om_gguf_find(b->g, name);
    if (!t && required)
        b->status = om_fail(b->err, OMNI_E_INPUT, "%s: tensor '%s' is missing", om_gguf_path(b->g), name);
    return t;
}

/* A matrix of rows x cols in a format we compute with; w->data stays NULL when an optional one is absent. */
static void bind_mat(binder *b, om_mat *w, size_t rows, size_t cols, bool required, const char *name)
{
    const om_gguf_tensor *t = find(b, required, name);
    if (!t)
        return;
    const om_type_info *ti = om_type_get(t->type);
    const char *path = om_gguf_path(b->g), *format;
    uint32_t block, bytes;
    if (!ti || !t->data) {
        bool known = om_gguf_format(t->type, &format, &block, &bytes);
        b->status = om_fail(
            b->err, OMNI_E_INPUT,
            "%s: tensor '%s': expected F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K, found %s (%u)",
            path, name, known ? format : "an unknown format", t->type);
    } else if (t->dim[0] != cols || t->dim[1] != rows || t->dim[2] != 1 || t->dim[3] != 1) {
        b->status = om_fail(b->err, OMNI_E_INPUT,
                            "%s: tensor '%s': expected shape [%zu, %zu], found [%" PRIu64 ", %" PRIu64 ", %" PRIu64
                            ", %" PRIu64 "]",
                            path, name, cols, rows, t->dim[0], t->dim[1], t->dim[2], t->dim[3]);
    } else if (cols % ti->block != 0) {
        b->status = om_fail(b->err, OMNI_E_INPUT, "%s: tensor '%s': rows of %zu weights are not whole blocks of %u",
                            path, name, cols, ti->block);
    } else {
        *w = (om_mat){t->data, (om_type)t->type, rows, cols, cols / ti->block * ti->bytes};
        if (cols > b->m->max_cols)
            b->m->max_cols = cols;
    }
}

static void bind_vec(binder *b, const float **v, size_t n, bool required, const char *name)
{
    const om_gguf_tensor *t = find(b, required, name);
    if (!t)
        return;
    if (t->type != OM_F32 || !t->data)
        b->status = om_fail(b->err, OMNI_E_INPUT, "%s: tensor '%s': expected F32, found format %u", om_gguf_path(b->g),
                            name, t->type);
    else if (t->n_elements != n || t->dim[0] != n)
        b->status = om_fail(b->err, OMNI_E_INPUT, "%s: tensor '%s': expected %zu values, found %" PRIu64,
                            om_gguf_path(b->g), name, n, t->n_elements);
    else if ((uintptr_t)t->data % sizeof(float) != 0)
        b->status = om_fail(b->err, OMNI_E_INPUT, "%s: tensor '%s': byte %" PRIu64 " is not aligned for floats",
                            om_gguf_path(b->g), name, t->offset);
    else
        *v = t->data;
}

static void layer_mat(binder *b, size_t i, om_mat *w, const char *part, size_t rows, size_t cols)
{
    char name[96];
    snprintf(name, sizeof name, "blk.%zu.%s.weight", i, part);
    bind_mat(b, w, rows, cols, true, name);
}

static void layer_vec(binder *b, size_t i, const float **v, const char *part, size_t n, bool required)
{
    char name[96];
    snprintf(name, sizeof name, "blk.%zu.%s", i, part);
    bind_vec(b, v, n, required, name);
}

static void bind_layer(binder *b, size_t i)
{
    const om_hparams *h = &b->m->h;
    om_layer *l = &b->m->layer[i];
    size_t n_q = (size_t)h->n_head * h->head_dim, n_kv = (size_t)h->n_head_kv * h->head_dim;
    bool gemma = h->arch == OM_ARCH_GEMMA3, qk_norm = gemma || h->arch == OM_ARCH_QWEN3,
         qwen2 = h->arch == OM_ARCH_QWEN2;
    layer_mat(b, i, &l->wq, "attn_q", n_q, h->n_embd);
    layer_mat(b, i, &l->wk, "attn_k", n_kv, h->n_embd);
    layer_mat(b, i, &l->wv, "attn_v", n_kv, h->n_embd);
    layer_mat(b, i, &l->wo, "attn_output", h->n_embd, n_q);
    layer_mat(b, i, &l->gate, "ffn_gate", h->n_ff, h->n_embd);
    layer_mat(b, i, &l->up, "ffn_up", h->n_ff, h->n_embd);
    layer_mat(b, i, &l->down, "ffn_down", h->n_embd, h->n_ff);
    layer_vec(b, i, &l->attn_norm, "attn_norm.weight", h->n_embd, true);
    layer_vec(b, i, &l->ffn_norm, "ffn_norm.weight", h->n_embd, true);
    layer_vec(b, i, &l->bq, "attn_q.bias", n_q, qwen2);
    layer_vec(b, i, &l->bk, "attn_k.bias", n_kv, qwen2);
    layer_vec(b, i, &l->bv, "attn_v.bias", n_kv, qwen2);
    layer_vec(b, i, &l->bo, "attn_output.bias", h->n_embd, false);
    if (qk_norm) {
        layer_vec(b, i, &l->q_norm, "attn_q_norm.weight", h->head_dim, true);
        layer_vec(b, i, &l->k_norm, "attn_k_norm.weight", h->head_dim, true);
    }
    if (gemma) {
        layer_vec(b, i, &l->attn_post_norm, "post_attention_norm.weight", h->n_embd, true);
        layer_vec(b, i, &l->ffn_post_norm, "post_ffw_norm.weight", h->n_embd, true);
        l->local = h->window > 0 && i % h->window_pattern < h->window_pattern - 1;
    }
}

/* What the rotary part needs: frequencies of global and local layers, Llama 3's per-frequency divisors if they are
 * there. */
static void bind_rope(binder *b)
{
    om_model *m = b->m;
    const om_hparams *h = &m->h;
    const float *factors = NULL;
    bind_vec(b, &factors, h->n_rot / 2, false, "rope_freqs.weight");
    for (size_t i = 0; factors && i < h->n_rot / 2; i++)
        if (!(factors[i] > 0) || !isfinite(factors[i])) {
            b->status =
                om_fail(b->err, OMNI_E_INPUT, "%s: tensor 'rope_freqs.weight': expected positive values, found %g",
                        om_gguf_path(b->g), (double)factors[i]);
            return;
        }
    if (b->status == OMNI_OK)
        b->status = om_rope_init(&m->rope, h->n_rot, h->rope_neox, h->rope_base, h->rope_scale, factors, b->err);
    if (b->status == OMNI_OK)
        b->status = om_rope_init(&m->rope_local, h->n_rot, h->rope_neox, h->rope_base_local, 1.0, NULL, b->err);
}

static omni_status bind_all(om_model *m, const om_gguf *g, omni_error *err)
{
    binder b = {g, m, err, OMNI_OK};
    const om_hparams *h = &m->h;
    bind_mat(&b, &m->embd, h->n_vocab, h->n_embd, true, "token_embd.weight");
    bind_vec(&b, &m->output_norm, h->n_embd, true, "output_norm.weight");
    bind_mat(&b, &m->output, h->n_vocab, h->n_embd, false, "output.weight");
    if (b.status == OMNI_OK && !m->output.data)
        m->output = m->embd; /* tied */
    for (size_t i = 0; i < h->n_layer; i++)
        bind_layer(&b, i);
    bind_rope(&b);
    return b.status;
}

omni_status om_model_new(om_model **out, const om_gguf *g, om_pool *pool, const om_kern *kern, bool float_act,
                         omni_error *err)
{
    om_model *m = om_alloc_zero(1, sizeof *m);
    if (!m)
        return om_fail_memory(err, sizeof *m, "the model");
    omni_status st = om_hparams_read(&m->h, g, err);
    if (st == OMNI_OK) {
        m->layer = om_alloc_zero(m->h.n_layer, sizeof *m->layer);
        if (!m->layer)
            st = om_fail_memory(err, m->h.n_layer * sizeof *m->layer, "layers");
    }
    if (st == OMNI_OK)
        st = bind_all(m, g, err);
    if (st == OMNI_OK) {
        size_t bytes = om_nn_scratch_bytes(m->max_cols, m->h.head_dim, m->h.n_head / m->h.n_head_kv);
        size_t all = 0;
        m->nn = (om_nn){kern, pool, NULL, bytes, float_act};
        if (om_mul(bytes, (size_t)om_pool_threads(pool), &all))
            m->nn.scratch = om_alloc_aligned(64, all);
        if (!m->nn.scratch)
            st = om_fail_memory(err, all, "scratch of the workers");
    }
    if (st != OMNI_OK) {
        om_model_free(m);
        return st;
    }
    *out = m;
    return OMNI_OK;
}

void om_model_free(om_model *m)
{
    if (!m)
        return;
    om_rope_release(&m->rope);
    om_rope_release(&m->rope_local);
    om_free(m->nn.scratch);
    om_free(m->layer);
    om_free(m);
}
