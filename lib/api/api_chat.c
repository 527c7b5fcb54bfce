/* api_chat.c - conversation -> token ids: picks the template, renders it (lib/chat), tokenizes the text with its trust
 * mask (lib/tok). */
#include "api/api.h"
#include "chat/chat.h"

#include <string.h>

const char *omni_chat_builtin(size_t i)
{
    return om_chat_builtin_name(i);
}

/* "alpaca, chatml, ..." for messages. */
static const char *names(om_buf *b)
{
    for (size_t i = 0; om_chat_builtin_name(i); i++)
        if (om_buf_addf(b, "%s%s", i ? ", " : "", om_chat_builtin_name(i)) != OMNI_OK)
            return "(out of memory)";
    return b->p;
}

static omni_status no_template(const omni_model *m, const char *tmpl, omni_error *err)
{
    om_buf list = {0};
    omni_status s;
    if (tmpl)
        s = om_fail(err, OMNI_E_USAGE, "unknown chat template '%.60s': expected Jinja source or one of %s", tmpl,
                    names(&list));
    else
        s = om_fail(err, OMNI_E_INPUT, "%s: the model has no chat template: give one with --template NAME, one of %s",
                    om_gguf_path(om_model_gguf(m)), names(&list));
    om_buf_release(&list);
    return s;
}

/* A model without a template is still known by the control tokens it was trained with. */
const char *om_chat_guess(const om_tok *t)
{
    static const struct {
        const char *token, *name;
    } table[] = {
        {"<|im_start|>", "chatml"},  {"<start_of_turn>", "gemma"}, {"<|start_header_id|>", "llama3"},
        {"<|assistant|>", "zephyr"}, {"[INST]", "mistral"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int32_t id = om_tok_find(t, table[i].token, strlen(table[i].token));
        if (id >= 0 && (om_tok_is_control(t, id) || om_tok_is_end(t, id)))
            return table[i].name;
    }
    return NULL;
}

static omni_status pick_template(const omni_model *m, const char *tmpl, om_str *source, omni_error *err)
{
    if (!tmpl && om_gguf_has(om_model_gguf(m), "tokenizer.chat_template"))
        return om_gguf_get_str(om_model_gguf(m), "tokenizer.chat_template", source, err);
    const char *name = tmpl ? tmpl : om_chat_guess(om_model_tok(m));
    const char *builtin = name ? om_chat_builtin_source(name) : NULL;
    if (!builtin && (!tmpl || (!strstr(tmpl, "{%") && !strstr(tmpl, "{{"))))
        return no_template(m, tmpl, err);
    source->p = builtin ? builtin : tmpl;
    source->n = strlen(source->p);
    return OMNI_OK;
}

/* The text of a special token, NUL-terminated; "" for none. */
static omni_status token_text(const om_tok *t, int32_t id, om_buf *b, omni_error *err)
{
    char buf[256];
    size_t n = id < 0 ? 0 : om_tok_bytes(t, id, true, true, buf, sizeof buf);
    if (n > sizeof buf)
        return om_fail(err, OMNI_E_INPUT, "tokenizer: the text of special token %d has %zu bytes, expected at most %zu",
                       (int)id, n, sizeof buf);
    return om_buf_add(b, buf, n) == OMNI_OK && om_buf_add(b, "", 1) == OMNI_OK
               ? OMNI_OK
               : om_fail_memory(err, n, "a token's text");
}

/* The template wrote the begin token itself, so that it must not be added again. */
static bool begins_with(const om_chat_text *t, const char *bos)
{
    size_t n = strlen(bos);
    return n > 0 && n <= t->text.n && memcmp(t->text.p, bos, n) == 0 && memchr(t->trusted.p, 0, n) == NULL;
}

static omni_status encode(const omni_model *m, const om_chat_text *t, const char *bos, omni_tokens *out,
                          omni_error *err)
{
    size_t before = out->n;
    const char *p = t->text.n ? t->text.p : "";
    omni_status s = om_tok_encode(om_model_tok(m), p, t->text.n, (const unsigned char *)t->trusted.p,
                                  !begins_with(t, bos), out, err);
    if (s != OMNI_OK)
        out->n = before;
    return s;
}

omni_status omni_chat_encode(const omni_model *m, const char *tmpl, const omni_message *msgs, size_t n, unsigned flags,
                             omni_tokens *out, omni_error *err)
{
    const om_tok *tok = om_model_tok(m);
    om_str source = {NULL, 0};
    om_buf bos = {0}, eos = {0};
    om_chat_text text = {0};
    if (flags & ~(unsigned)OMNI_CHAT_REPLY)
        return om_fail(err, OMNI_E_USAGE, "omni_chat_encode: unknown flags 0x%x", flags);
    omni_status s = pick_template(m, tmpl, &source, err);
    if (s == OMNI_OK)
        s = token_text(tok, om_tok_bos(tok), &bos, err);
    if (s == OMNI_OK)
        s = token_text(tok, om_tok_eos(tok), &eos, err);
    if (s == OMNI_OK) {
        om_chat_env env = {bos.p, eos.p};
        s = om_chat_render(source.p, source.n, &env, msgs, n, (flags & OMNI_CHAT_REPLY) != 0, &text, err);
        if (s != OMNI_OK && !tmpl)
            s = om_fail_prefix(err, s, "%s", om_gguf_path(om_model_gguf(m)));
    }
    if (s == OMNI_OK)
        s = encode(m, &text, bos.p, out, err);
    om_chat_text_release(&text);
    om_buf_release(&bos);
    om_buf_release(&eos);
    return s;
}
