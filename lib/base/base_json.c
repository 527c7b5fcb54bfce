/* base_json.c - strict JSON (RFC 8259). A document is three blocks: nodes in the order of their text, decoded strings, and
 * the root's header. A container's node knows how many nodes it spans, so a tree needs no pointers. */
#include "base/base_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64

struct omni_json { /* a node; node 0 is the document's root */
    omni_json_type type;
    uint32_t span;  /* nodes of this value, itself included */
    uint32_t count; /* members or elements */
    uint32_t key_len;
    size_t key, text; /* offsets into the strings; text of strings */
    size_t len;
    double number;
    struct doc *doc;
    bool boolean, has_key;
};

typedef struct doc {
    struct omni_json *node;
    size_t n, cap;
    om_buf strings;
} doc;

typedef struct parser {
    const char *s;
    size_t n, at;
    int depth;
    doc *d;
    omni_error *err;
} parser;

static omni_status bad(parser *p, const char *expected)
{
    if (p->at >= p->n)
        return om_fail(p->err, OMNI_E_INPUT, "JSON byte %zu: expected %s, found the end", p->at, expected);
    unsigned char c = (unsigned char)p->s[p->at];
    if (c >= 32 && c < 127)
        return om_fail(p->err, OMNI_E_INPUT, "JSON byte %zu: expected %s, found '%c'", p->at, expected, c);
    return om_fail(p->err, OMNI_E_INPUT, "JSON byte %zu: expected %s, found byte 0x%02x", p->at, expected, c);
}

static void skip_space(parser *p)
{
    while (p->at < p->n && (p->s[p->at] == ' ' || p->s[p->at] == '\t' || p->s[p->at] == '\n' || p->s[p->at] == '\r'))
        p->at++;
}

/* ---- strings ---- */

static bool hex4(const char *s, size_t n, uint32_t *out)
{
    uint32_t v = 0;
    if (n < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)s[i];
        uint32_t d = c >= '0' && c <= '9' ? c - 48u : c >= 'a' && c <= 'f' ? c - 87u : c >= 'A' && c <= 'F' ? c - 55u : 99;
        if (d > 15)
            return false;
        v = v << 4 | d;
    }
    *out = v;
    return true;
}

/* "\uXXXX" at p->at (on the 'u'), with its low half if it is a surrogate. */
static omni_status unicode_escape(parser *p, om_buf *out)
{
    uint32_t cp, low;
    char utf8[4];
    if (!hex4(p->s + p->at + 1, p->n - p->at - 1, &cp))
        return bad(p, "four hexadecimal digits after \\u");
    p->at += 5;
    if (cp >= 0xD800 && cp <= 0xDBFF) {
        if (p->n - p->at < 6 || p->s[p->at] != '\\' || p->s[p->at + 1] != 'u' || !hex4(p->s + p->at + 2, 4, &low) || low < 0xDC00 ||
            low > 0xDFFF)
            return bad(p, "the second half of a surrogate pair");
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
        p->at += 6;
    }
    size_t k = om_utf8_put(cp, utf8);
    if (k == 0)
        return bad(p, "a character before a lone surrogate");
    return om_buf_add(out, utf8, k);
}

static omni_status escape(parser *p, om_buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    p->at++;
    if (p->at < p->n && p->s[p->at] == 'u')
        return unicode_escape(p, out);
    const char *c = p->at < p->n && p->s[p->at] ? strchr(from, p->s[p->at]) : NULL;
    if (!c)
        return bad(p, "an escape character");
    p->at++;
    return om_buf_add(out, &to[c - from], 1);
}

/* A quoted string at p->at; its decoded bytes are appended to out. */
static omni_status string(parser *p, om_buf *out)
{
    omni_status st = OMNI_OK;
    if (p->at >= p->n || p->s[p->at] != '"')
        return bad(p, "a string");
    p->at++;
    while (st == OMNI_OK) {
        size_t from = p->at;
        while (p->at < p->n && p->s[p->at] != '"' && p->s[p->at] != '\\' && (unsigned char)p->s[p->at] >= 32) {
            int k = om_utf8_next(p->s + p->at, p->n - p->at, NULL);
            if (k <= 0)
                return bad(p, "UTF-8");
            p->at += (size_t)k;
        }
        if (p->at > from)
            st = om_buf_add(out, p->s + from, p->at - from);
        if (st != OMNI_OK || p->at >= p->n || (unsigned char)p->s[p->at] < 32)
            break;
        if (p->s[p->at] == '"') {
            p->at++;
            return OMNI_OK;
        }
        st = escape(p, out);
    }
    if (st == OMNI_E_MEMORY)
        return om_fail_memory(p->err, out->n, "a JSON string");
    return st != OMNI_OK ? st : bad(p, "'\"' at the end of a string");
}

/* ---- numbers ---- */

static size_t digits(const parser *p, size_t at)
{
    while (at < p->n && p->s[at] >= '0' && p->s[at] <= '9')
        at++;
    return at;
}

/* strtod reads the locale's decimal point; exchanging '.' for it keeps the value right in every locale. */
static double to_double(const char *s, size_t n)
{
    char buf[400], *end;
    if (n >= sizeof buf)
        n = sizeof buf - 1; /* digits beyond the 390th cannot change a double by more than its last bit */
    memcpy(buf, s, n);
    buf[n] = '\0';
    double v = strtod(buf, &end);
    char *dot = strchr(buf, '.');
    if (*end == '.' && dot) {
        *dot = ',';
        v = strtod(buf, &end);
    }
    return v;
}

static omni_status number(parser *p, struct omni_json *v)
{
    size_t at = p->at, from = p->at;
    if (at < p->n && p->s[at] == '-')
        at++;
    size_t end = digits(p, at);
    if (end == at || (p->s[at] == '0' && end > at + 1)) {
        p->at = at;
        return bad(p, end == at ? "a digit" : "a number without leading zeros");
    }
    at = end;
    if (at < p->n && p->s[at] == '.') {
        end = digits(p, at + 1);
        p->at = at + 1;
        if (end == at + 1)
            return bad(p, "a digit after the decimal point");
        at = end;
    }
    if (at < p->n && (p->s[at] == 'e' || p->s[at] == 'E')) {
        at++;
        if (at < p->n && (p->s[at] == '+' || p->s[at] == '-'))
            at++;
        end = digits(p, at);
        p->at = at;
        if (end == at)
            return bad(p, "a digit in the exponent");
        at = end;
    }
    p->at = at;
    v->type = OMNI_JSON_NUMBER;
    v->number = to_double(p->s + from, at - from);
    if (!isfinite(v->number)) {
        p->at = from;
        return bad(p, "a number within the range of a double");
    }
    return OMNI_OK;
}

/* ---- values ---- */

static omni_status value(parser *p, size_t *index);

static omni_status add_node(parser *p, size_t *index)
{
    void *q = p->d->node;
    omni_status st = p->d->n < UINT32_MAX ? om_grow(&q, &p->d->cap, p->d->n + 1, sizeof *p->d->node, p->err) : OMNI_E_MEMORY;
    p->d->node = q;
    if (st != OMNI_OK)
        return st;
    *index = p->d->n++;
    p->d->node[*index] = (struct omni_json){.span = 1, .doc = p->d};
    return OMNI_OK;
}

static bool same_key(const doc *d, const struct omni_json *a, const struct omni_json *b)
{
    return a->key_len == b->key_len && memcmp(d->strings.p + a->key, d->strings.p + b->key, a->key_len) == 0;
}

/* Members are compared pairwise while few; a hostile object with very many is refused instead of taking quadratic time. */
#define MAX_MEMBERS 1024

static omni_status check_duplicate(parser *p, size_t object, size_t child)
{
    const struct omni_json *node = p->d->node;
    if (node[object].count >= MAX_MEMBERS)
        return om_fail(p->err, OMNI_E_INPUT, "JSON byte %zu: expected at most %d members in an object", p->at, MAX_MEMBERS);
    for (size_t i = object + 1; i < child; i += node[i].span)
        if (same_key(p->d, &node[i], &node[child]))
            return om_fail(p->err, OMNI_E_INPUT, "JSON byte %zu: key '%.80s' occurs twice", p->at, p->d->strings.p + node[child].key);
    return OMNI_OK;
}

/* "key" : before a member's value; the key is put into the node after the value has been read. */
static omni_status member_key(parser *p, size_t *key, size_t *len)
{
    *key = p->d->strings.n;
    omni_status st = string(p, &p->d->strings);
    if (st != OMNI_OK)
        return st;
    *len = p->d->strings.n - *key;
    if (*len > UINT32_MAX)
        return bad(p, "a shorter key");
    st = om_buf_add(&p->d->strings, "", 1); /* keys and texts end in NUL */
    if (st != OMNI_OK)
        return om_fail_memory(p->err, p->d->strings.n, "a JSON key");
    skip_space(p);
    if (p->at >= p->n || p->s[p->at] != ':')
        return bad(p, "':'");
    p->at++;
    skip_space(p);
    return OMNI_OK;
}

static omni_status element(parser *p, size_t container, bool object)
{
    size_t child = 0, key = 0, key_len = 0;
    omni_status st = object ? member_key(p, &key, &key_len) : OMNI_OK;
    if (st == OMNI_OK)
        st = value(p, &child);
    if (st != OMNI_OK)
        return st;
    if (object) {
        p->d->node[child].key = key;
        p->d->node[child].key_len = (uint32_t)key_len;
        p->d->node[child].has_key = true;
        st = check_duplicate(p, container, child);
    }
    p->d->node[container].count++;
    return st;
}

static omni_status container(parser *p, size_t index, bool object)
{
    char close = object ? '}' : ']';
    p->d->node[index].type = object ? OMNI_JSON_OBJECT : OMNI_JSON_ARRAY;
    if (++p->depth > MAX_DEPTH)
        return bad(p, "at most 64 levels");
    p->at++;
    skip_space(p);
    bool first = true;
    while (p->at >= p->n || p->s[p->at] != close) {
        if (!first) {
            if (p->at >= p->n || p->s[p->at] != ',')
                return bad(p, object ? "',' or '}'" : "',' or ']'");
            p->at++;
            skip_space(p);
        }
        first = false;
        omni_status st = element(p, index, object);
        if (st != OMNI_OK)
            return st;
        skip_space(p);
    }
    p->at++;
    p->depth--;
    p->d->node[index].span = (uint32_t)(p->d->n - index);
    return OMNI_OK;
}

static bool word(parser *p, const char *w)
{
    size_t n = strlen(w);
    if (p->n - p->at < n || memcmp(p->s + p->at, w, n) != 0)
        return false;
    p->at += n;
    return true;
}

static omni_status value(parser *p, size_t *index)
{
    omni_status st = add_node(p, index);
    if (st != OMNI_OK)
        return st;
    struct omni_json *v = &p->d->node[*index];
    char c = p->at < p->n ? p->s[p->at] : '\0';
    if (c == '{' || c == '[')
        return container(p, *index, c == '{');
    if (c == '"') {
        size_t text = p->d->strings.n;
        st = string(p, &p->d->strings);
        *v = (struct omni_json){.type = OMNI_JSON_STRING, .span = 1, .doc = p->d, .text = text, .len = p->d->strings.n - text};
        if (st == OMNI_OK && om_buf_add(&p->d->strings, "", 1) != OMNI_OK)
            st = om_fail_memory(p->err, p->d->strings.n, "a JSON string");
        return st;
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return number(p, v);
    if (word(p, "null"))
        return OMNI_OK;
    v->type = OMNI_JSON_BOOL;
    v->boolean = c == 't';
    return word(p, "true") || word(p, "false") ? OMNI_OK : bad(p, "a JSON value");
}

static void doc_free(doc *d)
{
    om_buf_release(&d->strings);
    om_free(d->node);
    om_free(d);
}

omni_status omni_json_parse(omni_json **out, const char *text, size_t len, omni_error *err)
{
    doc *d = om_alloc_zero(1, sizeof *d);
    if (!d)
        return om_fail_memory(err, sizeof *d, "a JSON document");
    parser p = {text, len, 0, 0, d, err};
    size_t root;
    skip_space(&p);
    omni_status st = value(&p, &root);
    skip_space(&p);
    if (st == OMNI_OK && p.at < p.n)
        st = bad(&p, "the end after one JSON value");
    if (st != OMNI_OK) {
        doc_free(d);
        return st;
    }
    *out = d->node;
    return OMNI_OK;
}

void omni_json_free(omni_json *root)
{
    if (root)
        doc_free(root->doc);
}

omni_json_type omni_json_typeof(const omni_json *v)
{
    return v->type;
}

size_t omni_json_count(const omni_json *v)
{
    return v->count;
}

const omni_json *omni_json_at(const omni_json *v, size_t i)
{
    if (i >= v->count)
        return NULL;
    const omni_json *c = v + 1;
    while (i-- > 0)
        c += c->span;
    return c;
}

const char *omni_json_key(const omni_json *v, size_t i, size_t *len)
{
    const omni_json *c = omni_json_at(v, i);
    if (!c || !c->has_key)
        return NULL;
    if (len)
        *len = c->key_len;
    return c->doc->strings.p + c->key;
}

const omni_json *omni_json_get(const omni_json *obj, const char *key)
{
    size_t n = strlen(key);
    if (obj->type != OMNI_JSON_OBJECT)
        return NULL;
    const omni_json *c = obj + 1;
    for (size_t i = 0; i < obj->count; i++, c += c->span)
        if (c->key_len == n && memcmp(c->doc->strings.p + c->key, key, n) == 0)
            return c;
    return NULL;
}

const char *omni_json_string(const omni_json *v, size_t *len)
{
    if (v->type != OMNI_JSON_STRING)
        return NULL;
    if (len)
        *len = v->len;
    return v->doc->strings.p + v->text;
}

int omni_json_number(const omni_json *v, double *out)
{
    if (v->type != OMNI_JSON_NUMBER)
        return 0;
    *out = v->number;
    return 1;
}

int omni_json_bool(const omni_json *v, int *out)
{
    if (v->type != OMNI_JSON_BOOL)
        return 0;
    *out = v->boolean;
    return 1;
}

omni_status om_json_unquote(const char *s, size_t n, size_t *used, om_buf *out, omni_error *err)
{
    parser p = {s, n, 0, 0, NULL, err};
    omni_status st = string(&p, out);
    if (st == OMNI_OK)
        *used = p.at;
    return st;
}

omni_status om_json_check(const char *s, size_t n, omni_error *err)
{
    omni_json *root;
    omni_status st = omni_json_parse(&root, s, n, err);
    if (st == OMNI_OK)
        omni_json_free(root);
    return st;
}

/* ---- writing ---- */

omni_status om_json_quote(om_buf *b, const char *s, size_t n)
{
    omni_status st = om_buf_add(b, "\"", 1);
    for (size_t i = 0; i < n && st == OMNI_OK;) {
        size_t from = i;
        while (i < n && s[i] != '"' && s[i] != '\\' && (unsigned char)s[i] >= 32 && s[i] != 127) {
            int k = om_utf8_next(s + i, n - i, NULL);
            if (k <= 0)
                break;
            i += (size_t)k;
        }
        if (i > from)
            st = om_buf_add(b, s + from, i - from);
        if (i >= n || st != OMNI_OK)
            break;
        unsigned char c = (unsigned char)s[i++];
        if (c == '\n')
            st = om_buf_add(b, "\\n", 2);
        else if (c == '\t')
            st = om_buf_add(b, "\\t", 2);
        else if (c == '"' || c == '\\')
            st = om_buf_add(b, c == '"' ? "\\\"" : "\\\\", 2);
        else if (c < 128)
            st = om_buf_addf(b, "\\u%04x", c);
        else
            st = om_buf_add(b, "\xEF\xBF\xBD", 3);
    }
    return st == OMNI_OK ? om_buf_add(b, "\"", 1) : st;
}

omni_status omni_json_quote(const char *text, size_t len, char **buf, size_t *n, size_t *cap)
{
    om_buf b = {*buf, *n, *cap};
    omni_status st = om_json_quote(&b, text, len);
    *buf = b.p;
    *cap = b.cap;
    if (st == OMNI_OK)
        *n = b.n;
    return st;
}
