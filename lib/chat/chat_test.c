/* chat_test.c - the tests after "is", with the answers Jinja2 gives. */
#include "chat/chat_priv.h"

#include <string.h>

static chat_value kind_is(const chat_call *k, unsigned kinds)
{
    return om_chat_bool(kinds >> k->self.kind & 1);
}

#define KIND(k) (1u << (k))

static chat_value t_defined(chat_run *c, chat_call *k)
{
    (void)c;
    return om_chat_bool(k->self.kind != CV_UNDEF);
}

static chat_value t_undefined(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_UNDEF));
}

static chat_value t_none(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_NONE));
}

static chat_value t_boolean(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_BOOL));
}

static chat_value t_true(chat_run *c, chat_call *k)
{
    (void)c;
    return om_chat_bool(k->self.kind == CV_BOOL && k->self.u.b);
}

static chat_value t_false(chat_run *c, chat_call *k)
{
    (void)c;
    return om_chat_bool(k->self.kind == CV_BOOL && !k->self.u.b);
}

static chat_value t_integer(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_INT));
}

static chat_value t_float(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_FLOAT));
}

static chat_value t_number(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_INT) | KIND(CV_FLOAT) | KIND(CV_BOOL));
}

static chat_value t_string(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_STR));
}

static chat_value t_mapping(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_DICT));
}

/* An undefined value has a length and can be gone through, so Jinja counts it as both. */
static chat_value t_sequence(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_STR) | KIND(CV_LIST) | KIND(CV_DICT) | KIND(CV_UNDEF));
}

static chat_value t_callable(chat_run *c, chat_call *k)
{
    (void)c;
    return kind_is(k, KIND(CV_MACRO) | KIND(CV_FUNC) | KIND(CV_METHOD) | KIND(CV_UNDEF));
}

static chat_value t_in(chat_run *c, chat_call *k)
{
    return om_chat_bool(om_chat_contains(c, &k->arg[0], &k->self, k->at));
}

static chat_value t_eq(chat_run *c, chat_call *k)
{
    return om_chat_bool(om_chat_equal(c, &k->self, &k->arg[0], 0));
}

static chat_value t_ne(chat_run *c, chat_call *k)
{
    return om_chat_bool(!om_chat_equal(c, &k->self, &k->arg[0], 0));
}

/* Constants of the language and texts of the same bytes; Python's "is" has no other use here. */
static chat_value t_sameas(chat_run *c, chat_call *k)
{
    return om_chat_bool(k->self.kind == k->arg[0].kind && om_chat_equal(c, &k->self, &k->arg[0], 0));
}

static chat_value t_lt(chat_run *c, chat_call *k)
{
    return om_chat_bool(om_chat_order(c, &k->self, &k->arg[0], k->at) < 0);
}

static chat_value t_le(chat_run *c, chat_call *k)
{
    return om_chat_bool(om_chat_order(c, &k->self, &k->arg[0], k->at) <= 0);
}

static chat_value t_gt(chat_run *c, chat_call *k)
{
    return om_chat_bool(om_chat_order(c, &k->self, &k->arg[0], k->at) > 0);
}

static chat_value t_ge(chat_run *c, chat_call *k)
{
    return om_chat_bool(om_chat_order(c, &k->self, &k->arg[0], k->at) >= 0);
}

static int64_t need_int(chat_run *c, const chat_call *k, const chat_value *v)
{
    if (v->kind != CV_INT)
        om_chat_fail(c, k->at, "'%s': expected an integer, found %s", k->def->name, om_chat_kind_name(v));
    return v->u.i;
}

static chat_value t_even(chat_run *c, chat_call *k)
{
    return om_chat_bool(need_int(c, k, &k->self) % 2 == 0);
}

static chat_value t_odd(chat_run *c, chat_call *k)
{
    return om_chat_bool(need_int(c, k, &k->self) % 2 != 0);
}

static chat_value t_divisibleby(chat_run *c, chat_call *k)
{
    int64_t n = need_int(c, k, &k->self), by = need_int(c, k, &k->arg[0]);
    if (by == 0)
        om_chat_fail(c, k->at, "division by zero");
    return om_chat_bool(by == -1 || n % by == 0);
}

/* Python's islower and isupper: at least one letter, all of them so. ASCII letters. */
static chat_value all_case(chat_run *c, chat_call *k, char from, char against)
{
    chat_str s = om_chat_str_of(c, &k->self, k->at);
    bool any = false;
    om_chat_work(c, s.n);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] >= against && s.p[i] <= against + 25)
            return om_chat_bool(false);
        any |= s.p[i] >= from && s.p[i] <= from + 25;
    }
    return om_chat_bool(any);
}

static chat_value t_lower(chat_run *c, chat_call *k)
{
    return all_case(c, k, 'a', 'A');
}

static chat_value t_upper(chat_run *c, chat_call *k)
{
    return all_case(c, k, 'A', 'a');
}

static chat_value t_startingwith(chat_run *c, chat_call *k)
{
    chat_str s = om_chat_need_str(c, &k->self, k->at, k->def->name);
    chat_str head = om_chat_need_str(c, &k->arg[0], k->at, k->def->name);
    return om_chat_bool(head.n <= s.n && om_chat_str_eq(c, om_chat_sub(s, 0, head.n), head));
}

static chat_value t_endingwith(chat_run *c, chat_call *k)
{
    chat_str s = om_chat_need_str(c, &k->self, k->at, k->def->name);
    chat_str tail = om_chat_need_str(c, &k->arg[0], k->at, k->def->name);
    return om_chat_bool(tail.n <= s.n && om_chat_str_eq(c, om_chat_sub(s, s.n - tail.n, s.n), tail));
}

/* Sorted by name for om_chat_lookup. */
static const chat_def test[] = {
    {"!=", t_ne, "other!", 0},
    {"<", t_lt, "other!", 0},
    {"<=", t_le, "other!", 0},
    {"==", t_eq, "other!", 0},
    {">", t_gt, "other!", 0},
    {">=", t_ge, "other!", 0},
    {"boolean", t_boolean, "", 0},
    {"callable", t_callable, "", 0},
    {"defined", t_defined, "", 0},
    {"divisibleby", t_divisibleby, "num!", 0},
    {"endingwith", t_endingwith, "other!", 0},
    {"endswith", t_endingwith, "other!", 0},
    {"eq", t_eq, "other!", 0},
    {"equalto", t_eq, "other!", 0},
    {"even", t_even, "", 0},
    {"false", t_false, "", 0},
    {"float", t_float, "", 0},
    {"ge", t_ge, "other!", 0},
    {"greaterthan", t_gt, "other!", 0},
    {"gt", t_gt, "other!", 0},
    {"in", t_in, "seq!", 0},
    {"integer", t_integer, "", 0},
    {"iterable", t_sequence, "", 0},
    {"le", t_le, "other!", 0},
    {"lessthan", t_lt, "other!", 0},
    {"lower", t_lower, "", 0},
    {"lt", t_lt, "other!", 0},
    {"mapping", t_mapping, "", 0},
    {"ne", t_ne, "other!", 0},
    {"none", t_none, "", 0},
    {"number", t_number, "", 0},
    {"odd", t_odd, "", 0},
    {"sameas", t_sameas, "other!", 0},
    {"sequence", t_sequence, "", 0},
    {"startingwith", t_startingwith, "other!", 0},
    {"startswith", t_startingwith, "other!", 0},
    {"string", t_string, "", 0},
    {"true", t_true, "", 0},
    {"undefined", t_undefined, "", 0},
    {"upper", t_upper, "", 0},
};

const chat_def *om_chat_test(chat_str name)
{
    return om_chat_lookup(test, sizeof test / sizeof *test, name);
}
