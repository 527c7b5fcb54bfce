/* chat_method.c - methods of strings, dicts, lists and the loop variable, as Python has them. */
#include "chat/chat_priv.h"

#include <string.h>

static chat_str arg_text(chat_run *c, const chat_call *k, size_t i)
{
    return om_chat_need_str(c, &k->arg[i], k->at, k->def->name);
}

static bool given(const chat_call *k, size_t i)
{
    return k->arg[i].kind != CV_UNDEF && k->arg[i].kind != CV_NONE;
}

/* ---- strings ---- */

static chat_value strip(chat_run *c, const chat_call *k, bool left, bool right)
{
    chat_str set;
    if (!given(k, 0))
        return om_chat_strv(om_chat_strip(c, k->self.u.s, NULL, left, right));
    set = arg_text(c, k, 0);
    return om_chat_strv(om_chat_strip(c, k->self.u.s, &set, left, right));
}

static chat_value s_strip(chat_run *c, chat_call *k)
{
    return strip(c, k, true, true);
}

static chat_value s_lstrip(chat_run *c, chat_call *k)
{
    return strip(c, k, true, false);
}

static chat_value s_rstrip(chat_run *c, chat_call *k)
{
    return strip(c, k, false, true);
}

static chat_value s_upper(chat_run *c, chat_call *k)
{
    return om_chat_strv(om_chat_case(c, k->self.u.s, 'u'));
}

static chat_value s_lower(chat_run *c, chat_call *k)
{
    return om_chat_strv(om_chat_case(c, k->self.u.s, 'l'));
}

static chat_value s_title(chat_run *c, chat_call *k)
{
    return om_chat_strv(om_chat_case(c, k->self.u.s, 't'));
}

static chat_value s_capitalize(chat_run *c, chat_call *k)
{
    return om_chat_strv(om_chat_case(c, k->self.u.s, 'c'));
}

static chat_value s_replace(chat_run *c, chat_call *k)
{
    int64_t count = -1;
    om_chat_need_int(c, k, 2, &count);
    return om_chat_strv(om_chat_replace(c, k->self.u.s, arg_text(c, k, 0), arg_text(c, k, 1), count));
}

static bool has_end(chat_run *c, chat_str s, chat_str part, bool tail)
{
    if (part.n > s.n)
        return false;
    return om_chat_str_eq(c, tail ? om_chat_sub(s, s.n - part.n, s.n) : om_chat_sub(s, 0, part.n), part);
}

/* A text or a tuple of texts. */
static chat_value any_end(chat_run *c, const chat_call *k, bool tail)
{
    const chat_value *v = &k->arg[0];
    if (v->kind != CV_LIST || !v->u.list->tuple)
        return om_chat_bool(has_end(c, k->self.u.s, arg_text(c, k, 0), tail));
    for (size_t i = 0; i < v->u.list->n; i++)
        if (has_end(c, k->self.u.s, om_chat_need_str(c, &v->u.list->v[i], k->at, k->def->name), tail))
            return om_chat_bool(true);
    return om_chat_bool(false);
}

static chat_value s_startswith(chat_run *c, chat_call *k)
{
    return any_end(c, k, false);
}

static chat_value s_endswith(chat_run *c, chat_call *k)
{
    return any_end(c, k, true);
}

static chat_value s_removeprefix(chat_run *c, chat_call *k)
{
    chat_str s = k->self.u.s, part = arg_text(c, k, 0);
    return om_chat_strv(has_end(c, s, part, false) ? om_chat_sub(s, part.n, s.n) : s);
}

static chat_value s_removesuffix(chat_run *c, chat_call *k)
{
    chat_str s = k->self.u.s, part = arg_text(c, k, 0);
    return om_chat_strv(has_end(c, s, part, true) ? om_chat_sub(s, 0, s.n - part.n) : s);
}

/* Positions are in characters. */
static chat_value found_at(chat_run *c, const chat_call *k, size_t at)
{
    if (at == SIZE_MAX)
        return om_chat_int(-1, false);
    return om_chat_int((int64_t)om_chat_length(c, om_chat_sub(k->self.u.s, 0, at)), !om_chat_all_trusted(k->self.u.s));
}

static chat_value s_find(chat_run *c, chat_call *k)
{
    return found_at(c, k, om_chat_find(c, k->self.u.s, arg_text(c, k, 0), 0));
}

static chat_value s_rfind(chat_run *c, chat_call *k)
{
    return found_at(c, k, om_chat_rfind(c, k->self.u.s, arg_text(c, k, 0), SIZE_MAX));
}

static chat_value s_count(chat_run *c, chat_call *k)
{
    chat_str s = k->self.u.s, what = arg_text(c, k, 0);
    int64_t n = 0;
    if (what.n == 0)
        return om_chat_int((int64_t)om_chat_length(c, s) + 1, !om_chat_all_trusted(s));
    for (size_t at = 0; (at = om_chat_find(c, s, what, at)) != SIZE_MAX; at += what.n)
        n++;
    return om_chat_int(n, !om_chat_all_trusted(s));
}

static chat_value s_isdigit(chat_run *c, chat_call *k)
{
    chat_str s = k->self.u.s;
    om_chat_work(c, s.n);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return om_chat_bool(false);
    return om_chat_bool(s.n > 0);
}

static void push(chat_run *c, chat_list *l, size_t *cap, chat_str s)
{
    if (l->n == *cap) {
        size_t grown = *cap ? 2 * *cap : 4;
        chat_value *v = om_chat_alloc(c, grown, sizeof *v);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        *cap = grown;
    }
    l->v[l->n++] = om_chat_strv(s);
}

/* Without a separator: runs of white space separate, and nothing is empty. */
static void split_space(chat_run *c, chat_str s, int64_t most, chat_list *l)
{
    size_t cap = 0, i, end;
    uint32_t cp;
    om_chat_work(c, s.n);
    for (s = om_chat_strip(c, s, NULL, true, false); s.n > 0; s = om_chat_strip(c, s, NULL, true, false)) {
        if (most-- == 0) {
            push(c, l, &cap, om_chat_strip(c, s, NULL, false, true));
            return;
        }
        for (i = 0; i < s.n; i += end) {
            end = om_chat_next(s, i, &cp);
            if (om_chat_is_space(cp))
                break;
        }
        push(c, l, &cap, om_chat_sub(s, 0, i));
        s = om_chat_sub(s, i, s.n);
    }
}

static chat_value s_split(chat_run *c, chat_call *k)
{
    chat_str s = k->self.u.s;
    chat_list *l = om_chat_list_new(c, 0, false);
    int64_t most = -1;
    size_t cap = 0, from = 0;
    om_chat_need_int(c, k, 1, &most);
    if (!given(k, 0)) {
        split_space(c, s, most, l);
        return om_chat_listv(l);
    }
    chat_str by = arg_text(c, k, 0);
    if (by.n == 0)
        om_chat_fail(c, k->at, "'split': the separator is empty");
    for (; most != 0; most--) {
        size_t at = om_chat_find(c, s, by, from);
        if (at == SIZE_MAX)
            break;
        push(c, l, &cap, om_chat_sub(s, from, at));
        from = at + by.n;
    }
    push(c, l, &cap, om_chat_sub(s, from, s.n));
    return om_chat_listv(l);
}

static chat_value s_rsplit(chat_run *c, chat_call *k)
{
    chat_str s = k->self.u.s, by = om_chat_bytes("", 0);
    chat_list *l = om_chat_list_new(c, 0, false);
    int64_t most = -1;
    size_t cap = 0;
    om_chat_need_int(c, k, 1, &most);
    if (given(k, 0))
        by = arg_text(c, k, 0);
    if (by.n == 0)
        om_chat_fail(c, k->at, "'rsplit': expected a separator that is not empty");
    for (; most != 0; most--) {
        size_t at = om_chat_rfind(c, s, by, s.n);
        if (at == SIZE_MAX)
            break;
        push(c, l, &cap, om_chat_sub(s, at + by.n, s.n));
        s = om_chat_sub(s, 0, at);
    }
    push(c, l, &cap, s);
    for (size_t i = 0; i < l->n / 2; i++) {
        chat_value v = l->v[i];
        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
    return om_chat_listv(l);
}

static chat_value s_splitlines(chat_run *c, chat_call *k)
{
    chat_str s = k->self.u.s;
    chat_list *l = om_chat_list_new(c, 0, false);
    bool keep = om_chat_truth(&k->arg[0]);
    size_t cap = 0, from = 0;
    uint32_t cp;
    om_chat_work(c, s.n);
    for (size_t i = 0, len; i < s.n; i += len) {
        len = om_chat_next(s, i, &cp);
        if ((cp < 10 || cp > 13) && (cp < 28 || cp > 30) && cp != 0x85 && cp != 0x2028 && cp != 0x2029)
            continue;
        if (cp == '\r' && i + 1 < s.n && s.p[i + 1] == '\n')
            len = 2;
        push(c, l, &cap, om_chat_sub(s, from, keep ? i + len : i));
        from = i + len;
    }
    if (from < s.n)
        push(c, l, &cap, om_chat_sub(s, from, s.n));
    return om_chat_listv(l);
}

static chat_value partition(chat_run *c, const chat_call *k, bool last)
{
    chat_str s = k->self.u.s, by = arg_text(c, k, 0), empty = om_chat_bytes("", 0);
    chat_list *l = om_chat_list_new(c, 3, true);
    if (by.n == 0)
        om_chat_fail(c, k->at, "'%s': the separator is empty", k->def->name);
    size_t at = last ? om_chat_rfind(c, s, by, s.n) : om_chat_find(c, s, by, 0);
    bool found = at != SIZE_MAX;
    l->v[0] = om_chat_strv(found ? om_chat_sub(s, 0, at) : last ? empty : s);
    l->v[1] = om_chat_strv(found ? by : empty);
    l->v[2] = om_chat_strv(found ? om_chat_sub(s, at + by.n, s.n) : last ? s : empty);
    return om_chat_listv(l);
}

static chat_value s_partition(chat_run *c, chat_call *k)
{
    return partition(c, k, false);
}

static chat_value s_rpartition(chat_run *c, chat_call *k)
{
    return partition(c, k, true);
}

static chat_value s_join(chat_run *c, chat_call *k)
{
    const chat_list *l = om_chat_iterate(c, &k->arg[0], k->at);
    chat_sb *b = om_chat_sb_new(c);
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            om_chat_sb_add(c, b, k->self.u.s);
        om_chat_sb_add(c, b, om_chat_need_str(c, &l->v[i], k->at, "join"));
    }
    return om_chat_strv(om_chat_sb_finish(c, b));
}

/* The argument a field names: {} the next one, {0} by number, {name} by name. */
static chat_value field(chat_run *c, const chat_call *k, chat_str name, size_t *next)
{
    size_t i = *next;
    if (name.n == 0)
        ++*next;
    else if (name.n == 1 && name.p[0] >= '0' && name.p[0] <= '9')
        i = (size_t)(name.p[0] - '0');
    else
        i = SIZE_MAX;
    for (size_t j = 0; j < k->all.n; j++) {
        const chat_arg *a = &k->all.v[j];
        if (i == SIZE_MAX ? a->name.p && om_chat_str_eq(c, a->name, name) : j == i && !a->name.p)
            return a->value;
    }
    om_chat_fail(c, k->at, "'format': no argument for '{%.*s}'", (int)(name.n < 40 ? name.n : 40), name.p);
}

static chat_value s_format(chat_run *c, chat_call *k)
{
    chat_str s = k->self.u.s;
    chat_sb *b = om_chat_sb_new(c);
    size_t next = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '{' && s.p[i] != '}') {
            om_chat_sb_add(c, b, om_chat_sub(s, i, i + 1));
            continue;
        }
        if (i + 1 < s.n && s.p[i + 1] == s.p[i]) {
            om_chat_sb_add(c, b, om_chat_sub(s, i, i + 1));
            i++;
            continue;
        }
        const char *end = s.p[i] == '{' ? memchr(s.p + i, '}', s.n - i) : NULL;
        if (!end)
            om_chat_fail(c, k->at, "'format': expected a '{' and a '}' for each field");
        size_t to = (size_t)(end - s.p);
        chat_value v = field(c, k, om_chat_sub(s, i + 1, to), &next);
        om_chat_sb_add(c, b, om_chat_str_of(c, &v, k->at));
        i = to;
    }
    return om_chat_strv(om_chat_sb_finish(c, b));
}

/* ---- dicts ---- */

static chat_value d_get(chat_run *c, chat_call *k)
{
    const chat_value *v = om_chat_dict_get(c, k->self.u.dict, k->arg[0]);
    return v ? *v : k->n > 1 ? k->arg[1] : om_chat_none();
}

static chat_value d_items(chat_run *c, chat_call *k)
{
    return om_chat_filter(om_chat_lit("items"))->fn(c, k);
}

static chat_value d_keys(chat_run *c, chat_call *k)
{
    return om_chat_listv(om_chat_iterate(c, &k->self, k->at));
}

static chat_value d_values(chat_run *c, chat_call *k)
{
    const chat_dict *d = k->self.u.dict;
    chat_list *l = om_chat_list_new(c, d->n, false);
    for (size_t i = 0; i < d->n; i++)
        l->v[i] = d->v[i].value;
    return om_chat_listv(l);
}

/* ---- lists ---- */

static chat_value l_count(chat_run *c, chat_call *k)
{
    int64_t n = 0;
    for (size_t i = 0; i < k->self.u.list->n; i++)
        n += om_chat_equal(c, &k->self.u.list->v[i], &k->arg[0], 0);
    return om_chat_int(n, false);
}

static chat_value l_index(chat_run *c, chat_call *k)
{
    for (size_t i = 0; i < k->self.u.list->n; i++)
        if (om_chat_equal(c, &k->self.u.list->v[i], &k->arg[0], 0))
            return om_chat_int((int64_t)i, false);
    om_chat_fail(c, k->at, "'index': the value is not in the list");
}

/* Hugging Face runs templates in Jinja's immutable sandbox, where these fail as well. Values that never change are
 * also what keeps lists free of cycles here. */
static chat_value refuse(chat_run *c, chat_call *k)
{
    om_chat_fail(c, k->at, "'%s' would change %s, which templates may not do", k->def->name,
                 om_chat_kind_name(&k->self));
}

static chat_value loop_cycle(chat_run *c, chat_call *k)
{
    if (k->all.n == 0)
        om_chat_fail(c, k->at, "'cycle' needs arguments");
    return k->all.v[k->self.u.loop->i % k->all.n].value;
}

enum { STR = 1u << CV_STR, DICT = 1u << CV_DICT, LIST = 1u << CV_LIST, LOOP = 1u << CV_LOOP };

/* Sorted by name for om_chat_lookup; the one name that two kinds have is below. */
static const chat_def method[] = {
    {"append", refuse, NULL, LIST},
    {"capitalize", s_capitalize, "", STR},
    {"clear", refuse, NULL, LIST | DICT},
    {"count", s_count, "sub!", STR},
    {"cycle", loop_cycle, NULL, LOOP},
    {"endswith", s_endswith, "suffix!", STR},
    {"extend", refuse, NULL, LIST},
    {"find", s_find, "sub!", STR},
    {"format", s_format, NULL, STR},
    {"get", d_get, "key! default", DICT},
    {"index", l_index, "value!", LIST},
    {"insert", refuse, NULL, LIST},
    {"isdigit", s_isdigit, "", STR},
    {"items", d_items, "", DICT},
    {"join", s_join, "iterable!", STR},
    {"keys", d_keys, "", DICT},
    {"lower", s_lower, "", STR},
    {"lstrip", s_lstrip, "chars", STR},
    {"partition", s_partition, "sep!", STR},
    {"pop", refuse, NULL, LIST | DICT},
    {"remove", refuse, NULL, LIST},
    {"removeprefix", s_removeprefix, "prefix!", STR},
    {"removesuffix", s_removesuffix, "suffix!", STR},
    {"replace", s_replace, "old! new! count", STR},
    {"reverse", refuse, NULL, LIST},
    {"rfind", s_rfind, "sub!", STR},
    {"rpartition", s_rpartition, "sep!", STR},
    {"rsplit", s_rsplit, "sep maxsplit", STR},
    {"rstrip", s_rstrip, "chars", STR},
    {"setdefault", refuse, NULL, DICT},
    {"sort", refuse, NULL, LIST},
    {"split", s_split, "sep maxsplit", STR},
    {"splitlines", s_splitlines, "keepends", STR},
    {"startswith", s_startswith, "prefix!", STR},
    {"strip", s_strip, "chars", STR},
    {"title", s_title, "", STR},
    {"update", refuse, NULL, DICT},
    {"upper", s_upper, "", STR},
    {"values", d_values, "", DICT},
};
static const chat_def list_count = {"count", l_count, "value!", LIST};

const chat_def *om_chat_method(chat_kind kind, chat_str name)
{
    const chat_def *d = om_chat_lookup(method, sizeof method / sizeof *method, name);
    if (d && d->fn == s_count && kind == CV_LIST)
        return &list_count;
    return d && (d->on >> kind & 1) ? d : NULL;
}
