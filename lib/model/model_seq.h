/* model_seq.h - private: a sequence's memory and the forward pass over it. */
#ifndef OMNI_MODEL_SEQ_H
#define OMNI_MODEL_SEQ_H

#include "model/model.h"

#include <stdatomic.h>

#define LOGIT_ROWS 8 /* tokens whose logits are computed at once when every one is wanted */

typedef struct om_work {      /* activations of a forward pass of up to n_batch tokens; all in the sequence's arena */
    float *x;                 /* [T][n_embd] the residual stream */
    float *h;                 /* [T][n_embd] its normed form, later a block's output */
    float *qkv;               /* [T][(n_head + 2 n_head_kv) head_dim] */
    float *att;               /* [T][n_head * head_dim] */
    float *gate, *up;         /* [T][n_ff] */
    float *cosv[2], *sinv[2]; /* [T][n_rot / 2], global and local */
    void *q16;                /* quantised activations, om_q16_bytes(T, widest input) */
    void *partial;            /* attention of one token */
    float *logits;            /* [LOGIT_ROWS][n_vocab] */
} om_work;

struct om_seq {
    om_model *m;
    om_kv kv;
    om_work w;
    void *arena;
    int32_t *tokens; /* [n_ctx] */
    size_t n, n_ctx, n_batch;
    const float *logits; /* of the last token, inside w.logits; NULL when there are none */
    atomic_int cancel;
};

/* Runs T <= n_batch tokens at positions s->n .. through all layers: w.x holds the last layer's output, the cache their
 * keys and values. False when cancelled between two layers. */
bool om_forward_layers(om_seq *s, const int32_t *ids, size_t T);
/* Logits of tokens t0 .. t0 + n - 1 of the last om_forward_layers into w.logits, n <= LOGIT_ROWS. */
void om_forward_logits(om_seq *s, size_t t0, size_t n);

#endif
