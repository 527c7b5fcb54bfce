/* model_forward.c - the forward pass of a Llama-type decoder, top to bottom. Shapes: T tokens of this call, E = n_embd,
 * D = head_dim, H = n_head, G = n_head_kv, F = n_ff. Source: the architectures as Hugging Face transformers computes
 * them (modeling_llama.py, modeling_qwen2.py, modeling_qwen3.py, modeling_gemma3.py) on GGUF's tensor order. */
#include "model/model_seq.h"

#include <math.h>
#include <string.h>

typedef struct pass { /* one call of om_forward_layers */
    om_seq *s;
    const om_model *m;
    const om_nn *nn;
    const om_layer *l;
    size_t layer, T;
    const int32_t *ids;
} pass;

static size_t n_q(const om_hparams *h)
{
    return (size_t)h->n_head * h->head_dim;
}
static size_t n_kv(const om_hparams *h)
{
    return (size_t)h->n_head_kv * h->head_dim;
}

/* ---- token-wise steps: one token a unit, run by the pool only when there are many ---- */

#define TOKEN_GRAIN 16

/* x[t] = embedding row of the token, and the rotation angles of its position. */
static void embed_piece(void *arg, size_t begin, size_t end, int worker)
{
    const pass *p = arg;
    const om_hparams *h = &p->m->h;
    const om_mat *e = &p->m->embd;
    om_work *w = &p->s->w;
    size_t half = h->n_rot / 2;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *x = w->x + t * h->n_embd;
        p->nn->kern->dequantize(e->type, (const char *)e->data + (size_t)p->ids[t] * e->row_bytes, x, h->n_embd);
        if (h->embd_scale != 1.0f)
            p->nn->kern->scale(x, h->embd_scale, h->n_embd);
        om_rope_at(&p->m->rope, (int64_t)(p->s->n + t), w->cosv[0] + t * half, w->sinv[0] + t * half);
        if (h->window)
            om_rope_at(&p->m->rope_local, (int64_t)(p->s->n + t), w->cosv[1] + t * half, w->sinv[1] + t * half);
    }
}

static void add_bias(const om_kern *kern, float *y, const float *bias, size_t n)
{
    if (bias)
        kern->add(y, bias, n);
}

/* Norm of each head (if any), then rotation. x: [n_head][D] */
static void turn_heads(const pass *p, float *x, size_t n_head, const float *norm, const float *cosv, const float *sinv)
{
    const om_hparams *h = &p->m->h;
    for (size_t i = 0; i < n_head; i++) {
        float *head = x + i * h->head_dim;
        if (norm)
            p->nn->kern->rms_norm(head, norm, h->norm_eps, head, h->head_dim);
        p->nn->kern->rope(head, cosv, sinv, h->n_rot, h->rope_neox);
    }
}

/* qkv[t]: biases, head norms, rotation; keys and values go to the cache. */
static void qkv_piece(void *arg, size_t begin, size_t end, int worker)
{
    const pass *p = arg;
    const om_hparams *h = &p->m->h;
    const om_layer *l = p->l;
    const om_work *w = &p->s->w;
    size_t half = h->n_rot / 2;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *q = w->qkv + t * (n_q(h) + 2 * n_kv(h)), *k = q + n_q(h), *v = k + n_kv(h);
        const float *cosv = w->cosv[l->local] + t * half, *sinv = w->sinv[l->local] + t * half;
        add_bias(p->nn->kern, q, l->bq, n_q(h));
        add_bias(p->nn->kern, k, l->bk, n_kv(h));
        add_bias(p->nn->kern, v, l->bv, n_kv(h));
        turn_heads(p, q, h->n_head, l->q_norm, cosv, sinv);
        turn_heads(p, k, h->n_head_kv, l->k_norm, cosv, sinv);
        om_kv_put(&p->s->kv, p->nn->kern, p->layer, p->s->n + t, k, v);
    }
}

/* x[t] += post_norm(y[t] + bias), the end of both halves of a layer. */
static void residual(const pass *p, float *y, const float *bias, const float *post_norm, size_t begin, size_t end)
{
    const om_hparams *h = &p->m->h;
    for (size_t t = begin; t < end; t++) {
        float *yt = y + t * h->n_embd;
        add_bias(p->nn->kern, yt, bias, h->n_embd);
        if (post_norm)
            p->nn->kern->rms_norm(yt, post_norm, h->norm_eps, yt, h->n_embd);
        p->nn->kern->add(p->s->w.x + t * h->n_embd, yt, h->n_embd);
    }
}
static void attn_residual_piece(void *arg, size_t begin, size_t end, int worker)
{
    const pass *p = arg;
    (void)worker;
    residual(p, p->s->w.h, p->l->bo, p->l->attn_post_norm, begin, end);
}
static void ffn_residual_piece(void *arg, size_t begin, size_t end, int worker)
{
    const pass *p = arg;
    (void)worker;
    residual(p, p->s->w.h, NULL, p->l->ffn_post_norm, begin, end);
}

/* gate[t] = activation(gate[t]) * up[t] */
static void gate_piece(void *arg, size_t begin, size_t end, int worker)
{
    const pass *p = arg;
    const om_work *w = &p->s->w;
    size_t F = p->m->h.n_ff;
    void (*mul)(float *, const float *, size_t) = p->m->h.gelu ? p->nn->kern->gelu_mul : p->nn->kern->silu_mul;
    (void)worker;
    for (size_t t = begin; t < end; t++)
        mul(w->gate + t * F, w->up + t * F, F);
}

static void per_token(pass *p, om_pool_fn fn)
{
    om_pool_for(p->nn->pool, p->T, TOKEN_GRAIN, fn, p);
}

/* ---- linear maps ---- */

/* Outputs of n matrices for T rows of x [T][cols]; quantises x first if one of them wants that. */
static void linear(const om_nn *nn, void *q16, const float *x, size_t cols, size_t T, const om_nn_out *out, size_t n)
{
    om_act act = {.f = x, .ld = cols, .cols = cols};
    for (size_t i = 0; i < n; i++)
        if (om_nn_wants_q16(nn, out[i].w)) {
            om_q16_place(&act.q, q16, T, cols);
            om_nn_quantize(nn, &act, T);
            break;
        }
    om_nn_linear(nn, out, n, &act, T);
}

static void attention_half(pass *p)
{
    const om_hparams *h = &p->m->h;
    const om_layer *l = p->l;
    om_work *w = &p->s->w;
    size_t ld = n_q(h) + 2 * n_kv(h);
    om_nn_rms_norm(p->nn, w->x, l->attn_norm, h->norm_eps, w->h, h->n_embd, p->T);
    const om_nn_out qkv[3] = {
        {&l->wq, w->qkv, ld}, {&l->wk, w->qkv + n_q(h), ld}, {&l->wv, w->qkv + n_q(h) + n_kv(h), ld}};
    linear(p->nn, w->q16, w->h, h->n_embd, p->T, qkv, 3);
    per_token(p, qkv_piece);
    const om_attn a = {&p->s->kv, p->layer, h->n_head, h->attn_scale, l->local ? h->window : 0};
    om_nn_attention(p->nn, &a, w->qkv, ld, p->T, p->s->n, w->att, n_q(h), w->partial);
    const om_nn_out o = {&l->wo, w->h, h->n_embd};
    linear(p->nn, w->q16, w->att, n_q(h), p->T, &o, 1);
    per_token(p, attn_residual_piece);
}

static void ffn_half(pass *p)
{
    const om_hparams *h = &p->m->h;
    const om_layer *l = p->l;
    om_work *w = &p->s->w;
    om_nn_rms_norm(p->nn, w->x, l->ffn_norm, h->norm_eps, w->h, h->n_embd, p->T);
    const om_nn_out gate_up[2] = {{&l->gate, w->gate, h->n_ff}, {&l->up, w->up, h->n_ff}};
    linear(p->nn, w->q16, w->h, h->n_embd, p->T, gate_up, 2);
    per_token(p, gate_piece);
    const om_nn_out down = {&l->down, w->h, h->n_embd};
    linear(p->nn, w->q16, w->gate, h->n_ff, p->T, &down, 1);
    per_token(p, ffn_residual_piece);
}

bool om_forward_layers(om_seq *s, const int32_t *ids, size_t T)
{
    pass p = {s, s->m, &s->m->nn, NULL, 0, T, ids};
    per_token(&p, embed_piece);
    for (p.layer = 0; p.layer < s->m->h.n_layer; p.layer++) {
        if (atomic_load_explicit(&s->cancel, memory_order_relaxed))
            return false;
        p.l = &s->m->layer[p.layer];
        attention_half(&p);
        ffn_half(&p);
    }
    return true;
}

void om_forward_logits(om_seq *s, size_t t0, size_t n)
{
    const om_model *m = s->m;
    const om_hparams *h = &m->h;
    om_work *w = &s->w;
    om_nn_rms_norm(&m->nn, w->x + t0 * h->n_embd, m->output_norm, h->norm_eps, w->h, h->n_embd, n);
    const om_nn_out out = {&m->output, w->logits, h->n_vocab};
    linear(&m->nn, w->q16, w->h, h->n_embd, n, &out, 1);
    if (h->logit_cap > 0)
        for (size_t i = 0; i < n * h->n_vocab; i++)
            w->logits[i] = h->logit_cap * tanhf(w->logits[i] / h->logit_cap);
}
