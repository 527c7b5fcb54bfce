/* api_session.c - sessions: a sequence of tokens whose KV cache is reused as far as a new prompt agrees with it. */
#include "api/api.h"

#define DEFAULT_CTX 8192
#define DEFAULT_BATCH 512
#define MAX_CTX (1u << 26)
#define MAX_BATCH 4096

omni_session_params omni_session_params_default(void)
{
    return (omni_session_params){.n_ctx = 0, .n_batch = 0};
}

static omni_session_params resolve(const omni_model *m, const omni_session_params *p)
{
    omni_session_params r = p ? *p : omni_session_params_default();
    uint32_t train = m->info.n_ctx_train;
    if (r.n_ctx == 0)
        r.n_ctx = train < DEFAULT_CTX ? train : DEFAULT_CTX;
    if (r.n_batch == 0)
        r.n_batch = DEFAULT_BATCH;
    if (r.n_batch > r.n_ctx)
        r.n_batch = r.n_ctx;
    return r;
}

uint64_t omni_session_memory(const omni_model *m, const omni_session_params *p)
{
    omni_session_params r = resolve(m, p);
    size_t bytes = 0;
    if (!m->net || !om_seq_bytes(m->net, r.n_ctx, r.n_batch, &bytes))
        return 0;
    return bytes;
}

omni_status omni_session_new(omni_session **out, omni_model *m, const omni_session_params *p, omni_error *err)
{
    omni_session_params r = resolve(m, p);
    if (!m->net)
        return om_fail(err, OMNI_E_USAGE, "%s was opened for its vocabulary only", m->info.path);
    if (r.n_ctx > MAX_CTX || r.n_batch > MAX_BATCH)
        return om_fail(err, OMNI_E_USAGE,
                       "context: expected up to %u positions and batches of up to %u, found %u and %u", MAX_CTX,
                       MAX_BATCH, r.n_ctx, r.n_batch);
    omni_session *s = om_alloc_zero(1, sizeof *s);
    if (!s)
        return om_fail_memory(err, sizeof *s, "a session");
    s->m = m;
    omni_status st = om_seq_new(&s->seq, m->net, r.n_ctx, r.n_batch, err);
    if (st != OMNI_OK) {
        om_free(s);
        return st;
    }
    *out = s;
    return OMNI_OK;
}

void omni_session_free(omni_session *s)
{
    if (!s)
        return;
    om_seq_free(s->seq);
    om_free(s);
}

uint32_t omni_session_n_ctx(const omni_session *s)
{
    return (uint32_t)om_seq_n_ctx(s->seq);
}

const int32_t *omni_session_tokens(const omni_session *s, size_t *n)
{
    *n = om_seq_n(s->seq);
    return om_seq_tokens(s->seq);
}

const float *omni_session_logits(const omni_session *s)
{
    return om_seq_logits(s->seq);
}

void omni_session_truncate(omni_session *s, size_t n)
{
    om_seq_truncate(s->seq, n);
}

omni_status omni_session_shift(omni_session *s, size_t keep, size_t drop, omni_error *err)
{
    return om_seq_shift(s->seq, keep, drop, err);
}

void omni_session_cancel(omni_session *s)
{
    om_seq_cancel(s->seq);
}

omni_status omni_session_eval(omni_session *s, const int32_t *ids, size_t n, omni_error *err)
{
    return om_seq_eval(s->seq, ids, n, NULL, NULL, err);
}

omni_status omni_session_eval_each(omni_session *s, const int32_t *ids, size_t n,
                                   int (*fn)(void *user, size_t i, const float *logits), void *user, omni_error *err)
{
    return om_seq_eval(s->seq, ids, n, fn, user, err);
}

static omni_status check_prompt(const omni_session *s, const int32_t *ids, size_t n, omni_error *err)
{
    if (n == 0)
        return om_fail(err, OMNI_E_USAGE, "an empty prompt: expected at least one token");
    if (n > om_seq_n_ctx(s->seq))
        return om_fail(err, OMNI_E_FULL, "prompt of %zu tokens is longer than the context of %zu", n,
                       om_seq_n_ctx(s->seq));
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= s->m->info.n_vocab)
            return om_fail(err, OMNI_E_INPUT, "token %zu: expected an id in 0..%u, found %d", i, s->m->info.n_vocab - 1,
                           ids[i]);
    return OMNI_OK;
}

omni_status omni_session_sync(omni_session *s, const int32_t *ids, size_t n, size_t *reused, omni_error *err)
{
    omni_status st = check_prompt(s, ids, n, err);
    if (st != OMNI_OK)
        return st;
    const int32_t *have = om_seq_tokens(s->seq);
    size_t same = 0, n_have = om_seq_n(s->seq);
    while (same < n && same < n_have && have[same] == ids[same])
        same++;
    if (same == n && (n_have > n || !om_seq_logits(s->seq)))
        same--; /* the last token is computed again for its logits */
    om_seq_truncate(s->seq, same);
    if (same < n)
        st = om_seq_eval(s->seq, ids + same, n - same, NULL, NULL, err);
    if (st == OMNI_OK && reused)
        *reused = same;
    return st;
}
