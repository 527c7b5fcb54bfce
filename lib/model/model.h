/* model.h - the Llama-type decoder: llama, qwen2, qwen3, gemma3. Binding of tensors, forward pass, sequences.
 * Every tensor's shape and format is checked against the metadata before use. May include: base, kern, gguf, nn. */
#ifndef OMNI_MODEL_H
#define OMNI_MODEL_H

#include "base/base.h"
#include "base/base_pool.h"
#include "gguf/gguf.h"
#include "kern/kern.h"
#include "nn/nn.h"

typedef enum om_arch { OM_ARCH_LLAMA, OM_ARCH_QWEN2, OM_ARCH_QWEN3, OM_ARCH_GEMMA3 } om_arch;

typedef struct om_hparams {
    om_arch arch;
    uint32_t n_vocab, n_ctx_train, n_embd, n_layer, n_head, n_head_kv, head_dim, n_ff, n_rot;
    uint32_t window;                                        /* sliding window of local layers, 0 = none */
    uint32_t window_pattern;                                /* layer i is local when i % pattern < pattern - 1 */
    float norm_eps, rope_base, rope_base_local, rope_scale; /* rope_scale: positions are multiplied by it */
    float embd_scale, attn_scale;
    float logit_cap; /* logits = cap * tanh(logits / cap); 0 = off */
    bool rope_neox, gelu;
} om_hparams;
/* Reads and checks the hyperparameters; needs no tensor. */
omni_status om_hparams_read(om_hparams *h, const om_gguf *g, omni_error *err);

typedef struct om_layer { /* vectors are float, NULL when the architecture has none */
    om_mat wq, wk, wv, wo, gate, up, down;
    const float *bq, *bk, *bv, *bo;
    const float *attn_norm, *ffn_norm, *q_norm, *k_norm, *attn_post_norm, *ffn_post_norm;
    bool local; /* sliding window and local rope base */
} om_layer;

typedef struct om_model {
    om_hparams h;
    om_layer *layer; /* [n_layer] */
    om_mat embd, output;
    const float *output_norm;
    om_rope rope, rope_local;
    om_nn nn;
    size_t max_cols;
} om_model;

/* g and pool must outlive the model. */
omni_status om_model_new(om_model **out, const om_gguf *g, om_pool *pool, const om_kern *kern, bool float_act,
                         omni_error *err);
void om_model_free(om_model *m);

typedef struct om_seq om_seq; /* one sequence: tokens, KV cache, work space of a forward pass, logits */

bool om_seq_bytes(const om_model *m, size_t n_ctx, size_t n_batch, size_t *bytes);
omni_status om_seq_new(om_seq **out, om_model *m, size_t n_ctx, size_t n_batch, omni_error *err);
void om_seq_free(om_seq *s);
size_t om_seq_n(const om_seq *s);
size_t om_seq_n_ctx(const om_seq *s);
const int32_t *om_seq_tokens(const om_seq *s);
const float *om_seq_logits(const om_seq *s); /* NULL when there are none */
void om_seq_truncate(om_seq *s, size_t n);
/* Appends n tokens; logits of the last are ready then. each (may be NULL) gets the logits of every one. No allocation.
 */
omni_status om_seq_eval(om_seq *s, const int32_t *ids, size_t n, int (*each)(void *user, size_t i, const float *logits),
                        void *user, omni_error *err);
omni_status om_seq_shift(om_seq *s, size_t keep, size_t drop, omni_error *err);
void om_seq_cancel(om_seq *s); /* async-signal-safe */

#endif
