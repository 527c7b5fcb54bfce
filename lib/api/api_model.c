/* api_model.c - opening a model file, and its card. */
#include "api/api.h"

#include <string.h>

const char *omni_version(void)
{
    return OMNI_VERSION;
}

const char *omni_isa_best(void)
{
    return om_kern_get(NULL, NULL)->name;
}

omni_model_params omni_model_params_default(void)
{
    return (omni_model_params){.threads = 0, .isa = NULL, .activations = OMNI_ACT_FAST, .vocab_only = 0};
}

static omni_status check_params(const omni_model_params *p, omni_error *err)
{
    if (p->threads < 0 || p->threads > 1024)
        return om_fail(err, OMNI_E_USAGE, "threads: expected 0..1024, found %d", p->threads);
    if (p->activations != OMNI_ACT_FAST && p->activations != OMNI_ACT_FLOAT)
        return om_fail(err, OMNI_E_USAGE, "activations: expected fast or float, found %d", (int)p->activations);
    return OMNI_OK;
}

/* Keeps a copy of s[0..n) for info; control characters of a hostile file become '?', because cards go to terminals. */
static omni_status keep_text(omni_model *m, const char **field, const char *s, size_t n)
{
    char *copy = om_strndup(s, n < 4096 ? n : 4096);
    if (!copy)
        return OMNI_E_MEMORY;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127)
            *c = '?';
    m->text[m->n_text++] = copy;
    *field = copy;
    return OMNI_OK;
}

static omni_status keep_key(omni_model *m, const char **field, const char *key)
{
    om_str s = {"", 0};
    if (om_gguf_has(m->gguf, key) && om_gguf_get_str(m->gguf, key, &s, NULL) != OMNI_OK)
        s = (om_str){"", 0};
    return keep_text(m, field, s.p, s.n);
}

/* "Q4_1 81% Q8_0 19%": share of the bytes by format, largest first. Also counts the weights. */
static omni_status describe_quantisation(omni_model *m)
{
    uint64_t bytes[64] = {0}, all = 0;
    for (size_t i = 0; i < om_gguf_n_tensors(m->gguf); i++) {
        const om_gguf_tensor *t = om_gguf_tensor_at(m->gguf, i);
        m->info.n_params += t->n_elements;
        bytes[t->type < 64 ? t->type : 63] += t->size;
        all += t->size;
    }
    om_buf b = {0};
    omni_status st = OMNI_OK;
    for (;;) {
        size_t best = 0;
        const char *name;
        uint32_t block, block_bytes;
        for (size_t i = 1; i < 64; i++)
            if (bytes[i] > bytes[best])
                best = i;
        if (st != OMNI_OK || bytes[best] == 0 || bytes[best] * 200 < all) /* under half a percent: norms and biases */
            break;
        if (!om_gguf_format((uint32_t)best, &name, &block, &block_bytes))
            name = "other";
        st = om_buf_addf(&b, "%s%s %.0f%%", b.n ? " " : "", name, 100.0 * (double)bytes[best] / (double)all);
        bytes[best] = 0;
    }
    if (st == OMNI_OK)
        st = keep_text(m, &m->info.quantisation, b.p ? b.p : "", b.n);
    om_buf_release(&b);
    return st;
}

static const char *describe_template(const omni_model *m)
{
    static const char *const guessed[][2] = {{"chatml", "chatml (built in)"},
                                             {"gemma", "gemma (built in)"},
                                             {"llama3", "llama3 (built in)"},
                                             {"zephyr", "zephyr (built in)"},
                                             {"mistral", "mistral (built in)"}};
    const char *name = om_chat_guess(m->tok);
    if (om_gguf_has(m->gguf, "tokenizer.chat_template"))
        return "from file (jinja)";
    for (size_t i = 0; name && i < sizeof guessed / sizeof *guessed; i++)
        if (strcmp(guessed[i][0], name) == 0)
            return guessed[i][1];
    return "none";
}

static omni_status fill_info(omni_model *m, const om_kern *kern, const om_hparams *h, omni_error *err)
{
    omni_model_info *in = &m->info;
    omni_status st = keep_text(m, &in->path, om_gguf_path(m->gguf), strlen(om_gguf_path(m->gguf)));
    if (st == OMNI_OK)
        st = keep_key(m, &in->name, "general.name");
    if (st == OMNI_OK)
        st = keep_key(m, &in->architecture, "general.architecture");
    if (st == OMNI_OK)
        st = keep_key(m, &in->licence, "general.license");
    if (st == OMNI_OK)
        st = describe_quantisation(m);
    if (st != OMNI_OK)
        return om_fail_memory(err, 4096, "the model's card");
    in->tokenizer = om_tok_name(m->tok);
    in->chat_template = describe_template(m);
    in->isa = kern->name;
    in->file_bytes = om_gguf_file_size(m->gguf);
    in->vocab_hash = om_tok_hash(m->tok);
    in->n_vocab = om_tok_n_vocab(m->tok);
    in->n_ctx_train = h->n_ctx_train;
    in->n_embd = h->n_embd;
    in->n_layer = h->n_layer;
    in->n_head = h->n_head;
    in->n_head_kv = h->n_head_kv;
    in->n_ff = h->n_ff;
    in->threads = om_pool_threads(m->pool);
    return OMNI_OK;
}

static omni_status open_parts(omni_model *m, const char *path, const omni_model_params *p, omni_error *err)
{
    om_hparams h;
    const om_kern *kern = om_kern_get(p->isa, err);
    if (!kern)
        return OMNI_E_USAGE;
    omni_status st = om_gguf_open(&m->gguf, path, err);
    if (st == OMNI_OK)
        st = om_hparams_read(&h, m->gguf, err);
    if (st == OMNI_OK)
        st = om_tok_new(&m->tok, m->gguf, err);
    if (st == OMNI_OK)
        st = om_pool_new(&m->pool, p->vocab_only ? 1 : p->threads ? p->threads : om_cpu_count(), err);
    if (st == OMNI_OK && !p->vocab_only)
        st = om_model_new(&m->net, m->gguf, m->pool, kern, p->activations == OMNI_ACT_FLOAT, err);
    if (st == OMNI_OK)
        st = fill_info(m, kern, &h, err);
    return st;
}

omni_status omni_model_open(omni_model **out, const char *path, const omni_model_params *p, omni_error *err)
{
    omni_model_params def = omni_model_params_default();
    if (!p)
        p = &def;
    omni_status st = check_params(p, err);
    if (st != OMNI_OK)
        return st;
    omni_model *m = om_alloc_zero(1, sizeof *m);
    if (!m)
        return om_fail_memory(err, sizeof *m, "the model");
    st = open_parts(m, path, p, err);
    if (st != OMNI_OK) {
        omni_model_close(m);
        return st;
    }
    *out = m;
    return OMNI_OK;
}

void omni_model_close(omni_model *m)
{
    if (!m)
        return;
    om_model_free(m->net);
    om_pool_free(m->pool);
    om_tok_free(m->tok);
    om_gguf_close(m->gguf);
    for (size_t i = 0; i < m->n_text; i++)
        om_free(m->text[i]);
    om_buf_release(&m->meta_key);
    om_buf_release(&m->meta_value);
    om_free(m);
}

void omni_model_get_info(const omni_model *m, omni_model_info *info)
{
    *info = m->info;
}

size_t omni_model_meta_count(const omni_model *m)
{
    return om_gguf_n_keys(m->gguf);
}

int omni_model_meta_at(omni_model *m, size_t i, const char **key, const char **value)
{
    om_str k;
    om_buf_clear(&m->meta_key);
    om_buf_clear(&m->meta_value);
    if (i >= om_gguf_n_keys(m->gguf) || om_gguf_key_text(m->gguf, i, &k, &m->meta_value) != OMNI_OK ||
        om_buf_add(&m->meta_key, k.p, k.n) != OMNI_OK || om_buf_add(&m->meta_value, "", 0) != OMNI_OK)
        return 0;
    *key = m->meta_key.p;
    *value = m->meta_value.p;
    return 1;
}
