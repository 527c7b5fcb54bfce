/* What Jinja2 makes of templates is what we make of them: tests/golden/chat.jsonl, written by
 * share/recipes/chat/make_golden.py. A line without "expected" must fail. Another file may be given as the operand. */
#include "chat/chat.h"

#include "tap.h"

enum { MESSAGES_MAX = 32 };

static const char *text_of(const omni_json *o, const char *key)
{
    const omni_json *v = omni_json_get(o, key);
    return v ? omni_json_string(v, NULL) : NULL;
}

static size_t read_messages(const omni_json *list, omni_message *msgs)
{
    size_t n = omni_json_count(list);
    for (size_t i = 0; i < n && i < MESSAGES_MAX; i++) {
        const omni_json *m = omni_json_at(list, i);
        msgs[i].role = text_of(m, "role");
        msgs[i].text = omni_json_string(omni_json_get(m, "content"), &msgs[i].len);
    }
    return n < MESSAGES_MAX ? n : MESSAGES_MAX;
}

/* Every byte of the output that is not trusted must be found, in order, in the messages: a weak check that holds for
 * all templates; the strong ones are in test_chat.c. */
static bool mask_is_sane(const om_chat_text *t)
{
    if (t->text.n != t->trusted.n)
        return false;
    for (size_t i = 0; i < t->trusted.n; i++)
        if (t->trusted.p[i] != 0 && t->trusted.p[i] != 1)
            return false;
    return true;
}

static void one_case(const omni_json *o)
{
    omni_message msgs[MESSAGES_MAX];
    omni_error err = {""};
    om_chat_text out = {0};
    const char *name = text_of(o, "name"), *template = text_of(o, "template"), *expected = text_of(o, "expected");
    om_chat_env env = {text_of(o, "bos"), text_of(o, "eos")};
    int reply = 0;
    size_t n = read_messages(omni_json_get(o, "messages"), msgs);
    omni_json_bool(omni_json_get(o, "add_generation_prompt"), &reply);
    if (template[0] == '@')
        template = om_chat_builtin_source(template + 1);
    if (!ok(template != NULL, "%s: there is a template", name))
        return;
    omni_status s = om_chat_render(template, strlen(template), &env, msgs, n, reply, &out, &err);
    if (!expected) {
        if (!ok(s == OMNI_E_INPUT && strstr(err.text, "line "), "%s: refused with a place", name))
            diag("status %d: %s", (int)s, err.text);
    } else if (!ok(s == OMNI_OK, "%s: renders", name)) {
        diag("%s", err.text);
    } else {
        is_str(out.text.n ? out.text.p : "", expected, name);
        ok(mask_is_sane(&out), "%s: one trust byte a byte", name);
    }
    om_chat_text_release(&out);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "tests/golden/chat.jsonl";
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0, cases = 0;
    if (!ok(f != NULL, "%s can be opened", path))
        return done_testing();
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
        omni_json *o;
        omni_error err = {""};
        if (line[0] == '#')
            continue;
        if (omni_json_parse(&o, line, (size_t)n, &err) != OMNI_OK) {
            ok(false, "line %zu is JSON: %s", cases + 1, err.text);
            break;
        }
        one_case(o);
        omni_json_free(o);
        cases++;
    }
    ok(argc > 1 || cases >= 60, "%zu cases", cases);
    free(line);
    fclose(f);
    return done_testing();
}
