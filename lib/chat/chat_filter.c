/* chat_filter.c - the filters of Jinja2 that chat templates use, and the global functions. */
#include "chat/chat_priv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *arg_name(const chat_call *k)
{
    return k->def->name;
}

static bool given(const chat_call *k, size_t i)
{
    return k->arg[i].kind != CV_UNDEF;
}

static chat_str self_text(chat_run *c, const chat_call *k)
{
    return om_chat_str_of(c, &k->self, k->at);
}

static const chat_list *self_list(chat_run *c, const chat_call *k)
{
    return om_chat_iterate(c, &k->self, k->at);
}

/* ---- texts ---- */

static chat_value f_trim(chat_run *c, chat_call *k)
{
    chat_str set, s = self_text(c, k);
    bool chars = given(k, 0) && k->arg[0].kind != CV_NONE;
    if (chars)
        set = om_chat_need_str(c, &k->arg[0], k->at, "trim");
    return om_chat_strv(om_chat_strip(c, s, chars ? &set : NULL, true, true));
}

static chat_value f_upper(chat_run *c, chat_call *k)
{
    return om_chat_strv(om_chat_case(c, self_text(c, k), 'u'));
}

static chat_value f_lower(chat_run *c, chat_call *k)
{
    return om_chat_strv(om_chat_case(c, self_text(c, k), 'l'));
}

static chat_value f_title(chat_run *c, chat_call *k)
{
    return om_chat_strv(om_chat_case(c, self_text(c, k), 't'));
}

static chat_value f_capitalize(chat_run *c, chat_call *k)
{
    return om_chat_strv(om_chat_case(c, self_text(c, k), 'c'));
}

static chat_value f_string(chat_run *c, chat_call *k)
{
    return om_chat_strv(self_text(c, k));
}

static chat_value f_replace(chat_run *c, chat_call *k)
{
    int64_t count = -1;
    om_chat_need_int(c, k, 2, &count);
    chat_str old = om_chat_str_of(c, &k->arg[0], k->at), new = om_chat_str_of(c, &k->arg[1], k->at);
    return om_chat_strv(om_chat_replace(c, self_text(c, k), old, new, count));
}

/* indent(width=4, first=false, blank=false) */
static chat_value f_indent(chat_run *c, chat_call *k)
{
    chat_str s = self_text(c, k), pad;
    chat_sb *b = om_chat_sb_new(c);
    bool first = om_chat_truth(&k->arg[1]), blank = om_chat_truth(&k->arg[2]);
    if (k->arg[0].kind == CV_STR) {
        pad = k->arg[0].u.s;
    } else {
        int64_t width = 4;
        chat_sb *spaces = om_chat_sb_new(c);
        om_chat_need_int(c, k, 0, &width);
        for (; width > 0; width--)
            om_chat_sb_byte(c, spaces, ' ', true);
        pad = om_chat_sb_finish(c, spaces);
    }
    for (size_t i = 0, end; i < s.n; i = end) {
        const char *nl = memchr(s.p + i, '\n', s.n - i);
        end = nl ? (size_t)(nl - s.p) + 1 : s.n;
        if (i == 0 ? first : (blank || s.p[i] != '\n'))
            om_chat_sb_add(c, b, pad);
        om_chat_sb_add(c, b, om_chat_sub(s, i, end));
    }
    return om_chat_strv(om_chat_sb_finish(c, b));
}

/* Python's int(): decimal digits with an optional sign and underscores, white space around. */
static bool parse_int(chat_run *c, chat_str s, int64_t *out)
{
    s = om_chat_strip(c, s, NULL, true, true);
    bool minus = s.n > 0 && s.p[0] == '-';
    size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
    int64_t v = 0;
    if (i == s.n)
        return false;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_sub_overflow(v, (int64_t)(s.p[i] - '0'), &v))
            return false;
    }
    if (!minus && v == INT64_MIN)
        return false;
    *out = minus ? v : -v;
    return true;
}

static chat_value f_int(chat_run *c, chat_call *k)
{
    chat_value v = k->self, otherwise = given(k, 0) ? k->arg[0] : om_chat_int(0, false);
    int64_t i;
    if (v.kind == CV_INT)
        return v;
    if (v.kind == CV_BOOL)
        return om_chat_int(v.u.b, false);
    if (v.kind == CV_FLOAT && v.u.f > -9e18 && v.u.f < 9e18)
        return om_chat_int((int64_t)v.u.f, v.tainted);
    if (v.kind == CV_STR && parse_int(c, v.u.s, &i))
        return om_chat_int(i, !om_chat_all_trusted(v.u.s));
    return otherwise;
}

static chat_value f_float(chat_run *c, chat_call *k)
{
    chat_value v = k->self;
    int64_t i;
    if (v.kind == CV_FLOAT)
        return v;
    if (v.kind == CV_INT || v.kind == CV_BOOL)
        return om_chat_float(v.kind == CV_INT ? (double)v.u.i : v.u.b, v.tainted);
    if (v.kind == CV_STR && parse_int(c, v.u.s, &i))
        return om_chat_float((double)i, !om_chat_all_trusted(v.u.s));
    return given(k, 0) ? k->arg[0] : om_chat_float(0, false);
}

static chat_value f_abs(chat_run *c, chat_call *k)
{
    chat_value v = k->self;
    if (v.kind == CV_FLOAT)
        return om_chat_float(fabs(v.u.f), v.tainted);
    if (v.kind != CV_INT || v.u.i == INT64_MIN)
        om_chat_fail(c, k->at, "'abs': expected a number, found %s", om_chat_kind_name(&v));
    return om_chat_int(v.u.i < 0 ? -v.u.i : v.u.i, v.tainted);
}

static chat_value f_tojson(chat_run *c, chat_call *k)
{
    chat_json j = {om_chat_truth(&k->arg[0]), om_chat_truth(&k->arg[3]), -1, om_chat_lit(", "), om_chat_lit(": ")};
    if (om_chat_need_int(c, k, 1, &j.indent)) {
        j.item = om_chat_lit(",");
        j.indent = j.indent < 0 ? 0 : j.indent > 1000 ? 1000 : j.indent;
    }
    if (k->arg[2].kind == CV_LIST && k->arg[2].u.list->n == 2) {
        j.item = om_chat_need_str(c, &k->arg[2].u.list->v[0], k->at, "tojson");
        j.key = om_chat_need_str(c, &k->arg[2].u.list->v[1], k->at, "tojson");
    }
    chat_sb *b = om_chat_sb_new(c);
    om_chat_to_json(c, b, &k->self, &j, 0, k->at);
    return om_chat_strv(om_chat_sb_finish(c, b));
}

/* ---- any value ---- */

static chat_value f_safe(chat_run *c, chat_call *k)
{
    (void)c;
    return k->self;
}

static chat_value f_default(chat_run *c, chat_call *k)
{
    bool use = k->self.kind == CV_UNDEF || (om_chat_truth(&k->arg[1]) && !om_chat_truth(&k->self));
    (void)c;
    if (!use)
        return k->self;
    return k->n ? k->arg[0] : om_chat_strv(om_chat_bytes("", 0));
}

static chat_value f_length(chat_run *c, chat_call *k)
{
    const chat_value *v = &k->self;
    switch (v->kind) {
    case CV_UNDEF:
        return om_chat_int(0, false);
    case CV_STR:
        return om_chat_int((int64_t)om_chat_length(c, v->u.s), !om_chat_all_trusted(v->u.s));
    case CV_LIST:
        return om_chat_int((int64_t)v->u.list->n, false);
    case CV_DICT:
        return om_chat_int((int64_t)v->u.dict->n, false);
    default:
        om_chat_fail(c, k->at, "'%s': expected a string, list or dict, found %s", arg_name(k), om_chat_kind_name(v));
    }
}

/* ---- lists ---- */

static chat_list *copy_list(chat_run *c, const chat_list *from)
{
    chat_list *l = om_chat_list_new(c, from->n, false);
    if (from->n)
        memcpy(l->v, from->v, from->n * sizeof *l->v);
    return l;
}

static chat_value f_list(chat_run *c, chat_call *k)
{
    return om_chat_listv(copy_list(c, self_list(c, k)));
}

static chat_value f_first(chat_run *c, chat_call *k)
{
    if (k->self.kind == CV_STR && k->self.u.s.n > 0)
        return om_chat_strv(om_chat_slice_text(c, k->self.u.s, 0, 1, 1));
    const chat_list *l = self_list(c, k);
    return l->n ? l->v[0] : om_chat_undef(om_chat_lit("first item"));
}

static chat_value f_last(chat_run *c, chat_call *k)
{
    const chat_list *l = self_list(c, k);
    return l->n ? l->v[l->n - 1] : om_chat_undef(om_chat_lit("last item"));
}

static chat_value f_reverse(chat_run *c, chat_call *k)
{
    if (k->self.kind == CV_STR)
        return om_chat_strv(om_chat_slice_text(c, k->self.u.s, (int64_t)om_chat_length(c, k->self.u.s) - 1, -1, -1));
    chat_list *l = copy_list(c, self_list(c, k));
    for (size_t i = 0; i < l->n / 2; i++) {
        chat_value v = l->v[i];
        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
    return om_chat_listv(l);
}

/* v.a.b.0: the attribute of an element as map, selectattr, sort and join name it. */
static chat_value dotted(chat_run *c, chat_value v, const chat_value *path, size_t at)
{
    if (path->kind == CV_INT)
        return om_chat_item(c, &v, path, at);
    chat_str s = om_chat_need_str(c, path, at, "attribute");
    for (size_t i = 0; i <= s.n;) {
        const char *dot = i < s.n ? memchr(s.p + i, '.', s.n - i) : NULL;
        size_t end = dot ? (size_t)(dot - s.p) : s.n;
        chat_str part = om_chat_sub(s, i, end);
        int64_t index;
        chat_value key = parse_int(c, part, &index) ? om_chat_int(index, false) : om_chat_strv(part);
        v = om_chat_item(c, &v, &key, at);
        i = end + 1;
    }
    return v;
}

static chat_value f_join(chat_run *c, chat_call *k)
{
    const chat_list *l = self_list(c, k);
    chat_sb *b = om_chat_sb_new(c);
    chat_str glue = om_chat_str_of(c, &k->arg[0], k->at);
    for (size_t i = 0; i < l->n; i++) {
        chat_value v = l->v[i];
        if (given(k, 1) && k->arg[1].kind != CV_NONE)
            v = dotted(c, v, &k->arg[1], k->at);
        if (i)
            om_chat_sb_add(c, b, glue);
        om_chat_sb_add(c, b, om_chat_str_of(c, &v, k->at));
    }
    return om_chat_strv(om_chat_sb_finish(c, b));
}

/* The same for the filter and for str.join of chat_method.c's dict.items. */
static chat_value f_items(chat_run *c, chat_call *k)
{
    if (k->self.kind == CV_UNDEF)
        return om_chat_listv(om_chat_list_new(c, 0, false));
    if (k->self.kind != CV_DICT)
        om_chat_fail(c, k->at, "'items': expected a dict, found %s", om_chat_kind_name(&k->self));
    const chat_dict *d = k->self.u.dict;
    chat_list *l = om_chat_list_new(c, d->n, false);
    for (size_t i = 0; i < d->n; i++) {
        chat_list *pair = om_chat_list_new(c, 2, true);
        pair->v[0] = d->v[i].key;
        pair->v[1] = d->v[i].value;
        l->v[i] = om_chat_listv(pair);
    }
    return om_chat_listv(l);
}

/* ---- sorting: a merge sort, as it must be stable and never quadratic ---- */

typedef struct order_by {
    const chat_value *attribute; /* NULL: the element itself */
    bool case_sensitive, reverse;
    size_t at;
} order_by;

static chat_value sort_key(chat_run *c, const order_by *o, chat_value v)
{
    if (o->attribute)
        v = dotted(c, v, o->attribute, o->at);
    if (v.kind == CV_STR && !o->case_sensitive)
        v = om_chat_strv(om_chat_case(c, v.u.s, 'l'));
    return v;
}

typedef struct keyed {
    chat_value key, value;
} keyed;

static void merge_sort(chat_run *c, keyed *v, keyed *tmp, size_t n, const order_by *o)
{
    if (n < 2)
        return;
    size_t half = n / 2, i = 0, j = half, k = 0;
    merge_sort(c, v, tmp, half, o);
    merge_sort(c, v + half, tmp, n - half, o);
    while (i < half && j < n) {
        int d = om_chat_order(c, &v[i].key, &v[j].key, o->at);
        tmp[k++] = (o->reverse ? d < 0 : d > 0) ? v[j++] : v[i++];
    }
    memcpy(tmp + k, v + i, (half - i) * sizeof *v);
    memcpy(v, tmp, (k + half - i) * sizeof *v);
}

static chat_list *sort_list(chat_run *c, const chat_list *from, const order_by *o)
{
    chat_list *l = copy_list(c, from);
    keyed *v = om_chat_alloc(c, l->n, sizeof *v), *tmp = om_chat_alloc(c, l->n, sizeof *tmp);
    for (size_t i = 0; i < l->n; i++) {
        v[i].value = l->v[i];
        v[i].key = sort_key(c, o, l->v[i]);
    }
    merge_sort(c, v, tmp, l->n, o);
    for (size_t i = 0; i < l->n; i++)
        l->v[i] = v[i].value;
    return l;
}

/* sort(reverse=false, case_sensitive=false, attribute=none) */
static chat_value f_sort(chat_run *c, chat_call *k)
{
    bool by = given(k, 2) && k->arg[2].kind != CV_NONE;
    order_by o = {by ? &k->arg[2] : NULL, om_chat_truth(&k->arg[1]), om_chat_truth(&k->arg[0]), k->at};
    return om_chat_listv(sort_list(c, self_list(c, k), &o));
}

/* dictsort(case_sensitive=false, by="key", reverse=false) */
static chat_value f_dictsort(chat_run *c, chat_call *k)
{
    chat_value column = om_chat_int(0, false);
    if (given(k, 1) && om_chat_str_is(om_chat_need_str(c, &k->arg[1], k->at, "dictsort"), "value"))
        column.u.i = 1;
    order_by o = {&column, om_chat_truth(&k->arg[0]), om_chat_truth(&k->arg[2]), k->at};
    return om_chat_listv(sort_list(c, f_items(c, k).u.list, &o));
}

static chat_value extreme(chat_run *c, chat_call *k, int sign)
{
    const chat_list *l = self_list(c, k);
    bool by = given(k, 1) && k->arg[1].kind != CV_NONE;
    order_by o = {by ? &k->arg[1] : NULL, om_chat_truth(&k->arg[0]), false, k->at};
    if (l->n == 0)
        return om_chat_undef(om_chat_lit("item of an empty list"));
    size_t best = 0;
    chat_value key = sort_key(c, &o, l->v[0]);
    for (size_t i = 1; i < l->n; i++) {
        chat_value other = sort_key(c, &o, l->v[i]);
        if (om_chat_order(c, &other, &key, k->at) * sign > 0) {
            best = i;
            key = other;
        }
    }
    return l->v[best];
}

static chat_value f_min(chat_run *c, chat_call *k)
{
    return extreme(c, k, -1);
}

static chat_value f_max(chat_run *c, chat_call *k)
{
    return extreme(c, k, 1);
}

static chat_value f_unique(chat_run *c, chat_call *k)
{
    const chat_list *l = self_list(c, k);
    order_by o = {given(k, 1) && k->arg[1].kind != CV_NONE ? &k->arg[1] : NULL, om_chat_truth(&k->arg[0]), false,
                  k->at};
    chat_list *out = om_chat_list_new(c, l->n, false), *seen = om_chat_list_new(c, l->n, false);
    out->n = seen->n = 0;
    for (size_t i = 0; i < l->n; i++) {
        chat_value key = sort_key(c, &o, l->v[i]), in = om_chat_listv(seen);
        if (om_chat_contains(c, &in, &key, k->at))
            continue;
        seen->v[seen->n++] = key;
        out->v[out->n++] = l->v[i];
    }
    return om_chat_listv(out);
}

static chat_value f_sum(chat_run *c, chat_call *k)
{
    const chat_list *l = self_list(c, k);
    int64_t sum = 0;
    bool tainted = false;
    for (size_t i = 0; i < l->n; i++) {
        chat_value v = given(k, 0) ? dotted(c, l->v[i], &k->arg[0], k->at) : l->v[i];
        if (v.kind != CV_INT || __builtin_add_overflow(sum, v.u.i, &sum))
            om_chat_fail(c, k->at, "'sum': expected integers that fit 64 bits, found %s", om_chat_kind_name(&v));
        tainted |= v.tainted;
    }
    return om_chat_int(sum, tainted);
}

/* ---- map, select, reject, selectattr, rejectattr: arguments as written, as they belong to another function ---- */

/* These take whatever is false, none too, for an empty list. */
static const chat_list *list_or_nothing(chat_run *c, const chat_call *k)
{
    return om_chat_truth(&k->self) ? self_list(c, k) : om_chat_list_new(c, 0, false);
}

static chat_call inner_call(const chat_call *k, const chat_def *def, size_t skip)
{
    chat_call in = {.def = def, .at = k->at};
    in.all.v = k->all.v + skip;
    in.all.n = k->all.n - skip;
    return in;
}

static chat_value run_inner(chat_run *c, const chat_call *proto, chat_value self)
{
    chat_call in = *proto; /* fresh arguments for each element */
    in.self = self;
    om_chat_enter(c, proto->at);
    chat_value v = om_chat_invoke(c, &in);
    om_chat_leave(c);
    return v;
}

static const chat_value *named_arg(const chat_call *k, const char *name)
{
    for (size_t i = 0; i < k->all.n; i++)
        if (k->all.v[i].name.p && om_chat_str_is(k->all.v[i].name, name))
            return &k->all.v[i].value;
    return NULL;
}

static chat_value f_map(chat_run *c, chat_call *k)
{
    const chat_list *l = list_or_nothing(c, k);
    const chat_value *attribute = named_arg(k, "attribute"), *otherwise = named_arg(k, "default");
    chat_list *out = om_chat_list_new(c, l->n, false);
    chat_call in = {0};
    if (!attribute) {
        if (k->all.n == 0 || k->all.v[0].name.p)
            om_chat_fail(c, k->at, "'map' needs the name of a filter or attribute=");
        chat_str name = om_chat_need_str(c, &k->all.v[0].value, k->at, "map");
        const chat_def *def = om_chat_filter(name);
        if (!def)
            om_chat_fail(c, k->at, "there is no filter '%.*s'", (int)(name.n < 60 ? name.n : 60), name.p);
        in = inner_call(k, def, 1);
    }
    for (size_t i = 0; i < l->n; i++) {
        out->v[i] = attribute ? dotted(c, l->v[i], attribute, k->at) : run_inner(c, &in, l->v[i]);
        if (attribute && otherwise && out->v[i].kind == CV_UNDEF)
            out->v[i] = *otherwise;
    }
    return om_chat_listv(out);
}

/* attr: the first argument is the attribute to test; then the name of a test (none: truth) and its arguments. */
static chat_value pick(chat_run *c, chat_call *k, bool attr, bool keep)
{
    const chat_list *l = list_or_nothing(c, k);
    chat_list *out = om_chat_list_new(c, l->n, false);
    const chat_def *def = NULL;
    out->n = 0;
    if (attr && (k->all.n == 0 || k->all.v[0].name.p))
        om_chat_fail(c, k->at, "'%s' needs the name of an attribute", arg_name(k));
    if (k->all.n > attr) {
        chat_str name = om_chat_need_str(c, &k->all.v[attr].value, k->at, arg_name(k));
        def = om_chat_test(name);
        if (!def)
            om_chat_fail(c, k->at, "there is no test '%.*s'", (int)(name.n < 60 ? name.n : 60), name.p);
    }
    chat_call in = {0};
    if (def)
        in = inner_call(k, def, (size_t)attr + 1);
    for (size_t i = 0; i < l->n; i++) {
        chat_value v = attr ? dotted(c, l->v[i], &k->all.v[0].value, k->at) : l->v[i];
        if (def)
            v = run_inner(c, &in, v);
        om_chat_work(c, 16);
        if (om_chat_truth(&v) == keep)
            out->v[out->n++] = l->v[i];
    }
    return om_chat_listv(out);
}

static chat_value f_select(chat_run *c, chat_call *k)
{
    return pick(c, k, false, true);
}

static chat_value f_reject(chat_run *c, chat_call *k)
{
    return pick(c, k, false, false);
}

static chat_value f_selectattr(chat_run *c, chat_call *k)
{
    return pick(c, k, true, true);
}

static chat_value f_rejectattr(chat_run *c, chat_call *k)
{
    return pick(c, k, true, false);
}

/* Sorted by name for om_chat_lookup. */
static const chat_def filter[] = {
    {"abs", f_abs, "", 0},
    {"capitalize", f_capitalize, "", 0},
    {"count", f_length, "", 0},
    {"d", f_default, "default_value boolean", 0},
    {"default", f_default, "default_value boolean", 0},
    {"dictsort", f_dictsort, "case_sensitive by reverse", 0},
    {"first", f_first, "", 0},
    {"float", f_float, "default", 0},
    {"indent", f_indent, "width first blank", 0},
    {"int", f_int, "default base", 0},
    {"items", f_items, "", 0},
    {"join", f_join, "d attribute", 0},
    {"last", f_last, "", 0},
    {"length", f_length, "", 0},
    {"list", f_list, "", 0},
    {"lower", f_lower, "", 0},
    {"map", f_map, NULL, 0},
    {"max", f_max, "case_sensitive attribute", 0},
    {"min", f_min, "case_sensitive attribute", 0},
    {"reject", f_reject, NULL, 0},
    {"rejectattr", f_rejectattr, NULL, 0},
    {"replace", f_replace, "old! new! count", 0},
    {"reverse", f_reverse, "", 0},
    {"safe", f_safe, "", 0},
    {"select", f_select, NULL, 0},
    {"selectattr", f_selectattr, NULL, 0},
    {"sort", f_sort, "reverse case_sensitive attribute", 0},
    {"string", f_string, "", 0},
    {"sum", f_sum, "attribute", 0},
    {"title", f_title, "", 0},
    {"tojson", f_tojson, "ensure_ascii indent separators sort_keys", 0},
    {"trim", f_trim, "chars", 0},
    {"unique", f_unique, "case_sensitive attribute", 0},
    {"upper", f_upper, "", 0},
};

const chat_def *om_chat_filter(chat_str name)
{
    return om_chat_lookup(filter, sizeof filter / sizeof *filter, name);
}

/* Binary search in a table sorted by name. */
const chat_def *om_chat_lookup(const chat_def *table, size_t n, chat_str name)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2, len = strlen(table[mid].name);
        int d = memcmp(table[mid].name, name.p, len < name.n ? len : name.n);
        if (d == 0 && len == name.n)
            return &table[mid];
        if (d < 0 || (d == 0 && len < name.n))
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* ---- global functions ---- */

static chat_value g_dict(chat_run *c, chat_call *k)
{
    chat_dict *d = om_chat_dict_new(c, k->all.n);
    for (size_t i = 0; i < k->all.n; i++) {
        const chat_arg *a = &k->all.v[i];
        if (a->name.p) {
            om_chat_dict_set(c, d, om_chat_strv(a->name), a->value, k->at);
            continue;
        }
        if (i > 0 || a->value.kind != CV_DICT)
            om_chat_fail(c, k->at, "'%s': expected name=value, found %s", arg_name(k), om_chat_kind_name(&a->value));
        for (size_t j = 0; j < a->value.u.dict->n; j++)
            om_chat_dict_set(c, d, a->value.u.dict->v[j].key, a->value.u.dict->v[j].value, k->at);
    }
    return om_chat_dictv(d);
}

static chat_value g_namespace(chat_run *c, chat_call *k)
{
    chat_value v = g_dict(c, k);
    v.kind = CV_SPACE;
    return v;
}

static chat_value g_raise(chat_run *c, chat_call *k)
{
    chat_str s = om_chat_str_of(c, &k->arg[0], k->at);
    om_chat_fail(c, k->at, "the template refuses the conversation: %.*s", (int)(s.n < 300 ? s.n : 300), s.p);
}

static chat_value g_range(chat_run *c, chat_call *k)
{
    int64_t start = 0, stop = 0, step = 1;
    om_chat_need_int(c, k, 0, &stop);
    if (om_chat_need_int(c, k, 1, &stop))
        om_chat_need_int(c, k, 0, &start);
    om_chat_need_int(c, k, 2, &step);
    if (step == 0)
        om_chat_fail(c, k->at, "'range': the step must not be 0");
    uint64_t span = step > 0 ? (stop > start ? (uint64_t)stop - (uint64_t)start : 0)
                             : (start > stop ? (uint64_t)start - (uint64_t)stop : 0);
    uint64_t by = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    uint64_t n = span / by + (span % by != 0);
    if (n > CHAT_RANGE_MAX)
        om_chat_fail(c, k->at, "'range': expected at most %d numbers, found %" PRIu64, CHAT_RANGE_MAX, n);
    bool tainted = k->arg[0].tainted || k->arg[1].tainted || k->arg[2].tainted;
    chat_list *l = om_chat_list_new(c, (size_t)n, false);
    for (size_t i = 0; i < n; i++) /* within start..stop, so modulo 2^64 is exact */
        l->v[i] = om_chat_int((int64_t)((uint64_t)start + i * (uint64_t)step), tainted);
    return om_chat_listv(l);
}

static const chat_def global[] = {
    {"dict", g_dict, NULL, 0},
    {"namespace", g_namespace, NULL, 0},
    {"raise_exception", g_raise, "message", 0},
    {"range", g_range, "start! stop step", 0},
};

const chat_def *om_chat_global(chat_str name)
{
    return om_chat_lookup(global, sizeof global / sizeof *global, name);
}
