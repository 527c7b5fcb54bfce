/* base_json.c - strict JSON (RFC 8259): a grammar check without memory, then a tree in one block.
 *
 * The first pass checks the grammar and counts values and bytes, so the second one allocates once and cannot fail
 * on syntax. Block: nodes in document order | child pointers by position | the same by name, for lookups and the
 * search for duplicates | the bytes of strings. */
#include "base/base_json.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

struct omni_json {
    omni_json_type type;
    bool flag;
    double number;
    const char *string; /* NUL-terminated, len bytes; for a number, while the tree is built, its text */
    size_t len;
    const char *key; /* of a member, else NULL */
    size_t key_len;
    size_t n;   /* children */
    size_t end; /* nodes in document order: my subtree is [me, end) */
    const omni_json **kids, **by_name;
};

typedef struct parser {
    const char *s;
    size_t n, i;
    omni_error *err;
    size_t n_nodes, n_bytes; /* counted by the check, filled by the build */
    omni_json *nodes;        /* NULL: check only */
    char *bytes;
} parser;

static omni_status bad(parser *p, const char *expected)
{
    char found[48];
    if (p->i >= p->n)
        return om_fail(p->err, OMNI_E_INPUT, "JSON byte %zu: expected %s, found the end", p->i, expected);
    size_t k = p->n - p->i < 16 ? p->n - p->i : 16;
    return om_fail(p->err, OMNI_E_INPUT, "JSON byte %zu: expected %s, found '%s'", p->i, expected,
                   om_show(found, sizeof found, p->s + p->i, k));
}

static void skip_space(parser *p)
{
    while (p->i < p->n && (p->s[p->i] == ' ' || p->s[p->i] == '\t' || p->s[p->i] == '\n' || p->s[p->i] == '\r'))
        p->i++;
}

static bool next_is(parser *p, char c)
{
    return p->i < p->n && p->s[p->i] == c;
}

/* ---- strings ---- */

static int hex4(const char *s)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* After "\u": one code point, surrogate pairs joined. */
static omni_status unicode_escape(parser *p, uint32_t *cp)
{
    int hi = p->n - p->i >= 4 ? hex4(p->s + p->i) : -1;
    if (hi < 0)
        return bad(p, "four hexadecimal digits");
    *cp = (uint32_t)hi;
    if (hi >= 0xd800 && hi < 0xe000) {
        int lo = p->n - p->i >= 10 && p->s[p->i + 4] == '\\' && p->s[p->i + 5] == 'u' ? hex4(p->s + p->i + 6) : -1;
        if (hi >= 0xdc00 || lo < 0xdc00 || lo >= 0xe000)
            return bad(p, "a pair of surrogates");
        *cp = 0x10000u + (((uint32_t)hi - 0xd800u) << 10) + ((uint32_t)lo - 0xdc00u);
        p->i += 6;
    }
    p->i += 4;
    return OMNI_OK;
}

static omni_status escape(parser *p, char out[4], size_t *len)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    p->i++; /* the backslash */
    const char *at = p->i < p->n && p->s[p->i] ? strchr(from, p->s[p->i]) : NULL;
    if (at) {
        out[0] = to[at - from];
        *len = 1;
        p->i++;
        return OMNI_OK;
    }
    if (!next_is(p, 'u'))
        return bad(p, "an escape, one of \"\\/bfnrtu");
    p->i++;
    uint32_t cp = 0;
    omni_status s = unicode_escape(p, &cp);
    *len = om_utf8_put(cp, out);
    return s;
}

/* The string at p->i, decoded to *out when out is not NULL (room: its quoted length). *n = its decoded length. */
static omni_status string(parser *p, char *out, size_t *n)
{
    size_t len = 0;
    if (!next_is(p, '"'))
        return bad(p, "a string in quotes");
    p->i++;
    while (!next_is(p, '"')) {
        char esc[4];
        const char *from = p->s + p->i;
        size_t step = 0;
        if (p->i >= p->n)
            return bad(p, "'\"' at the end of the string");
        if (*from == '\\') {
            omni_status s = escape(p, esc, &step);
            if (s != OMNI_OK)
                return s;
            from = esc;
        } else {
            int k = om_utf8_next(from, p->n - p->i, NULL);
            if (k <= 0)
                return bad(p, "valid UTF-8");
            if ((unsigned char)*from < 0x20)
                return bad(p, "control characters escaped");
            step = (size_t)k;
            p->i += step;
        }
        if (out)
            memcpy(out + len, from, step);
        len += step;
    }
    p->i++;
    *n = len;
    return OMNI_OK;
}

/* A string into the tree's bytes; the check only counts. */
static omni_status keep_string(parser *p, const char **text, size_t *len)
{
    char *at = p->nodes ? p->bytes + p->n_bytes : NULL;
    omni_status s = string(p, at, len);
    if (s != OMNI_OK)
        return s;
    if (at)
        at[*len] = '\0';
    *text = at;
    p->n_bytes += *len + 1;
    return OMNI_OK;
}

/* ---- numbers ---- */

static bool digits(parser *p)
{
    size_t from = p->i;
    while (p->i < p->n && p->s[p->i] >= '0' && p->s[p->i] <= '9')
        p->i++;
    return p->i > from;
}

/* strtod needs an end that it respects and a decimal point that the host program's locale cannot change: the text is
 * copied, and omni_json_parse has set the C locale for this thread. */
static omni_status convert(parser *p, const char *text, size_t len, double *out)
{
    char *copy = p->bytes + p->n_bytes;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *out = strtod(copy, NULL);
    if (!isfinite(*out)) {
        p->i -= len;
        return bad(p, "a number within the range of a double");
    }
    return OMNI_OK;
}

static omni_status number(parser *p, double *out)
{
    size_t from = p->i;
    if (next_is(p, '-'))
        p->i++;
    if (next_is(p, '0'))
        p->i++;
    else if (!digits(p))
        return bad(p, "a digit");
    if (next_is(p, '.')) {
        p->i++;
        if (!digits(p))
            return bad(p, "a digit after the point");
    }
    if (next_is(p, 'e') || next_is(p, 'E')) {
        p->i++;
        if (next_is(p, '+') || next_is(p, '-'))
            p->i++;
        if (!digits(p))
            return bad(p, "a digit in the exponent");
    }
    omni_status s = OMNI_OK;
    if (p->nodes)
        s = convert(p, p->s + from, p->i - from, out);
    p->n_bytes += p->i - from + 1;
    return s;
}

/* ---- values ---- */

static omni_status literal(parser *p, const char *word)
{
    size_t n = strlen(word);
    if (p->n - p->i < n || memcmp(p->s + p->i, word, n) != 0)
        return bad(p, "a value");
    p->i += n;
    return OMNI_OK;
}

static omni_status scalar(parser *p, omni_json *v)
{
    if (p->i >= p->n)
        return bad(p, "a value");
    switch (p->s[p->i]) {
    case '"':
        v->type = OMNI_JSON_STRING;
        return keep_string(p, &v->string, &v->len);
    case 't':
        v->type = OMNI_JSON_BOOL;
        v->flag = true;
        return literal(p, "true");
    case 'f':
        v->type = OMNI_JSON_BOOL;
        return literal(p, "false");
    case 'n':
        v->type = OMNI_JSON_NULL;
        return literal(p, "null");
    default:
        v->type = OMNI_JSON_NUMBER;
        if (p->s[p->i] != '-' && (p->s[p->i] < '0' || p->s[p->i] > '9'))
            return bad(p, "a value");
        return number(p, &v->number);
    }
}

/* The node for the next value in document order. The check has no tree and works on one that it throws away. */
static omni_json *new_node(parser *p, omni_json *spare)
{
    omni_json *v = p->nodes ? &p->nodes[p->n_nodes] : spare;
    *v = (omni_json){.type = OMNI_JSON_NULL};
    p->n_nodes++;
    return v;
}

static omni_status value(parser *p, omni_json *v, int depth);

static omni_status member_name(parser *p, const char **key, size_t *len)
{
    omni_status s = keep_string(p, key, len);
    if (s != OMNI_OK)
        return s;
    skip_space(p);
    if (!next_is(p, ':'))
        return bad(p, "':'");
    p->i++;
    return OMNI_OK;
}

static omni_status container(parser *p, omni_json *v, char close, int depth)
{
    if (depth == DEPTH_MAX)
        return bad(p, "at most 64 levels");
    p->i++;
    skip_space(p);
    if (next_is(p, close)) {
        p->i++;
        return OMNI_OK;
    }
    for (;;) {
        omni_json spare;
        const char *key = NULL;
        size_t key_len = 0;
        omni_status s = OMNI_OK;
        skip_space(p);
        if (close == '}')
            s = member_name(p, &key, &key_len);
        if (s != OMNI_OK)
            return s;
        omni_json *kid = new_node(p, &spare);
        kid->key = key;
        kid->key_len = key_len;
        if ((s = value(p, kid, depth + 1)) != OMNI_OK)
            return s;
        v->n++;
        skip_space(p);
        if (next_is(p, close))
            break;
        if (!next_is(p, ','))
            return bad(p, close == '}' ? "',' or '}'" : "',' or ']'");
        p->i++;
    }
    p->i++;
    return OMNI_OK;
}

static omni_status value(parser *p, omni_json *v, int depth)
{
    omni_status s;
    skip_space(p);
    if (next_is(p, '{')) {
        v->type = OMNI_JSON_OBJECT;
        s = container(p, v, '}', depth);
    } else if (next_is(p, '[')) {
        v->type = OMNI_JSON_ARRAY;
        s = container(p, v, ']', depth);
    } else {
        s = scalar(p, v);
    }
    v->end = p->n_nodes;
    return s;
}

static omni_status document(parser *p)
{
    omni_json spare;
    omni_status s = value(p, new_node(p, &spare), 0);
    if (s != OMNI_OK)
        return s;
    skip_space(p);
    return p->i == p->n ? OMNI_OK : bad(p, "nothing after the value");
}

omni_status om_json_check(const char *s, size_t n, omni_error *err)
{
    parser p = {.s = s, .n = n, .err = err};
    return document(&p);
}

/* ---- names ---- */

static int compare_keys(const char *a, size_t an, const char *b, size_t bn)
{
    int c = memcmp(a, b, an < bn ? an : bn);
    return c ? c : (an > bn) - (an < bn);
}

static int by_key(const void *a, const void *b)
{
    const omni_json *x = *(const omni_json *const *)a, *y = *(const omni_json *const *)b;
    return compare_keys(x->key, x->key_len, y->key, y->key_len);
}

/* Links children to parents; *kids and *by_name move on as they are used up. */
static omni_status link_node(omni_json *nodes, size_t i, const omni_json ***kids, const omni_json ***by_name,
                             omni_error *err)
{
    omni_json *v = &nodes[i];
    size_t at = i + 1;
    v->kids = *kids;
    for (size_t k = 0; k < v->n; k++, at = nodes[at].end)
        v->kids[k] = &nodes[at];
    *kids += v->n;
    if (v->type != OMNI_JSON_OBJECT || v->n == 0)
        return OMNI_OK;
    v->by_name = *by_name;
    *by_name += v->n;
    memcpy(v->by_name, v->kids, v->n * sizeof *v->kids);
    qsort(v->by_name, v->n, sizeof *v->by_name, by_key);
    for (size_t k = 1; k < v->n; k++)
        if (by_key(&v->by_name[k - 1], &v->by_name[k]) == 0) {
            char name[64];
            return om_fail(err, OMNI_E_INPUT, "JSON key '%s' occurs twice",
                           om_show(name, sizeof name, v->by_name[k]->key, v->by_name[k]->key_len));
        }
    return OMNI_OK;
}

/* ---- the public interface ---- */

static omni_json *alloc_tree(const parser *count, omni_error *err)
{
    /* nodes, then 2 pointers for each but the root, then bytes: every count is at most the text's length + 1 */
    size_t nodes, links, bytes;
    if (!om_mul(count->n_nodes, sizeof(omni_json), &nodes) ||
        !om_mul(count->n_nodes, 2 * sizeof(omni_json *), &links) || !om_add(nodes, links, &bytes) ||
        !om_add(bytes, count->n_bytes, &bytes)) {
        om_fail_memory(err, SIZE_MAX, "JSON");
        return NULL;
    }
    omni_json *tree = om_alloc(bytes);
    if (!tree)
        om_fail_memory(err, bytes, "JSON");
    return tree;
}

static omni_status build(omni_json *tree, const parser *count, omni_error *err)
{
    const omni_json **kids = (const omni_json **)(void *)(tree + count->n_nodes), **by_name = kids + count->n_nodes;
    parser p = {.s = count->s, .n = count->n, .err = err, .nodes = tree, .bytes = (char *)(by_name + count->n_nodes)};
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return om_fail_errno(err, "the C locale");
    locale_t old = uselocale(c); /* of this thread only */
    omni_status s = document(&p);
    uselocale(old);
    freelocale(c);
    for (size_t i = 0; s == OMNI_OK && i < p.n_nodes; i++)
        s = link_node(tree, i, &kids, &by_name, err);
    return s;
}

omni_status omni_json_parse(omni_json **out, const char *text, size_t len, omni_error *err)
{
    parser count = {.s = text, .n = len, .err = err};
    omni_status s = document(&count);
    if (s != OMNI_OK)
        return s;
    omni_json *tree = alloc_tree(&count, err);
    if (!tree)
        return OMNI_E_MEMORY;
    s = build(tree, &count, err);
    if (s == OMNI_OK)
        *out = tree;
    else
        om_free(tree);
    return s;
}

void omni_json_free(omni_json *root)
{
    om_free(root);
}

omni_json_type omni_json_typeof(const omni_json *v)
{
    return v ? v->type : OMNI_JSON_NULL;
}

size_t omni_json_count(const omni_json *v)
{
    return v ? v->n : 0;
}

const omni_json *omni_json_at(const omni_json *v, size_t i)
{
    return v && i < v->n ? v->kids[i] : NULL;
}

const char *omni_json_key(const omni_json *v, size_t i, size_t *len)
{
    const omni_json *kid = omni_json_at(v, i);
    if (len)
        *len = kid ? kid->key_len : 0;
    return kid ? kid->key : NULL;
}

const omni_json *omni_json_get(const omni_json *obj, const char *key)
{
    size_t lo = 0, hi = obj && obj->type == OMNI_JSON_OBJECT ? obj->n : 0, len = strlen(key);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = compare_keys(key, len, obj->by_name[mid]->key, obj->by_name[mid]->key_len);
        if (c == 0)
            return obj->by_name[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const char *omni_json_string(const omni_json *v, size_t *len)
{
    bool is = v && v->type == OMNI_JSON_STRING;
    if (len)
        *len = is ? v->len : 0;
    return is ? v->string : NULL;
}

int omni_json_number(const omni_json *v, double *out)
{
    if (!v || v->type != OMNI_JSON_NUMBER)
        return 0;
    *out = v->number;
    return 1;
}

int omni_json_bool(const omni_json *v, int *out)
{
    if (!v || v->type != OMNI_JSON_BOOL)
        return 0;
    *out = v->flag;
    return 1;
}

omni_status om_json_unquote(const char *s, size_t n, size_t *used, om_buf *out, omni_error *err)
{
    parser p = {.s = s, .n = n, .err = err};
    size_t len = 0, had = out->n, cap;
    omni_status st = string(&p, NULL, &len);
    if (st != OMNI_OK)
        return st;
    void *grown = out->p;
    if (!om_add(had, len, &cap) || !om_add(cap, 1, &cap))
        return om_fail_memory(err, SIZE_MAX, "a string");
    if ((st = om_grow(&grown, &out->cap, cap, 1, err)) != OMNI_OK)
        return st;
    out->p = grown;
    *used = p.i;
    p.i = 0;
    st = string(&p, out->p + had, &len);
    out->n = had + len;
    out->p[out->n] = '\0';
    return st;
}
