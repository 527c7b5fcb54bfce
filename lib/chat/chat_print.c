/* chat_print.c - values as text: Python's str() and repr(), and JSON as Python's json.dumps writes it. What stands for
 * a message byte, an escape included, is untrusted like the byte. */
#include "chat/chat_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_lit(chat_run *c, chat_sb *b, const char *z)
{
    om_chat_sb_add(c, b, om_chat_lit(z));
}

static void put_text(chat_run *c, chat_sb *b, const char *p, int n, bool trusted)
{
    chat_str s = {p, (size_t)n, NULL, trusted};
    om_chat_sb_add(c, b, s);
}

/* The shortest digits that read back as f, with the exponent where repr() has one: below 1e-4 and from 1e16. The
 * locale may print a decimal comma: anything that is not a digit, sign or e becomes the point. */
int om_chat_float_text(double f, char buf[40])
{
    char e[40];
    int digits = 0;
    if (isnan(f) || isinf(f))
        return snprintf(buf, 40, "%s", isnan(f) ? "nan" : f > 0 ? "inf" : "-inf");
    do
        snprintf(e, sizeof e, "%.*e", digits, f);
    while (strtod(e, NULL) != f && ++digits < 17);
    int exponent = (int)strtol(strchr(e, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16)
        snprintf(buf, 40, "%s", e);
    else
        snprintf(buf, 40, "%.*f", digits > exponent ? (digits - exponent) : 1, f);
    for (char *p = buf; *p; p++)
        if (!strchr("0123456789+-e", *p))
            *p = '.';
    return (int)strlen(buf);
}

static void put_number(chat_run *c, chat_sb *b, const chat_value *v)
{
    char buf[40];
    int n = v->kind == CV_FLOAT ? om_chat_float_text(v->u.f, buf) : snprintf(buf, sizeof buf, "%" PRId64, v->u.i);
    put_text(c, b, buf, n, !v->tainted);
}

chat_str om_chat_str_of(chat_run *c, const chat_value *v, size_t at)
{
    if (v->kind == CV_STR)
        return v->u.s;
    if (v->kind == CV_UNDEF)
        return om_chat_bytes("", 0);
    chat_sb *b = om_chat_sb_new(c);
    om_chat_repr(c, b, v, 0, at);
    return om_chat_sb_finish(c, b);
}

static void repr_string(chat_run *c, chat_sb *b, chat_str s)
{
    char quote = memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n) ? '"' : '\'';
    char buf[16];
    uint32_t cp;
    om_chat_sb_byte(c, b, quote, true);
    for (size_t i = 0, len; i < s.n; i += len) {
        bool trusted = om_chat_trust_at(s, i);
        len = om_chat_next(s, i, &cp);
        int n = 0;
        if (cp == '\n' || cp == '\r' || cp == '\t')
            n = snprintf(buf, sizeof buf, "\\%c", cp == '\n' ? 'n' : cp == '\r' ? 'r' : 't');
        else if (cp == '\\' || cp == (unsigned char)quote)
            n = snprintf(buf, sizeof buf, "\\%c", (int)cp);
        else if (cp < ' ' || (cp >= 0x7F && cp <= 0xA0) || cp == 0xAD)
            n = snprintf(buf, sizeof buf, "\\x%02x", (unsigned)cp);
        if (n)
            put_text(c, b, buf, n, trusted);
        else
            om_chat_sb_add(c, b, om_chat_sub(s, i, i + len));
    }
    om_chat_sb_byte(c, b, quote, true);
}

static void repr_list(chat_run *c, chat_sb *b, const chat_list *l, int depth, size_t at)
{
    put_lit(c, b, l->tuple ? "(" : "[");
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            put_lit(c, b, ", ");
        om_chat_repr(c, b, &l->v[i], depth + 1, at);
    }
    put_lit(c, b, l->tuple ? (l->n == 1 ? ",)" : ")") : "]");
}

static void repr_dict(chat_run *c, chat_sb *b, const chat_dict *d, int depth, size_t at)
{
    put_lit(c, b, "{");
    for (size_t i = 0; i < d->n; i++) {
        if (i)
            put_lit(c, b, ", ");
        om_chat_repr(c, b, &d->v[i].key, depth + 1, at);
        put_lit(c, b, ": ");
        om_chat_repr(c, b, &d->v[i].value, depth + 1, at);
    }
    put_lit(c, b, "}");
}

void om_chat_repr(chat_run *c, chat_sb *b, const chat_value *v, int depth, size_t at)
{
    om_chat_work(c, 64);
    if (depth > CHAT_DEPTH_VALUE)
        om_chat_fail(c, at, "a value nested more than %d levels deep cannot be printed", CHAT_DEPTH_VALUE);
    switch (v->kind) {
    case CV_UNDEF:
        put_lit(c, b, "Undefined");
        return;
    case CV_NONE:
        put_lit(c, b, "None");
        return;
    case CV_BOOL:
        put_lit(c, b, v->u.b ? "True" : "False");
        return;
    case CV_INT:
    case CV_FLOAT:
        put_number(c, b, v);
        return;
    case CV_STR:
        repr_string(c, b, v->u.s);
        return;
    case CV_LIST:
        repr_list(c, b, v->u.list, depth, at);
        return;
    case CV_DICT:
        repr_dict(c, b, v->u.dict, depth, at);
        return;
    default:
        om_chat_fail(c, at, "%s cannot be printed", om_chat_kind_name(v));
    }
}

/* ---- JSON ---- */

static int json_escape(uint32_t cp, bool ascii, char buf[16])
{
    static const char plain[] = "\"\\\n\r\t\b\f", code[] = "\"\\nrtbf";
    const char *p = cp && cp < 128 ? strchr(plain, (int)cp) : NULL;
    if (p)
        return snprintf(buf, 16, "\\%c", code[p - plain]);
    if (cp < ' ')
        return snprintf(buf, 16, "\\u%04x", (unsigned)cp);
    if (!ascii || cp <= 0x7F)
        return 0;
    if (cp >= 0x110000) /* a stray byte, as Python's surrogateescape has it */
        return snprintf(buf, 16, "\\u%04x", 0xDC00u + (unsigned)(cp - 0x110000));
    if (cp < 0x10000)
        return snprintf(buf, 16, "\\u%04x", (unsigned)cp);
    cp -= 0x10000;
    return snprintf(buf, 16, "\\u%04x\\u%04x", 0xD800u + (unsigned)(cp >> 10), 0xDC00u + (unsigned)(cp & 0x3FF));
}

static void json_string(chat_run *c, chat_sb *b, chat_str s, bool ascii)
{
    char buf[16];
    uint32_t cp;
    size_t from = 0;
    put_lit(c, b, "\"");
    for (size_t i = 0, len; i < s.n; i += len) {
        len = om_chat_next(s, i, &cp);
        int n = json_escape(cp, ascii, buf);
        if (!n)
            continue;
        om_chat_sb_add(c, b, om_chat_sub(s, from, i));
        put_text(c, b, buf, n, om_chat_trust_at(s, i));
        from = i + len;
    }
    om_chat_sb_add(c, b, om_chat_sub(s, from, s.n));
    put_lit(c, b, "\"");
}

static void json_newline(chat_run *c, chat_sb *b, const chat_json *j, int depth)
{
    if (j->indent < 0)
        return;
    put_lit(c, b, "\n");
    for (int64_t i = 0; i < j->indent * depth; i++)
        put_lit(c, b, " ");
}

static void json_list(chat_run *c, chat_sb *b, const chat_list *l, const chat_json *j, int depth, size_t at)
{
    put_lit(c, b, "[");
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            om_chat_sb_add(c, b, j->item);
        json_newline(c, b, j, depth + 1);
        om_chat_to_json(c, b, &l->v[i], j, depth + 1, at);
    }
    if (l->n)
        json_newline(c, b, j, depth);
    put_lit(c, b, "]");
}

static void json_key(chat_run *c, chat_sb *b, const chat_value *key, const chat_json *j, size_t at)
{
    if (key->kind == CV_STR) {
        json_string(c, b, key->u.s, j->ascii);
        return;
    }
    if (key->kind == CV_LIST)
        om_chat_fail(c, at, "'tojson': expected a text or number as the key of a dict, found a tuple");
    put_lit(c, b, "\"");
    om_chat_to_json(c, b, key, j, 0, at);
    put_lit(c, b, "\"");
}

/* Insertion sort by key: dicts of templates are small, and what is compared is charged. */
static const chat_dict *sorted(chat_run *c, const chat_dict *d, size_t at)
{
    chat_dict *s = om_chat_dict_new(c, d->n);
    for (size_t i = 0; i < d->n; i++) {
        size_t k = s->n++;
        for (; k > 0 && om_chat_order(c, &s->v[k - 1].key, &d->v[i].key, at) > 0; k--)
            s->v[k] = s->v[k - 1];
        s->v[k] = d->v[i];
    }
    return s;
}

static void json_dict(chat_run *c, chat_sb *b, const chat_dict *d, const chat_json *j, int depth, size_t at)
{
    if (j->sort)
        d = sorted(c, d, at);
    put_lit(c, b, "{");
    for (size_t i = 0; i < d->n; i++) {
        if (i)
            om_chat_sb_add(c, b, j->item);
        json_newline(c, b, j, depth + 1);
        json_key(c, b, &d->v[i].key, j, at);
        om_chat_sb_add(c, b, j->key);
        om_chat_to_json(c, b, &d->v[i].value, j, depth + 1, at);
    }
    if (d->n)
        json_newline(c, b, j, depth);
    put_lit(c, b, "}");
}

void om_chat_to_json(chat_run *c, chat_sb *b, const chat_value *v, const chat_json *j, int depth, size_t at)
{
    om_chat_work(c, 64);
    if (depth > CHAT_DEPTH_VALUE)
        om_chat_fail(c, at, "'tojson': nested more than %d levels deep", CHAT_DEPTH_VALUE);
    switch (v->kind) {
    case CV_NONE:
        put_lit(c, b, "null");
        return;
    case CV_BOOL:
        put_lit(c, b, v->u.b ? "true" : "false");
        return;
    case CV_FLOAT:
        if (isnan(v->u.f) || isinf(v->u.f))
            put_lit(c, b, isnan(v->u.f) ? "NaN" : v->u.f > 0 ? "Infinity" : "-Infinity");
        else
            put_number(c, b, v);
        return;
    case CV_INT:
        put_number(c, b, v);
        return;
    case CV_STR:
        json_string(c, b, v->u.s, j->ascii);
        return;
    case CV_LIST:
        json_list(c, b, v->u.list, j, depth, at);
        return;
    case CV_DICT:
        json_dict(c, b, v->u.dict, j, depth, at);
        return;
    default:
        om_chat_fail(c, at, "'tojson': %s is not JSON", om_chat_kind_name(v));
    }
}
