/* chat_value.c - values: making them, truth, equality, order, membership, iteration, after Python's rules. */
#include "chat/chat_priv.h"

#include <string.h>

chat_value om_chat_undef(chat_str name)
{
    chat_value v = {.kind = CV_UNDEF, .u.s = name};
    return v;
}

chat_value om_chat_bool(bool b)
{
    chat_value v = {.kind = CV_BOOL, .u.b = b};
    return v;
}

chat_value om_chat_int(int64_t i, bool tainted)
{
    chat_value v = {.kind = CV_INT, .tainted = tainted, .u.i = i};
    return v;
}

chat_value om_chat_float(double f, bool tainted)
{
    chat_value v = {.kind = CV_FLOAT, .tainted = tainted, .u.f = f};
    return v;
}

chat_value om_chat_strv(chat_str s)
{
    chat_value v = {.kind = CV_STR, .u.s = s};
    return v;
}

chat_list *om_chat_list_new(chat_run *c, size_t n, bool tuple)
{
    chat_list *l = om_chat_alloc(c, 1, sizeof *l);
    l->v = om_chat_alloc(c, n, sizeof *l->v);
    l->n = n;
    l->tuple = tuple;
    om_chat_work(c, n * sizeof *l->v);
    return l;
}

chat_value om_chat_listv(const chat_list *l)
{
    chat_value v = {.kind = CV_LIST, .u.list = l};
    return v;
}

chat_dict *om_chat_dict_new(chat_run *c, size_t cap)
{
    chat_dict *d = om_chat_alloc(c, 1, sizeof *d);
    d->v = om_chat_alloc(c, cap, sizeof *d->v);
    d->cap = cap;
    return d;
}

chat_value om_chat_dictv(chat_dict *d)
{
    chat_value v = {.kind = CV_DICT, .u.dict = d};
    return v;
}

static chat_pair *find_pair(chat_run *c, const chat_dict *d, const chat_value *key)
{
    for (size_t i = 0; i < d->n; i++) {
        chat_pair *p = &d->v[i];
        om_chat_work(c, 16);
        if (key->kind == CV_STR && p->key.kind == CV_STR) {
            if (om_chat_str_eq(c, key->u.s, p->key.u.s))
                return p;
        } else if (om_chat_equal(c, key, &p->key, 0)) {
            return p;
        }
    }
    return NULL;
}

const chat_value *om_chat_dict_get(chat_run *c, const chat_dict *d, chat_value key)
{
    const chat_pair *p = find_pair(c, d, &key);
    return p ? &p->value : NULL;
}

static bool can_be_key(const chat_value *v, int depth)
{
    if (v->kind == CV_LIST && v->u.list->tuple && depth < CHAT_DEPTH_VALUE) {
        for (size_t i = 0; i < v->u.list->n; i++)
            if (!can_be_key(&v->u.list->v[i], depth + 1))
                return false;
        return true;
    }
    return v->kind >= CV_NONE && v->kind <= CV_STR;
}

void om_chat_dict_set(chat_run *c, chat_dict *d, chat_value key, chat_value value, size_t at)
{
    if (!can_be_key(&key, 0))
        om_chat_fail(c, at, "expected a text or number as the key of a dict, found %s", om_chat_kind_name(&key));
    chat_pair *p = find_pair(c, d, &key);
    if (p) {
        p->value = value;
        return;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 4;
        chat_pair *v = om_chat_alloc(c, cap, sizeof *v);
        if (d->n)
            memcpy(v, d->v, d->n * sizeof *v);
        d->v = v;
        d->cap = cap;
    }
    d->v[d->n].key = key;
    d->v[d->n++].value = value;
}

const char *om_chat_kind_name(const chat_value *v)
{
    static const char *const name[] = {[CV_UNDEF] = "an undefined value",
                                       [CV_NONE] = "none",
                                       [CV_BOOL] = "a boolean",
                                       [CV_INT] = "an integer",
                                       [CV_FLOAT] = "a float",
                                       [CV_STR] = "a string",
                                       [CV_LIST] = "a list",
                                       [CV_DICT] = "a dict",
                                       [CV_SPACE] = "a namespace",
                                       [CV_MACRO] = "a macro",
                                       [CV_FUNC] = "a function",
                                       [CV_METHOD] = "a method",
                                       [CV_LOOP] = "the loop variable"};
    return v->kind == CV_LIST && v->u.list->tuple ? "a tuple" : name[v->kind];
}

bool om_chat_truth(const chat_value *v)
{
    switch (v->kind) {
    case CV_UNDEF:
    case CV_NONE:
        return false;
    case CV_BOOL:
        return v->u.b;
    case CV_INT:
        return v->u.i != 0;
    case CV_FLOAT:
        return v->u.f != 0;
    case CV_STR:
        return v->u.s.n > 0;
    case CV_LIST:
        return v->u.list->n > 0;
    case CV_DICT:
        return v->u.dict->n > 0;
    case CV_SPACE:
    case CV_MACRO:
    case CV_FUNC:
    case CV_METHOD:
    case CV_LOOP:
        break;
    }
    return true;
}

bool om_chat_is_number(const chat_value *v)
{
    return v->kind == CV_BOOL || v->kind == CV_INT || v->kind == CV_FLOAT;
}

static int64_t as_int(const chat_value *v)
{
    return v->kind == CV_BOOL ? v->u.b : v->u.i;
}

static double as_float(const chat_value *v)
{
    return v->kind == CV_FLOAT ? v->u.f : (double)as_int(v);
}

static bool equal_lists(chat_run *c, const chat_list *a, const chat_list *b, int depth)
{
    if (a->n != b->n || a->tuple != b->tuple)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!om_chat_equal(c, &a->v[i], &b->v[i], depth + 1))
            return false;
    return true;
}

static bool equal_dicts(chat_run *c, const chat_dict *a, const chat_dict *b, int depth)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const chat_value *other = om_chat_dict_get(c, b, a->v[i].key);
        if (!other || !om_chat_equal(c, &a->v[i].value, other, depth + 1))
            return false;
    }
    return true;
}

bool om_chat_equal(chat_run *c, const chat_value *a, const chat_value *b, int depth)
{
    om_chat_work(c, 16);
    if (depth > CHAT_DEPTH_VALUE)
        om_chat_fail(c, c->at, "values nested more than %d levels deep cannot be compared", CHAT_DEPTH_VALUE);
    if (om_chat_is_number(a) && om_chat_is_number(b))
        return a->kind != CV_FLOAT && b->kind != CV_FLOAT ? as_int(a) == as_int(b) : as_float(a) == as_float(b);
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case CV_STR:
        return om_chat_str_eq(c, a->u.s, b->u.s);
    case CV_LIST:
        return a->u.list == b->u.list || equal_lists(c, a->u.list, b->u.list, depth);
    case CV_DICT:
        return a->u.dict == b->u.dict || equal_dicts(c, a->u.dict, b->u.dict, depth);
    case CV_SPACE:
        return a->u.dict == b->u.dict;
    case CV_MACRO:
        return a->u.macro == b->u.macro;
    case CV_FUNC:
    case CV_METHOD:
        return a->u.bound == b->u.bound;
    case CV_LOOP:
        return a->u.loop == b->u.loop;
    case CV_UNDEF:
    case CV_NONE:
    default:
        return true;
    }
}

static int order_lists(chat_run *c, const chat_list *a, const chat_list *b, size_t at)
{
    size_t n = a->n < b->n ? a->n : b->n;
    om_chat_enter(c, at);
    for (size_t i = 0; i < n; i++) {
        if (om_chat_equal(c, &a->v[i], &b->v[i], 0))
            continue;
        int d = om_chat_order(c, &a->v[i], &b->v[i], at);
        om_chat_leave(c);
        return d;
    }
    om_chat_leave(c);
    return (a->n > b->n) - (a->n < b->n);
}

int om_chat_order(chat_run *c, const chat_value *a, const chat_value *b, size_t at)
{
    om_chat_work(c, 16);
    if (om_chat_is_number(a) && om_chat_is_number(b)) {
        if (a->kind == CV_FLOAT || b->kind == CV_FLOAT)
            return (as_float(a) > as_float(b)) - (as_float(a) < as_float(b));
        return (as_int(a) > as_int(b)) - (as_int(a) < as_int(b));
    }
    if (a->kind == CV_STR && b->kind == CV_STR)
        return om_chat_str_cmp(c, a->u.s, b->u.s);
    if (a->kind == CV_LIST && b->kind == CV_LIST && a->u.list->tuple == b->u.list->tuple)
        return order_lists(c, a->u.list, b->u.list, at);
    om_chat_fail(c, at, "cannot order %s and %s", om_chat_kind_name(a), om_chat_kind_name(b));
}

bool om_chat_contains(chat_run *c, const chat_value *in, const chat_value *what, size_t at)
{
    switch (in->kind) {
    case CV_UNDEF:
        return false;
    case CV_STR:
        if (what->kind != CV_STR)
            om_chat_fail(c, at, "expected a string before 'in', as a string is after it, found %s",
                         om_chat_kind_name(what));
        return om_chat_find(c, in->u.s, what->u.s, 0) != SIZE_MAX;
    case CV_LIST:
        for (size_t i = 0; i < in->u.list->n; i++)
            if (om_chat_equal(c, &in->u.list->v[i], what, 0))
                return true;
        return false;
    case CV_DICT:
        return om_chat_dict_get(c, in->u.dict, *what) != NULL;
    default:
        om_chat_fail(c, at, "expected a string, list or dict after 'in', found %s", om_chat_kind_name(in));
    }
}

static const chat_list *characters(chat_run *c, chat_str s)
{
    uint32_t cp;
    chat_list *l = om_chat_list_new(c, om_chat_length(c, s), false);
    for (size_t i = 0, k = 0, len; i < s.n; i += len) {
        len = om_chat_next(s, i, &cp);
        l->v[k++] = om_chat_strv(om_chat_sub(s, i, i + len));
    }
    return l;
}

const chat_list *om_chat_iterate(chat_run *c, const chat_value *v, size_t at)
{
    chat_list *l;
    switch (v->kind) {
    case CV_UNDEF:
        return om_chat_list_new(c, 0, false);
    case CV_LIST:
        return v->u.list;
    case CV_DICT:
        l = om_chat_list_new(c, v->u.dict->n, false);
        for (size_t i = 0; i < l->n; i++)
            l->v[i] = v->u.dict->v[i].key;
        return l;
    case CV_STR:
        return characters(c, v->u.s);
    default:
        om_chat_fail(c, at, "expected a list, dict or string to go through, found %s", om_chat_kind_name(v));
    }
}

bool om_chat_need_int(chat_run *c, const chat_call *k, size_t i, int64_t *out)
{
    const chat_value *v = &k->arg[i];
    if (v->kind == CV_UNDEF || v->kind == CV_NONE)
        return false;
    if (v->kind != CV_INT && v->kind != CV_BOOL)
        om_chat_fail(c, k->at, "'%s': expected an integer as argument %zu, found %s", k->def->name, i + 1,
                     om_chat_kind_name(v));
    *out = as_int(v);
    return true;
}

chat_str om_chat_need_str(chat_run *c, const chat_value *v, size_t at, const char *what)
{
    if (v->kind != CV_STR)
        om_chat_fail(c, at, "'%s': expected a string, found %s", what, om_chat_kind_name(v));
    return v->u.s;
}
