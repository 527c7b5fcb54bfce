#include "run.h"

#include <string.h>

void run_emit_release(run_emit *e)
{
    run_buf_release(&e->said);
    run_buf_release(&e->line);
}

static omni_status flush_line(run_emit *e, omni_error *err)
{
    bool ok = cli_out_write(e->out, e->line.p, e->line.n) && cli_out_flush(e->out);
    return ok ? OMNI_OK : run_fail(err, OMNI_E_SYSTEM, "%s", "");
}

omni_status run_emit_record(run_emit *e, const omni_record *rec, omni_error *err)
{
    e->line.n = 0;
    omni_status st = omni_record_write(rec, &e->line.p, &e->line.n, &e->line.cap, err);
    return st ? st : flush_line(e, err);
}

omni_status run_emit_begin(run_emit *e, omni_error *err)
{
    e->said.n = 0;
    if (e->form != RUN_STREAM)
        return OMNI_OK;
    omni_record head = {.kind = OMNI_RECORD_HEAD, .name = "omni-run", .vocab = e->vocab, .has_vocab = 1};
    omni_record role = {.kind = OMNI_RECORD_ROLE, .name = "assistant"};
    omni_status st = run_emit_record(e, &head, err);
    e->open = !st;
    return st ? st : run_emit_record(e, &role, err);
}

/* What a model says must not steer the terminal: controls other than newline and tab are shown as U+FFFD. */
static bool write_for_terminal(cli_out *out, const char *s, size_t n)
{
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i], next = i + 1 < n ? (unsigned char)s[i + 1] : 0;
        bool c0 = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
        bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;
        if (!c0 && !c1)
            continue;
        if (!cli_out_write(out, s + from, i - from) || !cli_out_write(out, "\xef\xbf\xbd", 3))
            return false;
        i += c1;
        from = i + 1;
    }
    return cli_out_write(out, s + from, n - from);
}

bool run_emit_piece(void *user, const omni_piece *piece)
{
    run_emit *e = user;
    if (piece->len == 0)
        return !cli_out_failed(e->out);
    if (run_buf_add(&e->said, piece->text, piece->len))
        return false;
    if (e->form == RUN_STREAM) {
        omni_record rec = {.kind = OMNI_RECORD_TEXT, .text = piece->text, .len = piece->len};
        return run_emit_record(e, &rec, NULL) == OMNI_OK;
    }
    if (e->form == RUN_JSON) {
        e->line.n = 0;
        return !run_buf_puts(&e->line, "{\"text\":") && !run_buf_quote(&e->line, piece->text, piece->len) &&
               !run_buf_puts(&e->line, "}\n") && flush_line(e, NULL) == OMNI_OK;
    }
    bool ok = cli_out_is_tty(e->out) ? write_for_terminal(e->out, piece->text, piece->len)
                                     : cli_out_write(e->out, piece->text, piece->len);
    return ok && cli_out_flush(e->out);
}

/* Plain answers end in a newline, as text files do. */
static omni_status finish_plain(run_emit *e, omni_error *err)
{
    bool ok = true;
    if (e->said.n && e->said.p[e->said.n - 1] != '\n')
        ok = cli_out_write(e->out, "\n", 1);
    ok = cli_out_flush(e->out) && ok;
    return ok ? OMNI_OK : run_fail(err, OMNI_E_SYSTEM, "%s", "");
}

omni_status run_emit_end(run_emit *e, const run_answer *a, omni_error *err)
{
    if (e->form == RUN_STREAM) {
        if (a->finish == OMNI_FINISH_CANCEL) {
            run_emit_broken(e, OMNI_END_ERROR, "cancelled");
            return OMNI_OK;
        }
        omni_record end = {.kind = OMNI_RECORD_END, .end = OMNI_END_OK};
        e->open = false;
        return run_emit_record(e, &end, err);
    }
    if (e->form == RUN_PLAIN)
        return finish_plain(e, err);
    e->line.n = 0;
    omni_status st = run_buf_printf(&e->line,
                                    "{\"done\":true,\"finish\":\"%s\",\"usage\":{\"prompt_tokens\":%zu,"
                                    "\"completion_tokens\":%zu}}\n",
                                    run_finish_name(a->finish), a->n_prompt, a->n_output);
    return st ? run_no_memory(err, "answer") : flush_line(e, err);
}

static void broken_json(run_emit *e, omni_end end, const char *reason)
{
    e->line.n = 0;
    if (!run_buf_printf(&e->line,
                        "{\"done\":true,\"finish\":\"%s\",\"error\":", end == OMNI_END_BLOCKED ? "blocked" : "error") &&
        !run_buf_quote(&e->line, reason, strlen(reason)) && !run_buf_puts(&e->line, "}\n"))
        (void)flush_line(e, NULL);
}

void run_emit_broken(run_emit *e, omni_end end, const char *reason)
{
    omni_record head = {.kind = OMNI_RECORD_HEAD, .name = "omni-run", .vocab = e->vocab, .has_vocab = 1};
    omni_record last = {.kind = OMNI_RECORD_END, .end = end, .text = reason, .len = strlen(reason)};
    if (e->form == RUN_PLAIN)
        (void)finish_plain(e, NULL);
    if (e->form == RUN_JSON)
        broken_json(e, end, reason);
    if (e->form != RUN_STREAM || (!e->open && run_emit_record(e, &head, NULL)))
        return;
    e->open = false;
    if (run_emit_record(e, &last, NULL))
        e->line.n = 0;
}
