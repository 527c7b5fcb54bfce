#include "run.h"

#include <string.h>

/* Positions a context shift keeps where there is no system message to keep: the first few carry much of the attention
 * whatever they say (attention sinks, arXiv 2309.17453). */
#define KEEP_RAW 4

const char *run_finish_name(omni_finish f)
{
    static const char *const names[] = {"end", "length", "stop", "cancel"};
    return names[f];
}

omni_status run_encode(run_engine *e, const omni_message *msgs, size_t n, omni_tokens *ids, omni_error *err)
{
    if (!e->opt->raw)
        return omni_chat_encode(e->model, e->tmpl, msgs, n, OMNI_CHAT_REPLY, ids, err);
    omni_status st = OMNI_OK;
    for (size_t i = 0; !st && i < n; i++)
        st = omni_text_encode(e->model, msgs[i].text, msgs[i].len, i ? OMNI_TEXT_PLAIN : OMNI_TEXT_BOS, ids, err);
    if (!st && ids->n == 0)
        st = run_fail(err, OMNI_E_INPUT, "the prompt is empty, and this model has no begin token to start from");
    return st;
}

/* How many first positions say what the conversation is about: those that stay the same when the user says nothing. */
static omni_status count_keep(run_engine *e, const omni_tokens *ids, const omni_message *msgs, size_t n, size_t *keep,
                              omni_error *err)
{
    *keep = ids->n < KEEP_RAW ? ids->n : KEEP_RAW;
    if (e->opt->raw || n == 0)
        return OMNI_OK;
    bool has_system = strcmp(msgs[0].role, "system") == 0;
    omni_message bare[2] = {msgs[0], {.role = "user", .text = "", .len = 0}};
    omni_tokens other = {0};
    omni_status st = omni_chat_encode(e->model, e->tmpl, bare + !has_system, has_system ? 2 : 1, 0, &other, err);
    if (!st) {
        size_t same = 0;
        while (same < ids->n && same < other.n && ids->ids[same] == other.ids[same])
            same++;
        if (same > *keep)
            *keep = same;
    }
    omni_tokens_release(&other);
    return st;
}

omni_status run_fits(run_engine *e, size_t n, omni_error *err)
{
    uint32_t n_ctx = omni_session_n_ctx(e->session);
    if (n <= n_ctx)
        return OMNI_OK;
    return run_fail(err, OMNI_E_INPUT, "the prompt is %zu tokens long, the context holds %u%s", n, n_ctx,
                    n_ctx < e->info.n_ctx_train ? " (--ctx makes it larger)" : "");
}

struct relay {
    run_piece_fn fn;
    void *user;
    bool failed;
};

static int on_piece(void *user, const omni_piece *piece)
{
    struct relay *r = user;
    r->failed = r->failed || !r->fn(r->user, piece);
    return r->failed;
}

omni_status run_generate(run_engine *e, omni_sampler *sp, const run_settings *set, const omni_tokens *ids,
                         const omni_message *msgs, size_t n, run_piece_fn fn, void *user, run_answer *out,
                         omni_error *err)
{
    omni_generate_params gp = omni_generate_params_default();
    omni_generate_result r = {.finish = OMNI_FINISH_LENGTH};
    struct relay relay = {fn, user, false};
    size_t reused = 0;
    double start = run_seconds();
    omni_status st = run_fits(e, ids->n, err);
    if (st)
        return st;
    gp.max_tokens = set->max_tokens;
    gp.stop = set->stop;
    gp.n_stop = set->n_stop;
    gp.ignore_end = e->opt->ignore_end;
    gp.shift = e->opt->shift && !e->opt->no_shift;
    st = gp.shift ? count_keep(e, ids, msgs, n, &gp.n_keep, err) : OMNI_OK;
    if (!st)
        st = omni_session_sync(e->session, ids->ids, ids->n, &reused, err);
    if (st)
        return st;
    double synced = run_seconds();
    e->fig.prefill_s += synced - start;
    e->fig.n_prompt += ids->n;
    e->fig.n_reused += reused;
    if (gp.max_tokens != 0)
        st = omni_generate(e->session, sp, &gp, on_piece, &relay, &r, err);
    e->fig.first_s = synced - start + r.first_s;
    e->fig.decode_s += r.all_s - r.first_s;
    e->fig.n_output += r.n_tokens;
    e->fig.n_decoded += r.n_tokens ? r.n_tokens - 1 : 0;
    *out = (run_answer){.finish = r.finish, .n_prompt = ids->n, .n_output = r.n_tokens};
    if (!st && relay.failed && !cli_signalled())
        st = run_fail(err, OMNI_E_SYSTEM, "%s", ""); /* the output has said why, or will when it is closed */
    return st;
}

omni_status run_turn(run_engine *e, omni_sampler *sp, const run_settings *set, run_chat *chat, run_piece_fn fn,
                     void *user, run_answer *out, omni_error *err)
{
    size_t n_ctx = omni_session_n_ctx(e->session);
    /* An answer needs room: a quarter of the context, or less when less was asked for. */
    size_t room = n_ctx / 4;
    if (set->max_tokens >= 0 && (uint64_t)set->max_tokens < room)
        room = (size_t)set->max_tokens;
    omni_tokens ids = {0};
    bool dropped = false;
    omni_status st;
    for (;;) {
        ids.n = 0;
        st = run_encode(e, chat->msgs, chat->n, &ids, err);
        if (st || ids.n + room <= n_ctx || e->opt->raw || !run_chat_drop_turn(chat))
            break;
        dropped = true;
    }
    if (!st && dropped && !e->told_dropped) {
        cli_note("the context of %zu tokens is full: the oldest turns are forgotten, the system prompt stays", n_ctx);
        e->told_dropped = true;
    }
    if (!st)
        st = run_generate(e, sp, set, &ids, chat->msgs, chat->n, fn, user, out, err);
    omni_tokens_release(&ids);
    return st;
}
