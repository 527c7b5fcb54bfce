/* model_hparams.c - hyperparameters from GGUF metadata, checked so that all later size arithmetic is safe. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_LAYERS 1024
#define MAX_WIDTH (1u << 20) /* n_embd, n_ff */
#define MAX_HEAD_DIM 1024    /* nn_kv.c has buffers of this size */

typedef struct reader { /* metadata of one architecture: keys "ARCH.suffix" */
    const om_gguf *g;
    const char *arch;
    omni_error *err;
    omni_status status; /* the first failure */
} reader;

static void key_of(const reader *r, const char *suffix, char *key, size_t cap)
{
    snprintf(key, cap, "%s.%s", r->arch, suffix);
}

static bool has(const reader *r, const char *suffix)
{
    char key[128];
    key_of(r, suffix, key, sizeof key);
    return om_gguf_has(r->g, key);
}

/* A required integer in [min, max]. */
static uint32_t get_u32(reader *r, const char *suffix, uint32_t min, uint32_t max)
{
    char key[128];
    uint32_t v = 0;
    if (r->status != OMNI_OK)
        return 0;
    key_of(r, suffix, key, sizeof key);
    r->status = om_gguf_get_u32(r->g, key, &v, r->err);
    if (r->status == OMNI_OK && (v < min || v > max))
        r->status = om_fail(r->err, OMNI_E_INPUT, "%s: key '%s': expected %u..%u, found %u", om_gguf_path(r->g), key,
                            min, max, v);
    return v;
}

static uint32_t get_u32_or(reader *r, const char *suffix, uint32_t min, uint32_t max, uint32_t otherwise)
{
    return has(r, suffix) ? get_u32(r, suffix, min, max) : otherwise;
}

static float get_f32_or(reader *r, const char *suffix, double min, double max, float otherwise)
{
    char key[128];
    float v = otherwise;
    if (r->status != OMNI_OK || !has(r, suffix))
        return v;
    key_of(r, suffix, key, sizeof key);
    r->status = om_gguf_get_f32(r->g, key, &v, r->err);
    if (r->status == OMNI_OK && !((double)v >= min && (double)v <= max))
        r->status = om_fail(r->err, OMNI_E_INPUT, "%s: key '%s': expected %g..%g, found %g", om_gguf_path(r->g), key,
                            min, max, (double)v);
    return v;
}

static const struct {
    const char *name;
    om_arch arch;
    bool neox, gelu;
} arch_table[] = {
    {"llama", OM_ARCH_LLAMA, false, false},
    {"qwen2", OM_ARCH_QWEN2, true, false},
    {"qwen3", OM_ARCH_QWEN3, true, false},
    {"gemma3", OM_ARCH_GEMMA3, true, true},
};

static omni_status read_arch(om_hparams *h, const om_gguf *g, const char **name, omni_error *err)
{
    om_str s;
    omni_status st = om_gguf_get_str(g, "general.architecture", &s, err);
    if (st != OMNI_OK)
        return st;
    for (size_t i = 0; i < sizeof arch_table / sizeof *arch_table; i++)
        if (strlen(arch_table[i].name) == s.n && memcmp(arch_table[i].name, s.p, s.n) == 0) {
            h->arch = arch_table[i].arch;
            h->rope_neox = arch_table[i].neox;
            h->gelu = arch_table[i].gelu;
            *name = arch_table[i].name;
            return OMNI_OK;
        }
    return om_fail(err, OMNI_E_INPUT, "%s: architecture: expected llama, qwen2, qwen3 or gemma3, found '%.*s'",
                   om_gguf_path(g), (int)(s.n < 64 ? s.n : 64), s.p);
}

static void read_shape(reader *r, om_hparams *h)
{
    h->n_ctx_train = get_u32(r, "context_length", 1, 1u << 30);
    h->n_embd = get_u32(r, "embedding_length", 1, MAX_WIDTH);
    h->n_layer = get_u32(r, "block_count", 1, MAX_LAYERS);
    h->n_ff = get_u32(r, "feed_forward_length", 1, MAX_WIDTH);
    h->n_head = get_u32(r, "attention.head_count", 1, 4096);
    h->n_head_kv = get_u32_or(r, "attention.head_count_kv", 1, 4096, h->n_head);
    uint32_t width = h->n_head ? h->n_embd / h->n_head : 0;
    h->head_dim = get_u32_or(r, "attention.key_length", 1, MAX_HEAD_DIM, width);
    uint32_t value_dim = get_u32_or(r, "attention.value_length", 1, MAX_HEAD_DIM, h->head_dim);
    h->n_rot = get_u32_or(r, "rope.dimension_count", 2, MAX_HEAD_DIM, h->head_dim);
    if (r->status != OMNI_OK)
        return;
    const char *path = om_gguf_path(r->g);
    if (h->n_head % h->n_head_kv != 0)
        r->status = om_fail(r->err, OMNI_E_INPUT, "%s: %u query heads are not a multiple of %u key heads", path,
                            h->n_head, h->n_head_kv);
    else if (value_dim != h->head_dim)
        r->status = om_fail(r->err, OMNI_E_INPUT, "%s: keys of %u and values of %u dimensions: expected equal sizes",
                            path, h->head_dim, value_dim);
    else if (h->head_dim < 4 || h->head_dim > MAX_HEAD_DIM || h->head_dim % 4 != 0)
        r->status = om_fail(r->err, OMNI_E_INPUT, "%s: head size: expected a multiple of 4 in 4..%d, found %u", path,
                            MAX_HEAD_DIM, h->head_dim);
    else if (h->n_rot > h->head_dim || h->n_rot % 2 != 0)
        r->status = om_fail(r->err, OMNI_E_INPUT, "%s: rotary dimensions: expected an even number up to %u, found %u",
                            path, h->head_dim, h->n_rot);
    else if (has(r, "expert_count") && get_u32(r, "expert_count", 0, UINT32_MAX) > 0)
        r->status = om_fail(r->err, OMNI_E_INPUT, "%s: mixture-of-experts models are not supported", path);
}

/* Positions are multiplied by rope_scale: 1 / rope.scaling.factor for linear scaling. Llama 3's scaling comes as a
 * tensor. */
static void read_rope(reader *r, om_hparams *h)
{
    char key[128];
    om_str type;
    h->rope_base = get_f32_or(r, "rope.freq_base", 1, 1e12, 10000.0f);
    h->rope_base_local = get_f32_or(r, "rope.freq_base_swa", 1, 1e12, 10000.0f);
    h->rope_scale = 1;
    bool linear = false;
    key_of(r, "rope.scaling.type", key, sizeof key);
    if (r->status == OMNI_OK && om_gguf_has(r->g, key)) {
        r->status = om_gguf_get_str(r->g, key, &type, r->err);
        if (r->status != OMNI_OK)
            return;
        linear = type.n == 6 && memcmp(type.p, "linear", 6) == 0;
        if (!linear && !(type.n == 4 && memcmp(type.p, "none", 4) == 0)) {
            r->status = om_fail(r->err, OMNI_E_INPUT, "%s: key '%s': expected none or linear, found '%.*s'",
                                om_gguf_path(r->g), key, (int)(type.n < 64 ? type.n : 64), type.p);
            return;
        }
    }
    float factor = get_f32_or(r, "rope.scaling.factor", 0, 1e6, get_f32_or(r, "rope.scale_linear", 0, 1e6, 0));
    if (factor > 0 && (linear || !om_gguf_has(r->g, key)))
        h->rope_scale = 1.0f / factor;
}

static void read_gemma(reader *r, om_hparams *h)
{
    h->window = get_u32_or(r, "attention.sliding_window", 0, 1u << 30, 0);
    h->window_pattern = get_u32_or(r, "attention.sliding_window_pattern", 1, MAX_LAYERS, 6);
    h->logit_cap = get_f32_or(r, "final_logit_softcapping", 0, 1e6, 0);
    h->embd_scale = sqrtf((float)h->n_embd);
    if (h->n_layer == 62 && h->n_head) /* Gemma 3 27B alone scales by the width a head (gemma_pytorch config.py) */
        h->attn_scale = 1.0f / sqrtf((float)(h->n_embd / h->n_head));
}

/* The vocabulary's size is that of the token list: the embedding must have as many rows. */
static omni_status read_vocab(om_hparams *h, const om_gguf *g, omni_error *err)
{
    om_gguf_array a;
    omni_status st = om_gguf_get_array(g, "tokenizer.ggml.tokens", OM_GGUF_STRING, &a, err);
    if (st != OMNI_OK)
        return st;
    if (a.n < 1 || a.n > 1u << 24)
        return om_fail(err, OMNI_E_INPUT, "%s: vocabulary: expected 1..%u tokens, found %llu", om_gguf_path(g),
                       1u << 24, (unsigned long long)a.n);
    h->n_vocab = (uint32_t)a.n;
    return OMNI_OK;
}

omni_status om_hparams_read(om_hparams *h, const om_gguf *g, omni_error *err)
{
    reader r = {g, "", err, OMNI_OK};
    *h = (om_hparams){.embd_scale = 1};
    r.status = read_arch(h, g, &r.arch, err);
    if (r.status == OMNI_OK)
        r.status = read_vocab(h, g, err);
    read_shape(&r, h);
    if (r.status != OMNI_OK)
        return r.status;
    h->attn_scale = get_f32_or(&r, "attention.scale", 1e-6, 1e6, 1.0f / sqrtf((float)h->head_dim));
    h->norm_eps = get_f32_or(&r, "attention.layer_norm_rms_epsilon", 0, 1, 1e-5f);
    read_rope(&r, h);
    if (h->arch == OM_ARCH_GEMMA3)
        read_gemma(&r, h);
    return r.status;
}
