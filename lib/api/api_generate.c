/* api_generate.c - the loop from logits to text: pick, report, evaluate, until an end. */
#include "api/api.h"

#include <math.h>
#include <string.h>

#define MAX_STOP_BYTES 65536

typedef struct gen { /* one omni_generate */
    omni_session *s;
    omni_sampler *sp;
    const omni_generate_params *p;
    int (*cb)(void *user, const omni_piece *piece);
    void *user;
    omni_generate_result r;
    omni_text_decoder dec;
    om_buf held; /* text not reported yet because a stop string may begin in it */
    double t0;
    bool stopped; /* the callback said stop */
} gen;

omni_generate_params omni_generate_params_default(void)
{
    return (omni_generate_params){.max_tokens = -1};
}

static omni_status check_params(const omni_generate_params *p, omni_error *err)
{
    if (p->max_tokens < -1)
        return om_fail(err, OMNI_E_USAGE, "max tokens: expected -1 or more, found %lld", (long long)p->max_tokens);
    for (size_t i = 0; i < p->n_stop; i++) {
        size_t n = strlen(p->stop[i]);
        if (n == 0 || n > MAX_STOP_BYTES)
            return om_fail(err, OMNI_E_USAGE, "stop string %zu: expected 1..%d bytes, found %zu", i + 1, MAX_STOP_BYTES,
                           n);
    }
    return OMNI_OK;
}

/* Offset of the first stop string in the held text, or SIZE_MAX. */
static size_t find_stop(const gen *g)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < g->p->n_stop; i++) {
        size_t n = strlen(g->p->stop[i]);
        for (size_t at = 0; n <= g->held.n && at <= g->held.n - n && at < best; at++)
            if (memcmp(g->held.p + at, g->p->stop[i], n) == 0)
                best = at;
    }
    return best;
}

/* Bytes at the end of the held text that may be the beginning of a stop string. */
static size_t stop_prefix(const gen *g)
{
    size_t longest = 0;
    for (size_t i = 0; i < g->p->n_stop; i++) {
        size_t n = strlen(g->p->stop[i]);
        for (size_t k = n - 1 < g->held.n ? n - 1 : g->held.n; k > longest; k--)
            if (memcmp(g->held.p + g->held.n - k, g->p->stop[i], k) == 0)
                longest = k;
    }
    return longest;
}

static void report(gen *g, int32_t id, size_t len, float logprob, const float *logits)
{
    omni_piece piece = {id, len ? g->held.p : "", len, logprob, logits};
    if (g->cb && g->cb(g->user, &piece) != 0)
        g->stopped = true;
    if (len)
        memmove(g->held.p, g->held.p + len, g->held.n - len);
    g->held.n -= len;
}

/* Adds a picked token's text and reports what is certain. True when a stop string was met. */
static omni_status add_piece(gen *g, int32_t id, const float *logits, bool *stop, omni_error *err)
{
    char text[OMNI_TEXT_DECODER_MAX];
    size_t n = 0;
    if (!omni_token_is_control(g->s->m, id))
        n = omni_text_decoder_push(&g->dec, g->s->m, id, text);
    if (om_buf_add(&g->held, text, n) != OMNI_OK)
        return om_fail_memory(err, g->held.n + n, "text held back for stop strings");
    float lp = g->p->want_logprobs ? omni_logits_logprob(logits, g->s->m->info.n_vocab, id) : NAN;
    size_t at = find_stop(g);
    *stop = at != SIZE_MAX;
    if (*stop)
        g->held.n = at;
    report(g, id, *stop ? at : g->held.n - stop_prefix(g), lp, logits);
    return OMNI_OK;
}

/* The text still held at the end. */
static omni_status flush(gen *g, omni_error *err)
{
    char text[OMNI_TEXT_DECODER_MAX];
    size_t n = omni_text_decoder_finish(&g->dec, text);
    if (g->r.finish == OMNI_FINISH_STOP)
        return OMNI_OK;
    if (om_buf_add(&g->held, text, n) != OMNI_OK)
        return om_fail_memory(err, g->held.n + n, "the last text");
    if (g->held.n)
        report(g, -1, g->held.n, NAN, NULL);
    return OMNI_OK;
}

/* Room for one more token: drops half of what follows the first n_keep positions. False when shifting is off or
 * useless. */
static bool make_room(gen *g, omni_status *st, omni_error *err)
{
    size_t n, n_ctx = omni_session_n_ctx(g->s), keep = g->p->n_keep;
    (void)omni_session_tokens(g->s, &n);
    if (n < n_ctx)
        return true;
    if (!g->p->shift || keep + 2 > n)
        return false;
    *st = omni_session_shift(g->s, keep, (n - keep) / 2, err);
    return *st == OMNI_OK;
}

static omni_status run(gen *g, omni_error *err)
{
    omni_status st = OMNI_OK;
    g->r.finish = OMNI_FINISH_LENGTH;
    while (g->p->max_tokens < 0 || g->r.n_tokens < (size_t)g->p->max_tokens) {
        const float *logits = omni_session_logits(g->s);
        int32_t id = omni_sampler_pick(g->sp, logits);
        bool stop = false;
        if (g->r.n_tokens++ == 0)
            g->r.first_s = om_clock_s() - g->t0;
        omni_sampler_accept(g->sp, id);
        if (omni_token_is_end(g->s->m, id) && !g->p->ignore_end) {
            g->r.finish = OMNI_FINISH_END;
            break;
        }
        st = add_piece(g, id, logits, &stop, err);
        if (st != OMNI_OK)
            return st;
        if (stop || g->stopped) {
            g->r.finish = stop ? OMNI_FINISH_STOP : OMNI_FINISH_CANCEL;
            break;
        }
        if (!make_room(g, &st, err))
            break;
        st = omni_session_eval(g->s, &id, 1, err);
        if (st != OMNI_OK)
            break;
    }
    if (st == OMNI_E_CANCELLED) {
        g->r.finish = OMNI_FINISH_CANCEL;
        st = OMNI_OK;
    }
    return st;
}

omni_status omni_generate(omni_session *s, omni_sampler *sp, const omni_generate_params *p,
                          int (*cb)(void *user, const omni_piece *piece), void *user, omni_generate_result *r,
                          omni_error *err)
{
    omni_generate_params def = omni_generate_params_default();
    gen g = {.s = s, .sp = sp, .p = p ? p : &def, .cb = cb, .user = user, .t0 = om_clock_s()};
    omni_status st = check_params(g.p, err);
    if (st != OMNI_OK)
        return st;
    if (!omni_session_logits(s))
        return om_fail(err, OMNI_E_USAGE, "nothing to continue: evaluate a prompt first");
    st = run(&g, err);
    if (st == OMNI_OK)
        st = flush(&g, err);
    om_buf_release(&g.held);
    g.r.all_s = om_clock_s() - g.t0;
    if (r)
        *r = g.r;
    return st;
}
