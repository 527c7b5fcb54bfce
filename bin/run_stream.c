#include "run.h"

#include <string.h>

typedef struct turn { /* one stream of the input, as far as it has been read */
    run_chat chat;
    run_buf text; /* of the message that is being read */
    char role[16];
    bool any;         /* text has something for role */
    bool fresh;       /* it brings its own system or assistant message: a conversation of its own */
    uint64_t unheard; /* line of an audio record without a transcript so far, 0 = none */
    uint64_t end_line;
    omni_end end;
    run_buf reason;
    omni_error bad; /* why it cannot be answered, "" = it can */
} turn;

static void release_turn(turn *t)
{
    run_chat_release(&t->chat);
    run_buf_release(&t->text);
    run_buf_release(&t->reason);
}

static void clear_turn(turn *t)
{
    run_chat_cut(&t->chat, 0);
    t->text.n = t->reason.n = 0;
    t->any = t->fresh = false;
    t->unheard = 0;
    t->bad.text[0] = '\0';
    memcpy(t->role, "user", sizeof "user");
}

/* Closes the message that is being read. */
static omni_status end_message(turn *t, const char *name)
{
    if (t->unheard && !t->bad.text[0])
        run_fail(&t->bad, OMNI_E_INPUT,
                 "%s: line %llu: audio without a transcript: this model reads text and needs a 'heard' record", name,
                 (unsigned long long)t->unheard);
    t->unheard = 0;
    if (!t->any)
        return OMNI_OK;
    t->any = false;
    if (strcmp(t->role, "user") != 0)
        t->fresh = true;
    omni_status st = run_chat_add(&t->chat, t->role, t->text.p, t->text.n);
    t->text.n = 0;
    return st;
}

static omni_status take_role(turn *t, const omni_record *rec, const char *name)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    omni_status st = end_message(t, name);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(rec->name, roles[i]) == 0) {
            memcpy(t->role, roles[i], strlen(roles[i]) + 1);
            return st;
        }
    if (!t->bad.text[0])
        run_fail(&t->bad, OMNI_E_INPUT, "%s: line %llu: expected role system, user, assistant or tool, found '%.40s'",
                 name, (unsigned long long)rec->line, rec->name);
    return st;
}

static omni_status take_record(turn *t, const omni_record *rec, const char *name)
{
    switch (rec->kind) {
    case OMNI_RECORD_ROLE:
        return take_role(t, rec, name);
    case OMNI_RECORD_HEARD:
        t->unheard = 0;
        t->any = true;
        return run_buf_add(&t->text, rec->text, rec->len);
    case OMNI_RECORD_TEXT:
        t->any = true;
        return run_buf_add(&t->text, rec->text, rec->len);
    case OMNI_RECORD_AUDIO:
        if (!t->unheard)
            t->unheard = rec->line;
        return OMNI_OK;
    case OMNI_RECORD_IMAGE:
        if (!t->bad.text[0])
            run_fail(&t->bad, OMNI_E_INPUT, "%s: line %llu: an image: this model reads text only", name,
                     (unsigned long long)rec->line);
        return OMNI_OK;
    default: /* a consumer skips what it does not know and what is not meant for it */
        return OMNI_OK;
    }
}

/* Reads one whole stream into t; *got = 0 at the end of the input. */
static omni_status read_turn(omni_reader *r, const char *name, turn *t, int *got, omni_error *err)
{
    omni_record rec;
    omni_status st = OMNI_OK;
    clear_turn(t);
    for (bool first = true;; first = false) {
        st = omni_reader_next(r, &rec, got, err);
        if (st || !*got)
            return st;
        if (rec.kind == OMNI_RECORD_END)
            break;
        if (!first && take_record(t, &rec, name))
            return run_no_memory(err, name);
    }
    t->end = rec.end;
    t->end_line = rec.line;
    if (rec.end != OMNI_END_OK && run_buf_add(&t->reason, rec.text ? rec.text : "", rec.len))
        return run_no_memory(err, name);
    return end_message(t, name) ? run_no_memory(err, name) : OMNI_OK;
}

/* Puts the messages of t behind the conversation so far, or in its place. */
static omni_status join(run_engine *e, run_chat *chat, turn *t, const char *prefix)
{
    omni_status st = OMNI_OK;
    if (t->fresh || e->opt->raw)
        run_chat_cut(chat, 0);
    for (size_t i = 0; !st && i < t->chat.n; i++) {
        const omni_message *m = &t->chat.msgs[i];
        if (!prefix || strcmp(m->role, "user") != 0) {
            st = run_chat_add(chat, m->role, m->text, m->len);
            continue;
        }
        run_buf both = {0};
        st = run_buf_puts(&both, prefix);
        st = st ? st : run_buf_puts(&both, "\n\n");
        st = st ? st : run_buf_add(&both, m->text, m->len);
        st = st ? st : run_chat_add(chat, m->role, both.p, both.n);
        run_buf_release(&both);
        prefix = NULL;
    }
    if (!st && e->opt->system && !run_chat_has_system(chat))
        st = run_chat_set_system(chat, e->opt->system, strlen(e->opt->system));
    return st;
}

/* Why a whole stream is not answered; "" = it can be. */
static void check_turn(turn *t, const char *name)
{
    const omni_message *last = t->chat.n ? &t->chat.msgs[t->chat.n - 1] : NULL;
    if (!t->bad.text[0] && (!last || strcmp(last->role, "assistant") == 0 || strcmp(last->role, "system") == 0))
        run_fail(&t->bad, OMNI_E_INPUT, "%s: line %llu: the stream ends without a message to answer", name,
                 (unsigned long long)t->end_line);
}

static int answer(run_engine *e, omni_sampler *sp, const run_settings *set, run_chat *chat, run_emit *emit)
{
    omni_error err = {""};
    run_answer a;
    omni_status st = run_emit_begin(emit, &err);
    if (!st)
        st = run_turn(e, sp, set, chat, run_emit_piece, emit, &a, &err);
    if (!st)
        st = run_emit_end(emit, &a, &err);
    else
        run_emit_broken(emit, OMNI_END_ERROR, st == OMNI_E_CANCELLED ? "cancelled" : err.text);
    if (!st && run_chat_add(chat, "assistant", emit->said.p ? emit->said.p : "", emit->said.n))
        st = run_no_memory(&err, "conversation");
    return st ? run_report(st, &err) : 0;
}

/* One turn that was read to its end: an answer, or the reason why there is none, passed on. */
static int handle_turn(run_engine *e, omni_sampler *sp, const run_settings *set, run_chat *chat, turn *t,
                       const char *name, const char *prefix, run_emit *emit)
{
    omni_error err = {""};
    const char *reason = t->reason.p ? t->reason.p : "";
    if (t->end == OMNI_END_OK)
        check_turn(t, name);
    if (t->end == OMNI_END_OK && !t->bad.text[0]) {
        if (join(e, chat, t, prefix))
            return cli_fail(run_no_memory(&err, name), &err);
        int rc = answer(e, sp, set, chat, emit);
        if (rc) /* the next turn goes on from before the one that failed */
            run_chat_cut(chat, chat->n > t->chat.n ? chat->n - t->chat.n : 0);
        return rc;
    }
    omni_end end = t->end == OMNI_END_OK ? OMNI_END_ERROR : t->end;
    if (t->end == OMNI_END_OK)
        cli_error("%s", t->bad.text);
    else
        cli_error("%s: line %llu: the stream was %s: %s", name, (unsigned long long)t->end_line,
                  end == OMNI_END_BLOCKED ? "blocked" : "broken off", reason);
    run_emit_broken(emit, end, t->end == OMNI_END_OK ? t->bad.text : reason);
    return end == OMNI_END_BLOCKED ? 1 : 3;
}

int run_stream(run_engine *e, omni_sampler *sp, const run_settings *set, cli_in *in, const char *prefix, run_emit *emit)
{
    omni_error err = {""};
    omni_reader *r = NULL;
    run_chat chat = {0};
    turn t = {.role = "user"};
    int rc = 0, got = 1;
    omni_status st = omni_reader_new(&r, cli_in_name(in), cli_in_read, in, &err);
    while (!st && rc != 4 && !cli_signalled()) {
        emit->said.n = 0;
        st = read_turn(r, cli_in_name(in), &t, &got, &err);
        if (st || !got)
            break;
        int turn_rc = handle_turn(e, sp, set, &chat, &t, cli_in_name(in), prefix, emit);
        rc = turn_rc > rc ? turn_rc : rc;
        prefix = NULL;
    }
    if (st) {
        if (!cli_signalled())
            run_emit_broken(emit, OMNI_END_ERROR, err.text);
        int bad = run_report(st, &err);
        rc = bad > rc ? bad : rc;
    }
    omni_reader_free(r);
    run_chat_release(&chat);
    release_turn(&t);
    return rc;
}

omni_status run_stream_load(cli_in *in, run_chat *chat, omni_error *err)
{
    omni_reader *r = NULL;
    turn t = {.role = "user"};
    int got = 0;
    const char *name = cli_in_name(in);
    omni_status st = omni_reader_new(&r, name, cli_in_read, in, err);
    if (!st)
        st = read_turn(r, name, &t, &got, err);
    if (!st && (!got || t.chat.n == 0))
        st = run_fail(err, OMNI_E_INPUT, "%s: expected a conversation, found an empty stream", name);
    if (!st && t.end != OMNI_END_OK)
        st = run_fail(err, OMNI_E_INPUT, "%s: line %llu: the stream does not end in ok", name,
                      (unsigned long long)t.end_line);
    if (!st && t.bad.text[0])
        st = run_fail(err, OMNI_E_INPUT, "%s", t.bad.text);
    if (!st) { /* the messages change hands */
        run_chat old = *chat;
        *chat = t.chat;
        t.chat = old;
    }
    omni_reader_free(r);
    release_turn(&t);
    return st;
}

omni_status run_stream_save(cli_out *out, const run_chat *chat, uint32_t vocab, omni_error *err)
{
    run_emit emit = {.form = RUN_STREAM, .out = out};
    omni_record head = {.kind = OMNI_RECORD_HEAD, .name = "omni-run", .vocab = vocab, .has_vocab = 1};
    omni_record end = {.kind = OMNI_RECORD_END, .end = OMNI_END_OK};
    omni_status st = run_emit_record(&emit, &head, err);
    for (size_t i = 0; !st && i < chat->n; i++) {
        const omni_message *m = &chat->msgs[i];
        omni_record role = {.kind = OMNI_RECORD_ROLE, .name = m->role};
        omni_record text = {.kind = OMNI_RECORD_TEXT, .text = m->text, .len = m->len};
        st = run_emit_record(&emit, &role, err);
        st = st ? st : run_emit_record(&emit, &text, err);
    }
    st = st ? st : run_emit_record(&emit, &end, err);
    run_emit_release(&emit);
    return st;
}
