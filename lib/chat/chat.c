/* chat.c - one render: check, set up the variables of the template, run, hand the output over. */
#include "chat/chat_priv.h"

#include <string.h>

void om_chat_text_release(om_chat_text *t)
{
    om_buf_release(&t->text);
    om_buf_release(&t->trusted);
}

/* The role as a text of ours: whatever the caller's pointer holds, only these bytes reach the template trusted. */
static const char *known_role(const char *role)
{
    static const char *const known[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; role && i < sizeof known / sizeof *known; i++)
        if (strcmp(role, known[i]) == 0)
            return known[i];
    return NULL;
}

static omni_status check(size_t n, const omni_message *msgs, size_t n_msgs, omni_error *err)
{
    size_t total = 0;
    if (n > CHAT_SOURCE_MAX)
        return om_fail(err, OMNI_E_INPUT, "chat template: expected at most %d bytes of source, found %zu",
                       CHAT_SOURCE_MAX, n);
    for (size_t i = 0; i < n_msgs; i++) {
        if (!known_role(msgs[i].role))
            return om_fail(err, OMNI_E_INPUT,
                           "message %zu: expected the role system, user, assistant or tool, found '%.40s'", i + 1,
                           msgs[i].role ? msgs[i].role : "(null)");
        if (!om_add(total, msgs[i].len, &total) || total > CHAT_OUTPUT_MAX)
            return om_fail(err, OMNI_E_INPUT, "message %zu: the messages are larger than %d MiB together", i + 1,
                           CHAT_OUTPUT_MAX >> 20);
    }
    return OMNI_OK;
}

static void put(chat_run *c, chat_dict *d, const char *key, chat_value v)
{
    om_chat_dict_set(c, d, om_chat_strv(om_chat_lit(key)), v, 0);
}

static chat_value message_list(chat_run *c, const omni_message *msgs, size_t n)
{
    chat_list *l = om_chat_list_new(c, n, false);
    for (size_t i = 0; i < n; i++) {
        chat_str text = {msgs[i].len ? msgs[i].text : "", msgs[i].len, NULL, false};
        chat_dict *d = om_chat_dict_new(c, 2);
        put(c, d, "role", om_chat_strv(om_chat_lit(known_role(msgs[i].role))));
        put(c, d, "content", om_chat_strv(text));
        l->v[i] = om_chat_dictv(d);
    }
    return om_chat_listv(l);
}

static void set(chat_run *c, const char *name, chat_value v)
{
    om_chat_bind(c, c->scope, om_chat_lit(name), v);
}

typedef struct request {
    const char *source;
    size_t n;
    const om_chat_env *env;
    const omni_message *msgs;
    size_t n_msgs;
    bool reply;
} request;

/* tools, documents, enable_thinking, date_string and the rest stay undefined. Hugging Face has none for tools without
 * any, but templates in GGUF files are also written for programs that leave it undefined, and all take that. */
static void run(chat_run *c, const request *r)
{
    chat_node *body = om_chat_parse(c, r->source, r->n);
    c->scope = om_chat_alloc(c, 1, sizeof *c->scope);
    set(c, "messages", message_list(c, r->msgs, r->n_msgs));
    set(c, "add_generation_prompt", om_chat_bool(r->reply));
    set(c, "bos_token", om_chat_strv(om_chat_lit(r->env && r->env->bos ? r->env->bos : "")));
    set(c, "eos_token", om_chat_strv(om_chat_lit(r->env && r->env->eos ? r->env->eos : "")));
    c->sink = om_chat_sb_new(c);
    om_chat_exec(c, body);
}

static omni_status hand_over(chat_run *c, om_chat_text *out, omni_error *err)
{
    chat_sb *b = c->sink;
    size_t before = out->text.n;
    omni_status s = om_buf_add(&out->text, b->text.n ? b->text.p : "", b->text.n);
    if (s == OMNI_OK) {
        s = om_buf_add(&out->trusted, b->text.n ? b->mask.p : "", b->text.n);
        if (s != OMNI_OK && out->text.p) {
            out->text.n = before;
            out->text.p[before] = 0;
        }
    }
    return s == OMNI_OK ? s : om_fail_memory(err, b->text.n, "a chat template's output");
}

omni_status om_chat_render(const char *source, size_t n, const om_chat_env *env, const omni_message *msgs,
                           size_t n_msgs, bool reply, om_chat_text *out, omni_error *err)
{
    omni_status s = check(n, msgs, n_msgs, err);
    request r = {source, n, env, msgs, n_msgs, reply};
    chat_run *c;
    if (s != OMNI_OK)
        return s;
    c = om_alloc_zero(1, sizeof *c); /* on the heap: what changes after setjmp must not be a local variable */
    if (!c)
        return om_fail_memory(err, sizeof *c, "a chat template");
    c->err = err;
    c->src = "";
    c->step_max = CHAT_STEP_MAX + (uint64_t)CHAT_STEP_PER_MESSAGE * n_msgs;
    if (setjmp(c->out) == 0) {
        run(c, &r);
        c->status = hand_over(c, out, err);
    }
    s = c->status;
    om_chat_clean(c);
    om_free(c);
    return s;
}
