#include "run_batch_line.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Integers up to here are exact in a double, so an id or a seed survives the JSON number unchanged. */
#define EXACT_MAX 9007199254740992.0
#define ID_MAX 1024

void run_row_release(run_row *row)
{
    omni_json_free(row->doc);
    run_buf_release(&row->id);
    free(row->msgs);
    free(row->stop);
    free(row->bias);
    memset(row, 0, sizeof *row);
}

/* A whole number in lo..hi. */
static omni_status get_whole(const omni_json *v, const char *key, double lo, double hi, double *out, omni_error *err)
{
    double d;
    if (!omni_json_number(v, &d) || !(d >= lo && d <= hi) || d != floor(d))
        return run_fail(err, OMNI_E_INPUT, "\"%s\": expected a whole number from %.0f to %.0f", key, lo, hi);
    *out = d;
    return OMNI_OK;
}

static omni_status get_float(const omni_json *v, const char *key, float *out, omni_error *err)
{
    double d;
    if (!omni_json_number(v, &d) || !(fabs(d) <= (double)FLT_MAX))
        return run_fail(err, OMNI_E_INPUT, "\"%s\": expected a number", key);
    *out = (float)d;
    return OMNI_OK;
}

/* A string without NUL, for what becomes a C string. */
static omni_status get_text(const omni_json *v, const char *key, const char **out, size_t *len, omni_error *err)
{
    const char *s = omni_json_string(v, len);
    if (!s)
        return run_fail(err, OMNI_E_INPUT, "\"%s\": expected a string", key);
    *out = s;
    return OMNI_OK;
}

omni_status run_row_id(const omni_json *v, run_buf *out, omni_error *err)
{
    size_t len;
    const char *s = omni_json_string(v, &len);
    double d;
    if (s && len <= ID_MAX)
        return run_buf_quote(out, s, len) ? run_no_memory(err, "id") : OMNI_OK;
    if (!s && omni_json_number(v, &d) && fabs(d) <= EXACT_MAX && d == floor(d))
        return run_buf_printf(out, "%.0f", d) ? run_no_memory(err, "id") : OMNI_OK;
    return run_fail(err, OMNI_E_INPUT, "\"id\": expected a string of up to %d bytes or a whole number", ID_MAX);
}

static omni_status take_stop(run_row *row, const omni_json *v, omni_error *err)
{
    bool one = omni_json_typeof(v) == OMNI_JSON_STRING;
    size_t n = one ? 1 : omni_json_count(v);
    if (!one && omni_json_typeof(v) != OMNI_JSON_ARRAY)
        return run_fail(err, OMNI_E_INPUT, "\"stop\": expected a string or an array of strings");
    row->stop = calloc(n ? n : 1, sizeof *row->stop);
    if (!row->stop)
        return run_no_memory(err, "stop");
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *s = omni_json_string(one ? v : omni_json_at(v, i), &len);
        if (!s || len == 0 || strlen(s) != len)
            return run_fail(err, OMNI_E_INPUT, "\"stop\": expected strings that are not empty and hold no NUL");
        row->stop[i] = s;
    }
    row->set.stop = row->stop;
    row->set.n_stop = n;
    return OMNI_OK;
}

/* A token id written as a member name: digits only. */
static bool parse_id(const char *s, size_t len, int32_t *out)
{
    int64_t id = 0;
    if (len == 0 || len > 10)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        id = id * 10 + (s[i] - '0');
    }
    if (id > INT32_MAX)
        return false;
    *out = (int32_t)id;
    return true;
}

static omni_status take_bias(run_row *row, const omni_json *v, omni_error *err)
{
    size_t n = omni_json_count(v);
    if (omni_json_typeof(v) != OMNI_JSON_OBJECT)
        return run_fail(err, OMNI_E_INPUT, "\"logit_bias\": expected an object {\"ID\": bias}");
    row->bias = calloc(n ? n : 1, sizeof *row->bias);
    if (!row->bias)
        return run_no_memory(err, "logit_bias");
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *key = omni_json_key(v, i, &len);
        if (!parse_id(key, len, &row->bias[i].id))
            return run_fail(err, OMNI_E_INPUT, "\"logit_bias\": expected token ids as member names");
        omni_status st = get_float(omni_json_at(v, i), "logit_bias", &row->bias[i].bias, err);
        if (st)
            return st;
    }
    row->set.sample.bias = row->bias;
    row->set.sample.n_bias = n;
    return OMNI_OK;
}

static omni_status take_message(omni_message *out, const omni_json *v, size_t i, bool last, omni_error *err)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    size_t n_role, n_keys = omni_json_count(v);
    const char *role = omni_json_string(omni_json_get(v, "role"), &n_role);
    const char *text = omni_json_string(omni_json_get(v, "content"), &out->len);
    if (!role || !text || n_keys != 2)
        return run_fail(err, OMNI_E_INPUT, "messages[%zu]: expected {\"role\": string, \"content\": string}", i);
    out->text = text;
    for (size_t r = 0; r < sizeof roles / sizeof *roles; r++)
        if (strcmp(role, roles[r]) == 0 && n_role == strlen(role))
            out->role = roles[r];
    if (!out->role)
        return run_fail(err, OMNI_E_INPUT, "messages[%zu]: role: expected system, user, assistant or tool", i);
    if (last && (strcmp(out->role, "system") == 0 || strcmp(out->role, "assistant") == 0))
        return run_fail(err, OMNI_E_INPUT, "messages[%zu]: the last message is the %s's; there is nothing to answer", i,
                        out->role);
    return OMNI_OK;
}

/* "prompt" or "messages", with "system" put first. */
static omni_status take_messages(run_row *row, omni_error *err)
{
    const omni_json *prompt = omni_json_get(row->doc, "prompt"), *list = omni_json_get(row->doc, "messages");
    const omni_json *system = omni_json_get(row->doc, "system");
    if (!prompt == !list)
        return run_fail(err, OMNI_E_INPUT, "expected one of \"prompt\" and \"messages\"");
    if (list && (omni_json_typeof(list) != OMNI_JSON_ARRAY || omni_json_count(list) == 0))
        return run_fail(err, OMNI_E_INPUT, "\"messages\": expected an array that is not empty");
    size_t n = list ? omni_json_count(list) : 1, at = 0;
    omni_status st = OMNI_OK;
    row->is_prompt = prompt != NULL;
    row->msgs = calloc(n + 1, sizeof *row->msgs);
    if (!row->msgs)
        return run_no_memory(err, "messages");
    if (system) {
        row->msgs[at].role = "system";
        st = get_text(system, "system", &row->msgs[at].text, &row->msgs[at].len, err);
        at++;
    }
    if (!st && prompt) {
        row->msgs[at].role = "user";
        st = get_text(prompt, "prompt", &row->msgs[at].text, &row->msgs[at].len, err);
    }
    for (size_t i = 0; !st && list && i < n; i++) {
        st = take_message(&row->msgs[at + i], omni_json_at(list, i), i, i + 1 == n, err);
        if (!st && system && strcmp(row->msgs[at + i].role, "system") == 0)
            st = run_fail(err, OMNI_E_INPUT, "a system message in \"messages\" and \"system\": expected one of them");
    }
    row->n_msgs = st ? 0 : at + n;
    return st;
}

/* One option of the line; *known = 0 when the name is none. */
static omni_status take_option(run_row *row, const char *key, const omni_json *v, bool *known, omni_error *err)
{
    static const char *const others[] = {"id", "prompt", "messages", "system"};
    omni_sample_params *sp = &row->set.sample;
    omni_status st;
    double d = 0;
    *known = true;
    if (strcmp(key, "temperature") == 0)
        return get_float(v, key, &sp->temperature, err);
    if (strcmp(key, "top_p") == 0)
        return get_float(v, key, &sp->top_p, err);
    if (strcmp(key, "min_p") == 0)
        return get_float(v, key, &sp->min_p, err);
    if (strcmp(key, "repeat_penalty") == 0)
        return get_float(v, key, &sp->repeat_penalty, err);
    if (strcmp(key, "stop") == 0)
        return take_stop(row, v, err);
    if (strcmp(key, "logit_bias") == 0)
        return take_bias(row, v, err);
    if (strcmp(key, "top_k") == 0) {
        if (!(st = get_whole(v, key, 0, INT32_MAX, &d, err)))
            sp->top_k = (int32_t)d;
        return st;
    }
    if (strcmp(key, "repeat_last") == 0) {
        if (!(st = get_whole(v, key, 0, UINT32_MAX, &d, err)))
            sp->repeat_last = (uint32_t)d;
        return st;
    }
    if (strcmp(key, "max_tokens") == 0) {
        if (!(st = get_whole(v, key, -1, EXACT_MAX, &d, err)))
            row->set.max_tokens = (int64_t)d;
        return st;
    }
    if (strcmp(key, "seed") == 0) {
        if (!(st = get_whole(v, key, 0, EXACT_MAX, &d, err))) {
            sp->seed = (uint64_t)d;
            row->has_seed = true;
        }
        return st;
    }
    *known = false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        *known = *known || strcmp(key, others[i]) == 0;
    return OMNI_OK;
}

omni_status run_row_parse(run_row *row, const char *line, size_t len, const run_settings *defaults, omni_error *err)
{
    memset(row, 0, sizeof *row);
    row->set = *defaults;
    omni_status st = omni_json_parse(&row->doc, line, len, err);
    if (st)
        return st;
    if (omni_json_typeof(row->doc) != OMNI_JSON_OBJECT)
        return run_fail(err, OMNI_E_INPUT, "expected a JSON object");
    const omni_json *id = omni_json_get(row->doc, "id");
    if (id && (st = run_row_id(id, &row->id, err)))
        return st;
    for (size_t i = 0; i < omni_json_count(row->doc); i++) {
        size_t n_key;
        const char *key = omni_json_key(row->doc, i, &n_key);
        bool known = false;
        /* A member we do not know is refused, not skipped: a misspelt option must not go unnoticed. */
        if (strlen(key) == n_key)
            st = take_option(row, key, omni_json_at(row->doc, i), &known, err);
        if (st)
            return st;
        if (!known)
            return run_fail(err, OMNI_E_INPUT, "unknown member \"%.40s\"", key);
    }
    return take_messages(row, err);
}
