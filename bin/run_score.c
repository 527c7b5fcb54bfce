#include "run.h"

#include <math.h>
#include <string.h>

#define TOP_MAX 100 /* what --logprobs=K allows */

typedef struct score {
    run_engine *e;
    const omni_tokens *ids;
    cli_out *out;
    bool json;
    size_t k, pos;
    double nll; /* sum over the n_scored prompt tokens, in nats */
    size_t n_scored;
    run_buf line;
} score;

/* The bytes of a token as a JSON string; where they are no UTF-8 by themselves, a member "bytes" gives them too. */
static omni_status add_token(score *s, int32_t id, bool with_bytes)
{
    char text[OMNI_TEXT_DECODER_MAX];
    size_t n = omni_token_text(s->e->model, id, text, sizeof text);
    n = n < sizeof text ? n : sizeof text;
    omni_status st = run_buf_quote(&s->line, text, n);
    if (st || !with_bytes || cli_text_check("", 0, text, n, NULL) == OMNI_OK)
        return st;
    st = run_buf_puts(&s->line, ",\"bytes\":[");
    for (size_t i = 0; !st && i < n; i++)
        st = run_buf_printf(&s->line, "%s%u", i ? "," : "", (unsigned)(unsigned char)text[i]);
    return st ? st : run_buf_puts(&s->line, "]");
}

/* Nine digits bring a float back exactly; JSON has no infinity. */
static omni_status add_logprob(score *s, double lp, const char *none)
{
    return isfinite(lp) ? run_buf_printf(&s->line, "%.9g", lp) : run_buf_puts(&s->line, none);
}

static omni_status add_top_json(score *s, const int32_t *ids, const float *lps, size_t n)
{
    omni_status st = run_buf_puts(&s->line, ",\"top\":[");
    for (size_t i = 0; !st && i < n; i++) {
        st = run_buf_printf(&s->line, "%s{\"id\":%d,\"text\":", i ? "," : "", (int)ids[i]);
        st = st ? st : add_token(s, ids[i], true);
        st = st ? st : run_buf_puts(&s->line, ",\"logprob\":");
        st = st ? st : add_logprob(s, (double)lps[i], "null");
        st = st ? st : run_buf_puts(&s->line, "}");
    }
    return st ? st : run_buf_puts(&s->line, "]");
}

static omni_status add_json(score *s, const char *kind, int32_t id, double lp, const int32_t *ids, const float *lps,
                            size_t n)
{
    omni_status st =
        run_buf_printf(&s->line, "{\"kind\":\"%s\",\"pos\":%zu,\"id\":%d,\"text\":", kind, s->pos, (int)id);
    st = st ? st : add_token(s, id, true);
    st = st ? st : run_buf_puts(&s->line, ",\"logprob\":");
    st = st ? st : add_logprob(s, lp, "null");
    st = st ? st : add_top_json(s, ids, lps, n);
    return st ? st : run_buf_puts(&s->line, "}\n");
}

/* Columns with tabs between them; texts are quoted as in JSON, so that no tab or newline is in them. */
static omni_status add_table(score *s, const char *kind, int32_t id, double lp, const int32_t *ids, const float *lps,
                             size_t n)
{
    omni_status st = run_buf_printf(&s->line, "%s\t%zu\t%d\t", kind, s->pos, (int)id);
    st = st ? st : add_logprob(s, lp, isnan(lp) ? "-" : "-inf");
    st = st ? st : run_buf_puts(&s->line, "\t");
    st = st ? st : add_token(s, id, false);
    for (size_t i = 0; !st && i < n; i++) {
        st = run_buf_printf(&s->line, "%s", i ? " " : "\t");
        st = st ? st : add_token(s, ids[i], false);
        st = st ? st : run_buf_puts(&s->line, "=");
        st = st ? st : add_logprob(s, (double)lps[i], "-inf");
    }
    return st ? st : run_buf_puts(&s->line, "\n");
}

/* One token and what the model thought of it; logits NULL: nothing came before it. */
static bool print_token(score *s, const char *kind, int32_t id, const float *logits)
{
    int32_t ids[TOP_MAX];
    float lps[TOP_MAX];
    size_t n_vocab = s->e->info.n_vocab;
    size_t n = logits && s->k ? omni_logits_top(logits, n_vocab, s->k, ids, lps) : 0;
    double lp = logits ? (double)omni_logits_logprob(logits, n_vocab, id) : (double)NAN;
    s->line.n = 0;
    omni_status st = (s->json ? add_json : add_table)(s, kind, id, lp, ids, lps, n);
    s->pos++;
    return !st && cli_out_write(s->out, s->line.p, s->line.n) && (!cli_out_is_tty(s->out) || cli_out_flush(s->out));
}

static int on_prompt(void *user, size_t i, const float *logits)
{
    score *s = user;
    if (i + 1 >= s->ids->n)
        return 0;
    int32_t id = s->ids->ids[i + 1];
    s->nll -= (double)omni_logits_logprob(logits, s->e->info.n_vocab, id);
    s->n_scored++;
    return !print_token(s, "prompt", id, logits);
}

static bool on_output(void *user, const omni_piece *piece)
{
    return piece->id < 0 ||
           (print_token(user, "output", piece->id, piece->logits) && cli_out_flush(((score *)user)->out));
}

static omni_status print_end(score *s, const run_answer *a, omni_error *err)
{
    double mean = s->n_scored ? s->nll / (double)s->n_scored : 0;
    if (!s->json) {
        if (s->n_scored)
            cli_note("prompt: %.6f nats a token over %zu tokens, perplexity %.4f", mean, s->n_scored, exp(mean));
        return OMNI_OK;
    }
    s->line.n = 0;
    omni_status st = run_buf_printf(&s->line,
                                    "{\"done\":true,\"finish\":\"%s\",\"usage\":{\"prompt_tokens\":%zu,"
                                    "\"completion_tokens\":%zu},\"scored\":%zu,\"nll\":",
                                    run_finish_name(a->finish), a->n_prompt, a->n_output, s->n_scored);
    st = st ? st : isfinite(mean) ? run_buf_printf(&s->line, "%.17g}\n", mean) : run_buf_puts(&s->line, "null}\n");
    if (st)
        return run_no_memory(err, "scores");
    return cli_out_write(s->out, s->line.p, s->line.n) ? OMNI_OK : run_fail(err, OMNI_E_SYSTEM, "%s", "");
}

int run_score(run_engine *e, omni_sampler *sp, const run_settings *set, const omni_tokens *ids,
              const omni_message *msgs, size_t n_msgs, cli_out *out)
{
    score s = {.e = e, .ids = ids, .out = out, .json = e->opt->common.json, .k = (size_t)e->opt->logprobs};
    omni_error err = {""};
    run_answer a = {.finish = OMNI_FINISH_LENGTH, .n_prompt = ids->n};
    omni_status st = run_fits(e, ids->n, &err);
    bool ok = st || s.json || cli_out_printf(out, "kind\tpos\tid\tlogprob\ttext\ttop\n");
    double start = run_seconds();
    if (!st && ok && (ok = print_token(&s, "prompt", ids->ids[0], NULL)))
        st = omni_session_eval_each(e->session, ids->ids, ids->n, on_prompt, &s, &err);
    e->fig.prefill_s += run_seconds() - start;
    if (!st && ok && !cli_out_failed(out) && set->max_tokens != 0)
        st = run_generate(e, sp, set, ids, msgs, n_msgs, on_output, &s, &a, &err);
    else
        e->fig.n_prompt += ids->n;
    if (!st && ok && !cli_signalled())
        st = print_end(&s, &a, &err);
    run_buf_release(&s.line);
    return st ? run_report(st, &err) : cli_out_failed(out) ? 4 : 0;
}
