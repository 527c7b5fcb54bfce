#include "run.h"

#include <stdio.h>
#include <string.h>

typedef struct card {
    cli_out *out;
    run_buf b;
    bool json, first;
} card;

/* What a file says about itself must neither steer a terminal nor fake a line of the card. */
static omni_status add_visible(run_buf *b, const char *value)
{
    omni_status st = *value ? OMNI_OK : run_buf_puts(b, "-");
    for (const char *p = value; !st && *p; p++)
        st = run_buf_add(b, (unsigned char)*p < 0x20 || *p == 0x7f ? "?" : p, 1);
    return st ? st : run_buf_puts(b, "\n");
}

/* One text line "key   value"; an empty value means that the file says nothing. */
static omni_status add_text(card *c, const char *key, const char *value)
{
    omni_status st;
    if (!c->json) {
        st = run_buf_printf(&c->b, "%-14s", key);
        return st ? st : add_visible(&c->b, value);
    }
    st = run_buf_printf(&c->b, "%s\"%s\":", c->first ? "" : ",", key);
    c->first = false;
    if (st)
        return st;
    return *value ? run_buf_quote(&c->b, value, strlen(value)) : run_buf_puts(&c->b, "null");
}

/* Numbers are for reading in text and exact in JSON. */
static omni_status add_number(card *c, const char *key, uint64_t value, const char *shown)
{
    if (!c->json)
        return add_text(c, key, shown);
    omni_status st = run_buf_printf(&c->b, "%s\"%s\":%llu", c->first ? "" : ",", key, (unsigned long long)value);
    c->first = false;
    return st;
}

static omni_status add_count(card *c, const char *key, uint64_t value)
{
    char shown[32];
    snprintf(shown, sizeof shown, "%llu", (unsigned long long)value);
    return add_number(c, key, value, shown);
}

static omni_status add_scaled(card *c, const char *key, uint64_t value, double unit, const char *name)
{
    char shown[64];
    snprintf(shown, sizeof shown, "%.1f %s", (double)value / unit, name);
    return add_number(c, key, value, shown);
}

static omni_status add_card(card *c, const omni_model_info *i)
{
    char hash[24], heads[32];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)i->vocab_hash);
    snprintf(heads, sizeof heads, "%u, %u of them for keys", i->n_head, i->n_head_kv);
    omni_status st = add_text(c, "name", i->name);
    st = st ? st : add_text(c, "file", i->path);
    st = st ? st : add_scaled(c, "bytes", i->file_bytes, 1e6, "MB");
    st = st ? st : add_text(c, "architecture", i->architecture);
    st = st ? st : add_scaled(c, "parameters", i->n_params, 1e6, "million");
    st = st ? st : add_text(c, "quantisation", i->quantisation);
    st = st ? st : add_count(c, "context", i->n_ctx_train);
    st = st ? st : add_count(c, "layers", i->n_layer);
    st = st ? st : add_count(c, "width", i->n_embd);
    st = st ? st : add_count(c, "inner_width", i->n_ff);
    st = st ? st : add_number(c, "heads", i->n_head, heads);
    if (!st && c->json)
        st = add_count(c, "heads_kv", i->n_head_kv);
    st = st ? st : add_text(c, "tokenizer", i->tokenizer);
    st = st ? st : add_count(c, "vocabulary", i->n_vocab);
    st = st ? st : add_text(c, "vocab_hash", hash);
    st = st ? st : add_text(c, "template", i->chat_template);
    return st ? st : add_text(c, "licence", i->licence);
}

/* All metadata: JSON gives them as an object of texts. */
static omni_status add_meta(card *c, omni_model *m)
{
    omni_status st = run_buf_puts(&c->b, c->json ? ",\"metadata\":{" : "\n");
    const char *key, *value;
    for (size_t i = 0; !st && omni_model_meta_at(m, i, &key, &value); i++) {
        if (c->json) {
            st = i ? run_buf_puts(&c->b, ",") : OMNI_OK;
            st = st ? st : run_buf_quote(&c->b, key, strlen(key));
            st = st ? st : run_buf_puts(&c->b, ":");
            st = st ? st : run_buf_quote(&c->b, value, strlen(value));
        } else { /* quoted: a value may hold newlines and worse */
            st = run_buf_quote(&c->b, key, strlen(key));
            st = st ? st : run_buf_puts(&c->b, " = ");
            st = st ? st : run_buf_quote(&c->b, value, strlen(value));
            st = st ? st : run_buf_puts(&c->b, "\n");
        }
    }
    return st || !c->json ? st : run_buf_puts(&c->b, "}");
}

int run_info(const run_options *o, cli_out *out)
{
    omni_error err = {""};
    omni_model *m = NULL;
    omni_model_params mp = omni_model_params_default();
    omni_model_info info;
    card c = {.out = out, .json = o->common.json, .first = true};
    mp.vocab_only = 1; /* a card costs no look at the weights */
    omni_status st = cli_model_open(&m, &o->common, &mp, &err);
    if (st)
        return run_report(st, &err);
    omni_model_get_info(m, &info);
    st = c.json ? run_buf_puts(&c.b, "{") : OMNI_OK;
    st = st ? st : add_card(&c, &info);
    if (!st && o->common.verbose)
        st = add_meta(&c, m);
    if (!st && c.json)
        st = run_buf_puts(&c.b, "}\n");
    if (st)
        st = run_no_memory(&err, "card");
    else if (!cli_out_write(out, c.b.p, c.b.n))
        st = run_fail(&err, OMNI_E_SYSTEM, "%s", "");
    run_buf_release(&c.b);
    omni_model_close(m);
    return st ? run_report(st, &err) : 0;
}
