#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double run_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* "ID=BIAS" */
static bool parse_bias(const char *text, omni_logit_bias *out)
{
    const char *eq = strchr(text, '=');
    char id_text[16];
    int64_t id;
    double bias;
    if (!eq || (size_t)(eq - text) >= sizeof id_text)
        return false;
    memcpy(id_text, text, (size_t)(eq - text));
    id_text[eq - text] = '\0';
    if (!cli_parse_int(id_text, 0, INT32_MAX, &id))
        return false;
    if (strcmp(eq + 1, "-inf") == 0)
        bias = -INFINITY;
    else if (!cli_parse_float(eq + 1, -1e6, 1e6, &bias))
        return false;
    *out = (omni_logit_bias){.id = (int32_t)id, .bias = (float)bias};
    return true;
}

static uint64_t draw_seed(void)
{
    uint64_t seed = 0;
    if (getentropy(&seed, sizeof seed) != 0)
        seed = (uint64_t)time(NULL) ^ ((uint64_t)getpid() << 32);
    return seed >> 11; /* 53 bits: the same number in every JSON reader */
}

int run_settings_from(run_settings *out, omni_logit_bias **bias, const run_options *o, bool seed_given)
{
    omni_sample_params sp = omni_sample_params_default();
    *bias = NULL;
    if (o->bias.n) {
        *bias = calloc(o->bias.n, sizeof **bias);
        if (!*bias)
            return cli_fail(OMNI_E_MEMORY, &(omni_error){"logit bias: out of memory"});
    }
    for (size_t i = 0; i < o->bias.n; i++)
        if (!parse_bias(o->bias.v[i], &(*bias)[i])) {
            cli_error("--logit-bias: expected ID=BIAS such as 17=-2.5 or 17=-inf, found '%s'", o->bias.v[i]);
            return 2;
        }
    for (size_t i = 0; i < o->stop.n; i++)
        if (!o->stop.v[i][0]) {
            cli_error("--stop: expected a text that is not empty");
            return 2;
        }
    sp.temperature = (float)o->temp;
    sp.top_k = (int32_t)o->top_k;
    sp.top_p = (float)o->top_p;
    sp.min_p = (float)o->min_p;
    sp.repeat_penalty = (float)o->repeat_penalty;
    sp.repeat_last = (uint32_t)o->repeat_last;
    sp.seed = seed_given ? o->common.seed : draw_seed();
    sp.bias = *bias;
    sp.n_bias = o->bias.n;
    *out = (run_settings){.sample = sp, .max_tokens = o->max_tokens, .stop = o->stop.v, .n_stop = o->stop.n};
    return -1;
}

/* A built-in name, or a file that holds Jinja source. */
static omni_status load_template(const char *arg, char **out, omni_error *err)
{
    cli_in *in = NULL;
    char *text = NULL;
    size_t len;
    for (size_t i = 0; omni_chat_builtin(i); i++)
        if (strcmp(omni_chat_builtin(i), arg) == 0) {
            *out = strdup(arg);
            return *out ? OMNI_OK : run_no_memory(err, arg);
        }
    omni_error why = {""};
    omni_status st = cli_in_open(&in, strcmp(arg, "-") == 0 ? "./-" : arg, &why);
    if (st) {
        run_buf names = {0};
        for (size_t i = 0; omni_chat_builtin(i); i++)
            if (run_buf_printf(&names, "%s%s", i ? ", " : "", omni_chat_builtin(i)))
                break;
        st = run_fail(err, st, "--template: expected one of %s, or a file; %s", names.p ? names.p : "", why.text);
        run_buf_release(&names);
        return st;
    }
    st = cli_in_all(in, CLI_TEXT_MAX, &text, &len, err);
    cli_in_close(in);
    if (st)
        return st;
    if (strlen(text) != len || (!strstr(text, "{%") && !strstr(text, "{{"))) {
        free(text);
        return run_fail(err, OMNI_E_INPUT, "%s: expected a Jinja chat template, found no {%% or {{", arg);
    }
    *out = text;
    return OMNI_OK;
}

static void cancel_hook(void *user)
{
    omni_session_cancel(user);
}

/* Opens model and session into the three out parameters, which stay untouched on failure. */
static omni_status open_model(const run_options *o, const char *name, omni_model **model, omni_session **session,
                              uint64_t *bytes, omni_error *err)
{
    omni_model_params mp = omni_model_params_default();
    omni_session_params sp = omni_session_params_default();
    cli_common common = o->common;
    omni_model *m = NULL;
    omni_session *s = NULL;
    common.model = name;
    mp.activations = (omni_activations)o->activations;
    omni_status st = cli_model_open(&m, &common, &mp, err);
    if (st)
        return st;
    sp.n_ctx = (uint32_t)o->ctx;
    uint64_t need = omni_session_memory(m, &sp);
    cli_verbose(1, "the session takes %.1f MiB", (double)need / 1048576.0);
    st = omni_session_new(&s, m, &sp, err);
    if (st) {
        omni_model_close(m);
        return st;
    }
    *model = m;
    *session = s;
    *bytes = need;
    return OMNI_OK;
}

omni_status run_engine_open(run_engine *e, const run_options *o, omni_error *err)
{
    e->opt = o;
    double start = run_seconds();
    omni_status st = o->tmpl ? load_template(o->tmpl, &e->tmpl, err) : OMNI_OK;
    if (!st)
        st = open_model(o, o->common.model, &e->model, &e->session, &e->session_bytes, err);
    if (st)
        return st;
    e->fig.load_s = run_seconds() - start;
    omni_model_get_info(e->model, &e->info);
    run_engine_hook(e, true);
    if (cli_signalled()) /* it came before there was a session to cancel */
        omni_session_cancel(e->session);
    return OMNI_OK;
}

void run_engine_hook(run_engine *e, bool on)
{
    cli_signal_hook(on ? cancel_hook : NULL, on ? e->session : NULL);
}

omni_status run_engine_swap(run_engine *e, const char *model, omni_error *err)
{
    omni_model *m = NULL;
    omni_session *s = NULL;
    uint64_t bytes = 0;
    double start = run_seconds();
    omni_status st = open_model(e->opt, model, &m, &s, &bytes, err);
    if (st)
        return st;
    run_engine_hook(e, false); /* it points to the session that goes */
    omni_session_free(e->session);
    omni_model_close(e->model);
    e->model = m;
    e->session = s;
    e->session_bytes = bytes;
    e->fig = (run_figures){.load_s = run_seconds() - start};
    omni_model_get_info(m, &e->info);
    return OMNI_OK;
}

void run_engine_release(run_engine *e)
{
    cli_signal_hook(NULL, NULL);
    omni_session_free(e->session);
    omni_model_close(e->model);
    free(e->tmpl);
    memset(e, 0, sizeof *e);
}

int run_report(omni_status st, const omni_error *err)
{
    bool by_signal = cli_signalled() && (st == OMNI_E_CANCELLED || st == OMNI_E_SYSTEM); /* SYSTEM: a read was ended */
    return by_signal ? 3 : cli_fail(st, err);
}
