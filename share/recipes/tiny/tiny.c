/* The tiny models: which there are, their metadata, and random weights scaled so that logits vary and greedy text is
 * not constant. */
#include "share/recipes/tiny/tiny.h"

#include "gguf/gguf.h"
#include "kern/kern.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "share/recipes/tiny/tiny_text.h"
#include "share/recipes/tiny/tiny_vocab.h"

/* ---- which models ---- */

typedef struct tiny_tok {
    const char *model, *pre; /* tokenizer.ggml.model and .pre */
    const char *const *controls;
    const char *bos, *eos, *template;
    bool add_bos, space_prefix;
} tiny_tok;

static const char *const smollm_controls[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", NULL};
static const char *const qwen_controls[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", NULL};
static const char *const llama3_controls[] = {"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                                              "<|end_header_id|>", "<|eot_id|>",      NULL};
static const char *const llama2_controls[] = {"<unk>", "<s>", "</s>", NULL};
static const char *const gemma_controls[] = {"<pad>",           "<eos>",         "<bos>", "<unk>",
                                             "<start_of_turn>", "<end_of_turn>", NULL};

static const tiny_tok smollm = {"gpt2", "smollm", smollm_controls, "<|im_start|>", "<|im_end|>", chatml_template, 0, 0};
static const tiny_tok qwen = {"gpt2", "qwen2", qwen_controls, "<|endoftext|>", "<|im_end|>", chatml_template, 0, 0};
static const tiny_tok llama3 = {
    "gpt2", "llama-bpe", llama3_controls, "<|begin_of_text|>", "<|eot_id|>", llama3_template, 1, 0};
static const tiny_tok llama2 = {"llama", "default", llama2_controls, "<s>", "</s>", llama2_template, 1, 1};
static const tiny_tok gemma = {"llama", "default", gemma_controls, "<bos>", "<end_of_turn>", gemma_template, 1, 0};

enum {                  /* what else a model has */
       UNTIED = 1,      /* output.weight */
       ROPE_FREQS = 2,  /* Llama 3's scaling, as a tensor of divisors */
       ROPE_LINEAR = 4, /* positions halved */
       QKV_BIAS = 8,
       QK_NORM = 16,
       POST_NORM = 32,
       FULL_DIM = 64,   /* head_dim is given in the metadata */
       EVERY_TYPE = 128 /* each matrix in another number format */
};

static const struct tiny_model {
    const char *name, *arch;
    const tiny_tok *tok;
    uint32_t n_vocab, n_embd, n_layer, n_head, n_head_kv, head_dim, n_ff, n_ctx, window;
    float rope_base, embd_std, gain;
    om_type embd, mat;
    unsigned flags;
    bool committed;
} models[] = {
    {"llama", "llama", &smollm, 512, 64, 2, 4, 2, 16, 192, 512, 0, 1e5f, 0.25f, 1.5f, OM_Q8_0, OM_Q4_1, 0, true},
    {"llama3", "llama", &llama3, 320, 32, 2, 2, 1, 16, 64, 1024, 0, 1e4f, 0.4f, 1.5f, OM_F16, OM_F16,
     UNTIED | ROPE_FREQS, true},
    {"llama2", "llama", &llama2, 384, 32, 2, 4, 4, 8, 64, 512, 0, 1e4f, 0.4f, 1.5f, OM_Q8_0, OM_Q5_1,
     UNTIED | ROPE_LINEAR, true},
    {"qwen2", "qwen2", &qwen, 320, 32, 2, 4, 2, 8, 96, 512, 0, 1e6f, 0.4f, 1.5f, OM_Q8_0, OM_Q8_0, QKV_BIAS, true},
    {"qwen3", "qwen3", &qwen, 320, 32, 2, 4, 2, 16, 64, 512, 0, 1e6f, 0.4f, 1.5f, OM_Q8_0, OM_Q4_0,
     UNTIED | QK_NORM | FULL_DIM, true},
    {"gemma3", "gemma3", &gemma, 384, 32, 7, 4, 1, 16, 64, 512, 32, 1e6f, 0.25f, 1.5f, OM_Q8_0, OM_Q5_0,
     QK_NORM | POST_NORM | FULL_DIM, true},
    {"types", "llama", &smollm, 288, 256, 2, 4, 2, 32, 256, 512, 0, 1e5f, 0.15f, 1.5f, OM_Q4_K, OM_F32,
     UNTIED | FULL_DIM | EVERY_TYPE, false},
};
#define N_MODELS (sizeof models / sizeof *models)

const char *tiny_name(size_t i)
{
    return i < N_MODELS ? models[i].name : NULL;
}

bool tiny_committed(size_t i)
{
    return i < N_MODELS && models[i].committed;
}

/* ---- weights ---- */

#define MAX_TENSORS 128

typedef struct maker {
    const struct tiny_model *m;
    bool as_f32;
    om_gguf_writer *w;
    omni_error *err;
    void *data[MAX_TENSORS]; /* of the tensors put so far */
    size_t n;
} maker;

/* Sum of uniforms: additions of doubles are the same everywhere, which libm's log and cos are not. */
static float normal(om_rng *r)
{
    double x = -6;
    for (int i = 0; i < 12; i++)
        x += om_rng_double(r);
    return (float)x;
}

static omni_status put(maker *k, const char *name, om_type type, uint64_t cols, uint64_t rows, const float *x)
{
    const om_type_info *info = om_type_get(type);
    size_t n = (size_t)(cols * rows), bytes = n / info->block * info->bytes;
    void *data = k->n < MAX_TENSORS ? om_alloc(type == OM_F32 || k->as_f32 ? n * sizeof *x : bytes) : NULL;
    if (!data)
        return om_fail_memory(k->err, bytes, name);
    k->data[k->n++] = data;
    if (type == OM_F32) {
        memcpy(data, x, n * sizeof *x);
    } else if (k->as_f32) {
        void *q = om_alloc(bytes);
        if (!q)
            return om_fail_memory(k->err, bytes, name);
        om_quantize(type, x, q, n);
        om_kern_level(0)->dequantize(type, q, data, n);
        om_free(q);
        type = OM_F32;
    } else {
        om_quantize(type, x, data, n);
    }
    uint64_t dim[2] = {cols, rows};
    return om_gguf_put_tensor(k->w, name, type, dim, rows > 1 ? 2 : 1, data, k->err);
}

/* Random values around mean; the seed is the tensor's name, so that no model depends on the order of the others. */
static omni_status put_random(maker *k, const char *name, om_type type, uint64_t cols, uint64_t rows, float mean,
                              float std)
{
    float *x = om_alloc((size_t)(cols * rows) * sizeof *x);
    if (!x)
        return om_fail_memory(k->err, (size_t)(cols * rows) * sizeof *x, name);
    om_rng r;
    uint64_t seed = om_hash_fnv1a(OM_HASH_FNV1A_INIT, k->m->name, strlen(k->m->name));
    om_rng_seed(&r, om_hash_fnv1a(seed, name, strlen(name)));
    for (uint64_t i = 0; i < cols * rows; i++)
        x[i] = mean + std * normal(&r);
    omni_status s = put(k, name, type, cols, rows, x);
    om_free(x);
    return s;
}

/* Every format once, K-quants where the columns are a multiple of 256 (all but attn_output's). */
static om_type matrix_type(const struct tiny_model *m, uint32_t layer, int which)
{
    static const om_type types[2][7] = {
        {OM_Q4_K, OM_Q5_K, OM_F16, OM_Q5_0, OM_Q4_0, OM_Q5_1, OM_Q6_K},
        {OM_Q8_0, OM_F32, OM_BF16, OM_Q5_1, OM_Q4_1, OM_Q5_K, OM_Q4_K},
    };
    return m->flags & EVERY_TYPE ? types[layer % 2][which] : m->mat;
}

static omni_status put_layer_vectors(maker *k, uint32_t layer)
{
    const struct tiny_model *m = k->m;
    const struct {
        const char *name;
        unsigned flag; /* 0 = always */
        uint32_t n;
        float mean, std;
    } v[] = {
        {"attn_norm.weight", 0, m->n_embd, 1, 0.2f},
        {"ffn_norm.weight", 0, m->n_embd, 1, 0.2f},
        {"post_attention_norm.weight", POST_NORM, m->n_embd, 1.8f, 0.3f},
        {"post_ffw_norm.weight", POST_NORM, m->n_embd, 1.8f, 0.3f},
        {"attn_q_norm.weight", QK_NORM, m->head_dim, 1.7f, 0.4f},
        {"attn_k_norm.weight", QK_NORM, m->head_dim, 1.7f, 0.4f},
        {"attn_q.bias", QKV_BIAS, m->n_head * m->head_dim, 0, 0.5f},
        {"attn_k.bias", QKV_BIAS, m->n_head_kv * m->head_dim, 0, 0.5f},
        {"attn_v.bias", QKV_BIAS, m->n_head_kv * m->head_dim, 0, 0.5f},
    };
    omni_status s = OMNI_OK;
    for (size_t i = 0; i < sizeof v / sizeof *v && s == OMNI_OK; i++) {
        char name[64];
        if (v[i].flag && !(m->flags & v[i].flag))
            continue;
        snprintf(name, sizeof name, "blk.%u.%s", layer, v[i].name);
        s = put_random(k, name, OM_F32, v[i].n, 1, v[i].mean, v[i].std);
    }
    return s;
}

static omni_status put_layer(maker *k, uint32_t layer)
{
    const struct tiny_model *m = k->m;
    uint32_t q = m->n_head * m->head_dim, kv = m->n_head_kv * m->head_dim;
    const struct {
        const char *name;
        uint32_t cols, rows;
    } mat[] = {
        {"attn_q", m->n_embd, q},         {"attn_k", m->n_embd, kv},        {"attn_v", m->n_embd, kv},
        {"attn_output", q, m->n_embd},    {"ffn_gate", m->n_embd, m->n_ff}, {"ffn_up", m->n_embd, m->n_ff},
        {"ffn_down", m->n_ff, m->n_embd},
    };
    omni_status s = put_layer_vectors(k, layer);
    for (int i = 0; i < 7 && s == OMNI_OK; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", layer, mat[i].name);
        s = put_random(k, name, matrix_type(m, layer, i), mat[i].cols, mat[i].rows, 0,
                       m->gain / sqrtf((float)mat[i].cols));
    }
    return s;
}

/* Llama 3's scaling of wave lengths (rope_type "llama3" of Hugging Face transformers) for an original context of 128:
 * short waves stay, long ones are stretched 8 times, those between are blended. */
static omni_status put_rope_freqs(maker *k)
{
    const double factor = 8, low = 1, high = 4, ctx = 128, pi = 3.14159265358979323846;
    float f[64];
    uint32_t n = k->m->head_dim / 2;
    for (uint32_t i = 0; i < n; i++) {
        double wave = 2 * pi * pow((double)k->m->rope_base, (double)i / n);
        double smooth = (ctx / wave - low) / (high - low);
        f[i] = (float)(wave < ctx / high ? 1 : wave > ctx / low ? factor : 1 / ((1 - smooth) / factor + smooth));
    }
    return put(k, "rope_freqs.weight", OM_F32, n, 1, f);
}

static omni_status put_weights(maker *k)
{
    const struct tiny_model *m = k->m;
    omni_status s = put_random(k, "token_embd.weight", m->embd, m->n_embd, m->n_vocab, 0, m->embd_std);
    if (s == OMNI_OK && m->flags & ROPE_FREQS)
        s = put_rope_freqs(k);
    for (uint32_t i = 0; i < m->n_layer && s == OMNI_OK; i++)
        s = put_layer(k, i);
    if (s == OMNI_OK)
        s = put_random(k, "output_norm.weight", OM_F32, m->n_embd, 1, 1, 0.2f);
    if (s == OMNI_OK && m->flags & UNTIED)
        s = put_random(k, "output.weight", m->flags & EVERY_TYPE ? OM_Q6_K : m->embd, m->n_embd, m->n_vocab, 0,
                       m->embd_std);
    return s;
}

/* ---- metadata ---- */

static omni_status put_arch_u32(maker *k, const char *suffix, uint32_t v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", k->m->arch, suffix);
    return om_gguf_put_u32(k->w, key, v);
}

static omni_status put_arch_f32(maker *k, const char *suffix, float v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", k->m->arch, suffix);
    return om_gguf_put_f32(k->w, key, v);
}

static omni_status put_string(om_gguf_writer *w, const char *key, const char *s)
{
    return om_gguf_put_str(w, key, s, strlen(s));
}

static omni_status put_arch(maker *k)
{
    const struct tiny_model *m = k->m;
    const struct {
        const char *suffix;
        uint32_t value;
        bool on;
    } u[] = {
        {"vocab_size", m->n_vocab, true},
        {"context_length", m->n_ctx, true},
        {"embedding_length", m->n_embd, true},
        {"block_count", m->n_layer, true},
        {"feed_forward_length", m->n_ff, true},
        {"attention.head_count", m->n_head, true},
        {"attention.head_count_kv", m->n_head_kv, true},
        {"attention.key_length", m->head_dim, m->flags & FULL_DIM},
        {"attention.value_length", m->head_dim, m->flags & FULL_DIM},
        {"rope.dimension_count", m->head_dim, true},
        {"attention.sliding_window", m->window, m->window > 0},
    };
    omni_status s = OMNI_OK;
    for (size_t i = 0; i < sizeof u / sizeof *u && s == OMNI_OK; i++)
        if (u[i].on)
            s = put_arch_u32(k, u[i].suffix, u[i].value);
    if (s == OMNI_OK)
        s = put_arch_f32(k, "rope.freq_base", m->rope_base);
    if (s == OMNI_OK)
        s = put_arch_f32(k, "attention.layer_norm_rms_epsilon", 1e-5f);
    if (s != OMNI_OK || !(m->flags & ROPE_LINEAR))
        return s;
    char key[96];
    snprintf(key, sizeof key, "%s.rope.scaling.type", m->arch);
    s = put_string(k->w, key, "linear");
    return s == OMNI_OK ? put_arch_f32(k, "rope.scaling.factor", 2) : s;
}

static omni_status put_general(maker *k)
{
    char name[64];
    snprintf(name, sizeof name, "tiny %s (random weights)", k->m->name);
    omni_status s = put_string(k->w, "general.architecture", k->m->arch);
    if (s == OMNI_OK)
        s = put_string(k->w, "general.name", name);
    return s == OMNI_OK ? put_string(k->w, "general.license", "mit") : s;
}

static omni_status put_tokenizer(maker *k, vocab *v)
{
    const tiny_tok *t = k->m->tok;
    bool spm = strcmp(t->model, "llama") == 0;
    memset(v, 0, sizeof *v);
    (spm ? vocab_spm : vocab_bpe)(v, t->controls, tiny_text, k->m->n_vocab);
    if (v->n != k->m->n_vocab)
        return om_fail(k->err, OMNI_E_INPUT, "the text gives %u tokens, %u are wanted", v->n, k->m->n_vocab);
    omni_status s = put_string(k->w, "tokenizer.ggml.model", t->model);
    if (s == OMNI_OK)
        s = put_string(k->w, "tokenizer.ggml.pre", t->pre);
    if (s == OMNI_OK)
        s = vocab_put(v, spm, k->w);
    if (s == OMNI_OK)
        s = om_gguf_put_u32(k->w, "tokenizer.ggml.bos_token_id", (uint32_t)vocab_find(v, t->bos));
    if (s == OMNI_OK)
        s = om_gguf_put_u32(k->w, "tokenizer.ggml.eos_token_id", (uint32_t)vocab_find(v, t->eos));
    if (s == OMNI_OK && spm)
        s = om_gguf_put_u32(k->w, "tokenizer.ggml.unknown_token_id", (uint32_t)vocab_find(v, "<unk>"));
    if (s == OMNI_OK)
        s = om_gguf_put_bool(k->w, "tokenizer.ggml.add_bos_token", t->add_bos);
    if (s == OMNI_OK)
        s = om_gguf_put_bool(k->w, "tokenizer.ggml.add_space_prefix", t->space_prefix);
    return s == OMNI_OK ? put_string(k->w, "tokenizer.chat_template", t->template) : s;
}

omni_status tiny_build(size_t i, bool as_f32, om_buf *out, omni_error *err)
{
    maker k = {.m = &models[i], .as_f32 = as_f32, .err = err};
    vocab *v = om_alloc(sizeof *v);
    if (!v)
        return om_fail_memory(err, sizeof *v, "a vocabulary");
    omni_status s = om_gguf_writer_new(&k.w, err);
    if (s == OMNI_OK)
        s = put_general(&k);
    if (s == OMNI_OK)
        s = put_arch(&k);
    if (s == OMNI_OK)
        s = put_tokenizer(&k, v);
    if (s == OMNI_OK)
        s = put_weights(&k);
    if (s == OMNI_OK)
        s = om_gguf_write_buf(k.w, out, err);
    for (size_t t = 0; t < k.n; t++)
        om_free(k.data[t]);
    om_gguf_writer_free(k.w);
    om_free(v);
    return s;
}
