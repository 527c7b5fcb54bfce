/* chat_eval.c - runs statements and evaluates expressions. Scopes are chained: a loop's turn, a macro call and a block
 * with a scope of its own each add one; an if does not. What is not found is undefined, which prints as nothing, is
 * false, and fails when something is asked of it. */
#include "chat/chat_priv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef enum flow { GO_ON, BREAK, CONTINUE } flow;

static chat_value eval(chat_run *c, const chat_node *n);
static flow exec(chat_run *c, const chat_node *n);

/* ---- scopes ---- */

static chat_scope *scope_new(chat_run *c, chat_scope *parent)
{
    chat_scope *s = om_chat_alloc(c, 1, sizeof *s);
    s->parent = parent;
    return s;
}

static chat_var *find_var(chat_run *c, chat_scope *s, chat_str name)
{
    for (size_t i = s->n; i-- > 0;) {
        om_chat_work(c, 8);
        if (s->v[i].name.n == name.n && memcmp(s->v[i].name.p, name.p, name.n) == 0)
            return &s->v[i];
    }
    return NULL;
}

void om_chat_bind(chat_run *c, chat_scope *s, chat_str name, chat_value v)
{
    chat_var *var = find_var(c, s, name);
    if (var) {
        var->value = v;
        return;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 4;
        chat_var *grown = om_chat_alloc(c, cap, sizeof *grown);
        if (s->n)
            memcpy(grown, s->v, s->n * sizeof *grown);
        s->v = grown;
        s->cap = cap;
    }
    s->v[s->n].name = name;
    s->v[s->n++].value = v;
}

static chat_value lookup(chat_run *c, chat_str name)
{
    for (chat_scope *s = c->scope; s; s = s->parent) {
        chat_var *var = find_var(c, s, name);
        om_chat_work(c, 8);
        if (var)
            return var->value;
    }
    const chat_def *def = om_chat_global(name);
    if (!def)
        return om_chat_undef(name);
    chat_bound *b = om_chat_alloc(c, 1, sizeof *b);
    chat_value v = {.kind = CV_FUNC, .u.bound = b};
    b->def = def;
    return v;
}

static void capture(chat_scope *s)
{
    for (; s && !s->captured; s = s->parent)
        s->captured = true;
}

/* ---- attributes and items ---- */

_Noreturn static void fail_undefined(chat_run *c, const chat_value *v, size_t at, const char *wanted)
{
    om_chat_fail(c, at, "'%.*s' is undefined, so %s", (int)(v->u.s.n < 60 ? v->u.s.n : 60), v->u.s.p, wanted);
}

static chat_value loop_attr(const chat_loop *l, chat_str name)
{
    int64_t n = (int64_t)l->list->n, i = (int64_t)l->i;
    if (om_chat_str_is(name, "index"))
        return om_chat_int(i + 1, false);
    if (om_chat_str_is(name, "index0"))
        return om_chat_int(i, false);
    if (om_chat_str_is(name, "revindex"))
        return om_chat_int(n - i, false);
    if (om_chat_str_is(name, "revindex0"))
        return om_chat_int(n - i - 1, false);
    if (om_chat_str_is(name, "length"))
        return om_chat_int(n, false);
    if (om_chat_str_is(name, "first"))
        return om_chat_bool(i == 0);
    if (om_chat_str_is(name, "last"))
        return om_chat_bool(i == n - 1);
    if (om_chat_str_is(name, "depth") || om_chat_str_is(name, "depth0")) /* counts recursive loops only */
        return om_chat_int(name.n == 5, false);
    if (om_chat_str_is(name, "previtem") && i > 0)
        return l->list->v[i - 1];
    if (om_chat_str_is(name, "nextitem") && i + 1 < n)
        return l->list->v[i + 1];
    return om_chat_undef(name);
}

/* v.name: a method first, then a key, as Jinja has it. */
chat_value om_chat_attr(chat_run *c, const chat_value *v, chat_str name, size_t at)
{
    if (v->kind == CV_UNDEF)
        fail_undefined(c, v, at, "it has no attributes");
    const chat_def *def = om_chat_method(v->kind, name);
    if (def) {
        chat_bound *b = om_chat_alloc(c, 1, sizeof *b);
        chat_value m = {.kind = CV_METHOD, .u.bound = b};
        b->def = def;
        b->self = *v;
        return m;
    }
    if (v->kind == CV_LOOP)
        return loop_attr(v->u.loop, name);
    if (v->kind != CV_DICT && v->kind != CV_SPACE)
        return om_chat_undef(name);
    const chat_value *found = om_chat_dict_get(c, v->u.dict, om_chat_strv(name));
    return found ? *found : om_chat_undef(name);
}

static chat_value char_at(chat_run *c, chat_str s, int64_t i)
{
    int64_t n = (int64_t)om_chat_length(c, s);
    if (i < 0)
        i += n;
    if (i < 0 || i >= n)
        return om_chat_undef(om_chat_lit("character"));
    return om_chat_strv(om_chat_slice_text(c, s, i, i + 1, 1));
}

/* v[key]: an item first, then an attribute. */
chat_value om_chat_item(chat_run *c, const chat_value *v, const chat_value *key, size_t at)
{
    if (v->kind == CV_UNDEF)
        fail_undefined(c, v, at, "it has no items");
    if (v->kind == CV_DICT) {
        const chat_value *found = om_chat_dict_get(c, v->u.dict, *key);
        if (found)
            return *found;
    }
    if (key->kind == CV_INT || key->kind == CV_BOOL) {
        int64_t i = key->kind == CV_INT ? key->u.i : key->u.b;
        if (v->kind == CV_STR)
            return char_at(c, v->u.s, i);
        if (v->kind == CV_LIST) {
            int64_t n = (int64_t)v->u.list->n;
            i += i < 0 ? n : 0;
            return i >= 0 && i < n ? v->u.list->v[i] : om_chat_undef(om_chat_lit("list item"));
        }
    }
    if (key->kind == CV_STR)
        return om_chat_attr(c, v, key->u.s, at);
    return om_chat_undef(om_chat_lit("item"));
}

/* ---- slices ---- */

/* One end of a slice over n elements: Python's slice.indices. */
static int64_t clip(int64_t i, int64_t n, bool backwards)
{
    if (i < 0)
        i += i < -n ? 0 : n;
    if (i < 0)
        return backwards ? -1 : 0;
    return i >= n ? (backwards ? n - 1 : n) : i;
}

static int64_t slice_part(chat_run *c, const chat_node *n, int64_t otherwise)
{
    if (!n)
        return otherwise;
    chat_value v = eval(c, n);
    if (v.kind == CV_NONE)
        return otherwise;
    if (v.kind != CV_INT && v.kind != CV_BOOL)
        om_chat_fail(c, n->at, "expected an integer in a slice, found %s", om_chat_kind_name(&v));
    return v.kind == CV_INT ? v.u.i : v.u.b;
}

static chat_value slice_list(chat_run *c, const chat_list *l, int64_t start, int64_t stop, int64_t step)
{
    chat_list *s = om_chat_alloc(c, 1, sizeof *s);
    s->tuple = l->tuple;
    if (step == 1) { /* the elements never change, so a part can share them */
        s->v = l->v + start;
        s->n = stop > start ? (size_t)(stop - start) : 0;
        return om_chat_listv(s);
    }
    size_t n = 0;
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
        n++;
    chat_list *copy = om_chat_list_new(c, n, l->tuple);
    n = 0;
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
        copy->v[n++] = l->v[i];
    return om_chat_listv(copy);
}

static chat_value eval_slice(chat_run *c, const chat_node *n)
{
    chat_value v = eval(c, n->a);
    if (v.kind == CV_UNDEF)
        fail_undefined(c, &v, n->at, "it has no items");
    if (v.kind != CV_LIST && v.kind != CV_STR)
        om_chat_fail(c, n->at, "expected a list or string before a slice, found %s", om_chat_kind_name(&v));
    int64_t len = v.kind == CV_LIST ? (int64_t)v.u.list->n : (int64_t)om_chat_length(c, v.u.s);
    int64_t step = slice_part(c, n->d, 1);
    if (step == 0)
        om_chat_fail(c, n->at, "the step of a slice must not be 0");
    int64_t start = slice_part(c, n->b, step < 0 ? INT64_MAX : 0);
    /* backwards to the first element: no index says that, as -1 is the last one */
    int64_t stop = n->c ? slice_part(c, n->c, step < 0 ? INT64_MIN : INT64_MAX) : step < 0 ? INT64_MIN : INT64_MAX;
    start = clip(start, len, step < 0);
    stop = clip(stop, len, step < 0);
    step = step > len ? len + 1 : step < -len ? -len - 1 : step; /* so that sums cannot overflow */
    return v.kind == CV_LIST ? slice_list(c, v.u.list, start, stop, step)
                             : om_chat_strv(om_chat_slice_text(c, v.u.s, start, stop, step));
}

/* ---- calls ---- */

static chat_args eval_args(chat_run *c, const chat_node *call, size_t extra)
{
    chat_args a = {om_chat_alloc(c, call->n_kids + extra, sizeof(chat_arg)), 0};
    for (const chat_node *k = call->kids; k; k = k->next) {
        bool named = k->kind == CN_KWARG;
        if (named)
            a.v[a.n].name = k->name;
        a.v[a.n].value = eval(c, named ? k->a : k);
        a.n++;
    }
    return a;
}

/* The position of a name in "old! new! count", -1 = not there; name.p NULL: the number of them. */
static int param_index(const char *params, chat_str name)
{
    int i = 0;
    for (const char *p = params; *p; i++) {
        size_t n = strcspn(p, "! ");
        if (name.p && n == name.n && memcmp(p, name.p, n) == 0)
            return i;
        p += n;
        p += strspn(p, "! ");
    }
    return name.p ? -1 : i;
}

static void check_required(chat_run *c, const chat_call *k, unsigned given)
{
    int i = 0;
    for (const char *p = k->def->params; *p; i++) {
        size_t n = strcspn(p, "! ");
        if (p[n] == '!' && !(given & 1u << i))
            om_chat_fail(c, k->at, "'%s' needs the argument '%.*s'", k->def->name, (int)n, p);
        p += n;
        p += strspn(p, "! ");
    }
}

chat_value om_chat_invoke(chat_run *c, chat_call *k)
{
    const char *params = k->def->params;
    unsigned given = 0;
    c->at = k->at;
    k->n = k->all.n;
    if (!params)
        return k->def->fn(c, k);
    chat_str none = {0};
    int most = param_index(params, none);
    for (size_t i = 0; i < k->all.n; i++) {
        const chat_arg *a = &k->all.v[i];
        int at = a->name.p ? param_index(params, a->name) : i < (size_t)most ? (int)i : most;
        if (at < 0)
            om_chat_fail(c, k->at, "'%s' has no argument '%.*s'", k->def->name, (int)(a->name.n < 40 ? a->name.n : 40),
                         a->name.p);
        if (at >= most || at >= CHAT_PARAM_MAX)
            om_chat_fail(c, k->at, "'%s' takes at most %d arguments, found %zu", k->def->name, most, k->all.n);
        if (given & 1u << at)
            om_chat_fail(c, k->at, "'%s' is given argument %d twice", k->def->name, at + 1);
        k->arg[at] = a->value;
        given |= 1u << at;
    }
    check_required(c, k, given);
    return k->def->fn(c, k);
}

static chat_arg *find_arg(const chat_args *args, chat_str name)
{
    for (size_t i = 0; i < args->n; i++)
        if (args->v[i].name.p && args->v[i].name.n == name.n && memcmp(args->v[i].name.p, name.p, name.n) == 0)
            return &args->v[i];
    return NULL;
}

/* Binds the arguments in the macro's own scope, defaults in order so that one may use another. */
static void bind_macro(chat_run *c, const chat_macro *m, const chat_args *args, size_t at)
{
    size_t positional = 0, i = 0, used = 0;
    while (positional < args->n && !args->v[positional].name.p)
        positional++;
    for (const chat_node *p = m->node->kids; p; p = p->next, i++) {
        const chat_arg *named = find_arg(args, p->name);
        chat_value v = om_chat_undef(p->name);
        om_chat_work(c, 16 * args->n);
        if (i < positional && named)
            om_chat_fail(c, at, "the macro is given '%.*s' twice", (int)(p->name.n < 40 ? p->name.n : 40), p->name.p);
        if (i < positional)
            v = args->v[i].value;
        else if (named)
            v = named->value;
        else if (p->a)
            v = eval(c, p->a);
        used += i < positional || named;
        om_chat_bind(c, c->scope, p->name, v);
    }
    const chat_arg *caller = find_arg(args, om_chat_lit("caller"));
    if (caller && used < args->n) {
        om_chat_bind(c, c->scope, om_chat_lit("caller"), caller->value);
        used++;
    }
    if (used < args->n)
        om_chat_fail(c, at, "the macro '%.*s' takes %" PRIu32 " arguments, found others",
                     (int)(m->node->name.n < 40 ? m->node->name.n : 40), m->node->name.p, m->node->n_kids);
}

/* Runs a body in a scope and returns what it wrote. */
static chat_str capture_output(chat_run *c, chat_scope *scope, const chat_node *body)
{
    chat_scope *outer = c->scope;
    chat_sb *sink = c->sink;
    c->scope = scope;
    c->sink = om_chat_sb_new(c);
    exec(c, body);
    chat_str s = om_chat_sb_finish(c, c->sink);
    c->sink = sink;
    c->scope = outer;
    return s;
}

static chat_value call_macro(chat_run *c, const chat_macro *m, const chat_args *args, size_t at)
{
    chat_scope *outer = c->scope, *own = scope_new(c, m->scope);
    om_chat_enter(c, at);
    c->scope = own;
    bind_macro(c, m, args, at);
    c->scope = outer;
    chat_str s = capture_output(c, own, m->node->b);
    om_chat_leave(c);
    return om_chat_strv(s);
}

static chat_value call_value(chat_run *c, const chat_value *f, const chat_args *args, const chat_node *n)
{
    if (f->kind == CV_MACRO)
        return call_macro(c, f->u.macro, args, n->at);
    if (f->kind == CV_FUNC || f->kind == CV_METHOD) {
        chat_call k = {.def = f->u.bound->def, .at = n->at, .self = f->u.bound->self, .all = *args};
        return om_chat_invoke(c, &k);
    }
    if (f->kind != CV_UNDEF)
        om_chat_fail(c, n->at, "expected a macro or function before '(', found %s", om_chat_kind_name(f));
    /* There is no clock here, so that the same conversation is the same text on every day: "is defined" says no, on
     * which templates fall back to a date of their own, and a call gives the empty text. */
    if (n->a && n->a->kind == CN_NAME && om_chat_str_is(f->u.s, "strftime_now"))
        return om_chat_strv(om_chat_bytes("", 0));
    fail_undefined(c, f, n->at, "it cannot be called");
}

static chat_value eval_call(chat_run *c, const chat_node *n)
{
    chat_value f = eval(c, n->a);
    chat_args args = eval_args(c, n, 0);
    return call_value(c, &f, &args, n);
}

static chat_value apply(chat_run *c, const chat_node *n, chat_value self, const char *what)
{
    if (!n->def)
        om_chat_fail(c, n->at, "there is no %s '%.*s'", what, (int)(n->name.n < 60 ? n->name.n : 60), n->name.p);
    chat_call k = {.def = n->def, .at = n->at, .self = self, .all = eval_args(c, n, 0)};
    return om_chat_invoke(c, &k);
}

/* A chain of filters over a block's text: the innermost has no operand. */
static chat_value filter_text(chat_run *c, const chat_node *n, chat_value text)
{
    if (!n)
        return text;
    om_chat_enter(c, n->at);
    chat_value v = apply(c, n, filter_text(c, n->a, text), "filter");
    om_chat_leave(c);
    return v;
}

/* ---- operators ---- */

_Noreturn static void fail_operands(chat_run *c, const chat_node *n, const chat_value *a, const chat_value *b)
{
    const char op[3] = {(char)(n->op > 255 ? n->op >> 8 : n->op), (char)(n->op > 255 ? n->op & 255 : 0), 0};
    if (a->kind == CV_UNDEF || b->kind == CV_UNDEF) {
        const chat_value *u = a->kind == CV_UNDEF ? a : b;
        om_chat_fail(c, n->at, "'%.*s' is undefined, so '%s' cannot take it", (int)(u->u.s.n < 60 ? u->u.s.n : 60),
                     u->u.s.p, op);
    }
    om_chat_fail(c, n->at, "'%s' cannot take %s and %s", op, om_chat_kind_name(a), om_chat_kind_name(b));
}

static int64_t floor_div(int64_t a, int64_t b) /* b != 0, not INT64_MIN / -1 */
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static bool int_power(int64_t base, int64_t exponent, int64_t *out)
{
    int64_t r = 1;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) && __builtin_mul_overflow(r, base, &r))
            return false;
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base))
            return false;
    }
    *out = r;
    return true;
}

static chat_value int_arithmetic(chat_run *c, const chat_node *n, int64_t a, int64_t b, bool tainted)
{
    int64_t r = 0;
    bool fits = true;
    bool divides = n->op == '/' || n->op == '%' || n->op == CHAT_OP2('/', '/');
    if (divides && b == 0)
        om_chat_fail(c, n->at, "division by zero");
    if (n->op == '/' || (n->op == CHAT_OP2('*', '*') && b < 0))
        return om_chat_float(n->op == '/' ? (double)a / (double)b : pow((double)a, (double)b), tainted);
    if (n->op == '+')
        fits = !__builtin_add_overflow(a, b, &r);
    else if (n->op == '-')
        fits = !__builtin_sub_overflow(a, b, &r);
    else if (n->op == '*')
        fits = !__builtin_mul_overflow(a, b, &r);
    else if (n->op == CHAT_OP2('*', '*'))
        fits = int_power(a, b, &r);
    else if (b == -1)
        fits = n->op == '%' || !__builtin_sub_overflow((int64_t)0, a, &r);
    else
        r = n->op == '%' ? a - floor_div(a, b) * b : floor_div(a, b);
    if (!fits)
        om_chat_fail(c, n->at, "the result does not fit 64 bits");
    return om_chat_int(r, tainted);
}

static chat_value float_arithmetic(chat_run *c, const chat_node *n, double a, double b, bool tainted)
{
    bool divides = n->op == '/' || n->op == '%' || n->op == CHAT_OP2('/', '/');
    if (divides && b == 0)
        om_chat_fail(c, n->at, "division by zero");
    switch (n->op) {
    case '+':
        return om_chat_float(a + b, tainted);
    case '-':
        return om_chat_float(a - b, tainted);
    case '*':
        return om_chat_float(a * b, tainted);
    case '/':
        return om_chat_float(a / b, tainted);
    case '%':
        return om_chat_float(a - floor(a / b) * b, tainted);
    case CHAT_OP2('/', '/'):
        return om_chat_float(floor(a / b), tainted);
    default:
        return om_chat_float(pow(a, b), tainted);
    }
}

static chat_value concat_lists(chat_run *c, const chat_list *a, const chat_list *b)
{
    chat_list *l = om_chat_list_new(c, a->n + b->n, a->tuple);
    if (a->n)
        memcpy(l->v, a->v, a->n * sizeof *a->v);
    if (b->n)
        memcpy(l->v + a->n, b->v, b->n * sizeof *b->v);
    return om_chat_listv(l);
}

static chat_value repeat_text(chat_run *c, chat_str s, int64_t times)
{
    chat_sb *b = om_chat_sb_new(c);
    if (s.n > 0)
        for (; times > 0; times--)
            om_chat_sb_add(c, b, s);
    return om_chat_strv(om_chat_sb_finish(c, b));
}

static chat_value repeat_list(chat_run *c, const chat_list *l, int64_t times)
{
    size_t n;
    if (times < 0)
        times = 0;
    if (!om_mul(l->n, (size_t)times, &n) || n > CHAT_MEMORY_MAX)
        n = CHAT_MEMORY_MAX; /* fails in the allocation */
    chat_list *r = om_chat_list_new(c, n, l->tuple);
    for (size_t i = 0; i < n; i++)
        r->v[i] = l->v[i % l->n];
    return om_chat_listv(r);
}

static chat_value eval_binary(chat_run *c, const chat_node *n)
{
    chat_value a = eval(c, n->a), b = eval(c, n->b);
    bool tainted = a.tainted || b.tainted;
    if (om_chat_is_number(&a) && om_chat_is_number(&b)) {
        int64_t i = a.kind == CV_BOOL ? a.u.b : a.u.i, j = b.kind == CV_BOOL ? b.u.b : b.u.i; /* unused for a float */
        if (a.kind != CV_FLOAT && b.kind != CV_FLOAT)
            return int_arithmetic(c, n, i, j, tainted);
        return float_arithmetic(c, n, a.kind == CV_FLOAT ? a.u.f : (double)i, b.kind == CV_FLOAT ? b.u.f : (double)j,
                                tainted);
    }
    if (n->op == '+' && a.kind == CV_STR && b.kind == CV_STR)
        return om_chat_strv(om_chat_concat(c, a.u.s, b.u.s));
    if (n->op == '+' && a.kind == CV_LIST && b.kind == CV_LIST && a.u.list->tuple == b.u.list->tuple)
        return concat_lists(c, a.u.list, b.u.list);
    if (n->op == '*' && a.kind == CV_INT && (b.kind == CV_STR || b.kind == CV_LIST)) {
        chat_value swap = a;
        a = b;
        b = swap;
    }
    if (n->op == '*' && a.kind == CV_STR && b.kind == CV_INT)
        return repeat_text(c, a.u.s, b.u.i);
    if (n->op == '*' && a.kind == CV_LIST && b.kind == CV_INT)
        return repeat_list(c, a.u.list, b.u.i);
    fail_operands(c, n, &a, &b);
}

static bool compare(chat_run *c, const chat_node *n, const chat_value *a, const chat_value *b)
{
    switch (n->op) {
    case CHAT_OP2('=', '='):
        return om_chat_equal(c, a, b, 0);
    case CHAT_OP2('!', '='):
        return !om_chat_equal(c, a, b, 0);
    case 'i':
        return om_chat_contains(c, b, a, n->at);
    case 'n':
        return !om_chat_contains(c, b, a, n->at);
    default:
        break;
    }
    if ((a->kind == CV_FLOAT && isnan(a->u.f)) || (b->kind == CV_FLOAT && isnan(b->u.f)))
        return false;
    int d = om_chat_order(c, a, b, n->at);
    return n->op == '<' ? d < 0 : n->op == '>' ? d > 0 : n->op == CHAT_OP2('<', '=') ? d <= 0 : d >= 0;
}

/* a < b < c compares neighbours and stops at the first that is false. */
static chat_value eval_compare(chat_run *c, const chat_node *n)
{
    chat_value left = eval(c, n->a);
    for (const chat_node *k = n->kids; k; k = k->next) {
        chat_value right = eval(c, k->a);
        if (!compare(c, k, &left, &right))
            return om_chat_bool(false);
        left = right;
    }
    return om_chat_bool(true);
}

static chat_value eval_join(chat_run *c, const chat_node *n)
{
    chat_sb *b = om_chat_sb_new(c);
    for (const chat_node *k = n->kids; k; k = k->next) {
        chat_value v = eval(c, k);
        om_chat_sb_add(c, b, om_chat_str_of(c, &v, k->at));
    }
    return om_chat_strv(om_chat_sb_finish(c, b));
}

static chat_value eval_sign(chat_run *c, const chat_node *n)
{
    chat_value v = eval(c, n->a);
    bool minus = n->kind == CN_NEG;
    if (v.kind == CV_FLOAT)
        return om_chat_float(minus ? -v.u.f : v.u.f, v.tainted);
    if (v.kind != CV_INT && v.kind != CV_BOOL)
        om_chat_fail(c, n->at, "expected a number after '%c', found %s", minus ? '-' : '+', om_chat_kind_name(&v));
    int64_t i = v.kind == CV_INT ? v.u.i : v.u.b;
    if (minus && i == INT64_MIN)
        om_chat_fail(c, n->at, "the result does not fit 64 bits");
    return om_chat_int(minus ? -i : i, v.tainted);
}

static chat_value eval_list(chat_run *c, const chat_node *n)
{
    chat_list *l = om_chat_list_new(c, n->n_kids, n->kind == CN_TUPLE);
    size_t i = 0;
    for (const chat_node *k = n->kids; k; k = k->next)
        l->v[i++] = eval(c, k);
    return om_chat_listv(l);
}

static chat_value eval_dict(chat_run *c, const chat_node *n)
{
    chat_dict *d = om_chat_dict_new(c, n->n_kids / 2);
    for (const chat_node *k = n->kids; k; k = k->next->next) {
        chat_value key = eval(c, k), value = eval(c, k->next);
        om_chat_dict_set(c, d, key, value, k->at);
    }
    return om_chat_dictv(d);
}

static chat_value eval_item(chat_run *c, const chat_node *n)
{
    chat_value of = eval(c, n->a);
    if (n->kind == CN_ATTR)
        return om_chat_attr(c, &of, n->name, n->at);
    chat_value key = eval(c, n->b);
    return om_chat_item(c, &of, &key, n->at);
}

static chat_value eval_logic(chat_run *c, const chat_node *n)
{
    chat_value v;
    if (n->kind == CN_COND) {
        v = eval(c, n->b);
        if (om_chat_truth(&v))
            return eval(c, n->a);
        return n->c ? eval(c, n->c) : om_chat_undef(om_chat_lit("if without else"));
    }
    v = eval(c, n->a);
    if (n->kind == CN_NOT)
        return om_chat_bool(!om_chat_truth(&v));
    return om_chat_truth(&v) == (n->kind == CN_AND) ? eval(c, n->b) : v;
}

static chat_value eval_kind(chat_run *c, const chat_node *n)
{
    switch (n->kind) {
    case CN_CONST:
        return n->value;
    case CN_NAME:
        return lookup(c, n->name);
    case CN_LIST:
    case CN_TUPLE:
        return eval_list(c, n);
    case CN_DICT:
        return eval_dict(c, n);
    case CN_ATTR:
    case CN_INDEX:
        return eval_item(c, n);
    case CN_SLICE:
        return eval_slice(c, n);
    case CN_CALL:
        return eval_call(c, n);
    case CN_FILTER:
        return apply(c, n, eval(c, n->a), "filter");
    case CN_TEST:
        return apply(c, n, eval(c, n->a), "test");
    case CN_NEG:
    case CN_POS:
        return eval_sign(c, n);
    case CN_BIN:
        return eval_binary(c, n);
    case CN_JOIN:
        return eval_join(c, n);
    case CN_COMPARE:
        return eval_compare(c, n);
    default:
        return eval_logic(c, n);
    }
}

static chat_value eval(chat_run *c, const chat_node *n)
{
    om_chat_enter(c, n->at);
    chat_value v = eval_kind(c, n);
    om_chat_leave(c);
    return v;
}

/* ---- statements ---- */

static void assign(chat_run *c, const chat_node *target, chat_value v)
{
    if (target->kind == CN_NAME) {
        om_chat_bind(c, c->scope, target->name, v);
        return;
    }
    chat_value space = lookup(c, target->name);
    if (space.kind != CV_SPACE)
        om_chat_fail(c, target->at, "expected a namespace before '.', found %s", om_chat_kind_name(&space));
    om_chat_dict_set(c, space.u.dict, target->value, v, target->at);
}

/* Assigns to one target, or the elements of v to several. */
static void unpack(chat_run *c, const chat_node *n, chat_value v)
{
    if (!n->op) {
        assign(c, n->kids, v);
        return;
    }
    const chat_list *l = om_chat_iterate(c, &v, n->at);
    if (l->n != n->n_kids)
        om_chat_fail(c, n->at, "expected %" PRIu32 " values to unpack, found %zu", n->n_kids, l->n);
    size_t i = 0;
    for (const chat_node *k = n->kids; k; k = k->next)
        assign(c, k, l->v[i++]);
}

/* The elements for which the loop's if holds; its target is bound in a scope that is gone afterwards. */
static const chat_list *filter_loop(chat_run *c, const chat_node *n, const chat_list *all)
{
    chat_scope *outer = c->scope;
    chat_list *kept = om_chat_list_new(c, all->n, false);
    kept->n = 0;
    c->scope = scope_new(c, outer);
    for (size_t i = 0; i < all->n; i++) {
        c->scope->n = 0;
        unpack(c, n, all->v[i]);
        chat_value v = eval(c, n->d);
        if (om_chat_truth(&v))
            kept->v[kept->n++] = all->v[i];
    }
    c->scope = outer;
    return kept;
}

static flow exec_for(chat_run *c, const chat_node *n)
{
    chat_value over = eval(c, n->a);
    const chat_list *list = om_chat_iterate(c, &over, n->a->at);
    chat_scope *outer = c->scope;
    flow f = GO_ON;
    if (n->d)
        list = filter_loop(c, n, list);
    if (list->n == 0)
        return exec(c, n->c);
    chat_scope *own = NULL;
    chat_loop *loop = NULL;
    for (size_t i = 0; i < list->n && f != BREAK; i++) {
        if (!own || own->captured) { /* a macro of the last turn still sees that turn's variables */
            own = scope_new(c, outer);
            loop = om_chat_alloc(c, 1, sizeof *loop);
        }
        chat_value v = {.kind = CV_LOOP, .u.loop = loop};
        loop->list = list;
        loop->i = i;
        own->n = 0;
        c->scope = own;
        om_chat_bind(c, own, om_chat_lit("loop"), v);
        unpack(c, n, list->v[i]);
        f = exec(c, n->b);
    }
    c->scope = outer;
    return GO_ON;
}

static flow exec_if(chat_run *c, const chat_node *n)
{
    for (;;) {
        chat_value v = eval(c, n->a);
        if (om_chat_truth(&v))
            return exec(c, n->b);
        if (!n->op)
            return exec(c, n->c);
        n = n->c;
    }
}

static chat_value macro_value(chat_run *c, const chat_node *n)
{
    chat_macro *m = om_chat_alloc(c, 1, sizeof *m);
    chat_value v = {.kind = CV_MACRO, .u.macro = m};
    m->node = n;
    m->scope = c->scope;
    capture(c->scope);
    return v;
}

static void exec_call_block(chat_run *c, const chat_node *n)
{
    chat_value f = eval(c, n->a->a);
    chat_args args = eval_args(c, n->a, 1);
    args.v[args.n].name = om_chat_lit("caller");
    args.v[args.n++].value = macro_value(c, n->c);
    chat_value v = call_value(c, &f, &args, n->a);
    om_chat_sb_add(c, c->sink, om_chat_str_of(c, &v, n->at));
}

static flow exec_with(chat_run *c, const chat_node *n)
{
    chat_scope *outer = c->scope, *own = scope_new(c, outer);
    for (const chat_node *k = n->kids; k; k = k->next) /* values are those of outside */
        om_chat_bind(c, own, k->name, eval(c, k->a));
    c->scope = own;
    flow f = exec(c, n->b);
    c->scope = outer;
    return f;
}

static flow exec_one(chat_run *c, const chat_node *n)
{
    chat_value v;
    switch (n->kind) {
    case CN_OUTPUT:
        v = eval(c, n->a);
        om_chat_sb_add(c, c->sink, om_chat_str_of(c, &v, n->at));
        break;
    case CN_IF:
        return exec_if(c, n);
    case CN_FOR:
        return exec_for(c, n);
    case CN_SET:
        unpack(c, n, eval(c, n->a));
        break;
    case CN_SET_BLOCK:
        v = om_chat_strv(capture_output(c, scope_new(c, c->scope), n->b));
        assign(c, n->kids, filter_text(c, n->a, v));
        break;
    case CN_MACRO:
        om_chat_bind(c, c->scope, n->name, macro_value(c, n));
        break;
    case CN_CALL_BLOCK:
        exec_call_block(c, n);
        break;
    case CN_FILTER_BLOCK:
        v = om_chat_strv(capture_output(c, scope_new(c, c->scope), n->b));
        v = filter_text(c, n->a, v);
        om_chat_sb_add(c, c->sink, om_chat_str_of(c, &v, n->at));
        break;
    case CN_WITH:
        return exec_with(c, n);
    case CN_BREAK:
        return BREAK;
    default:
        return CONTINUE;
    }
    return GO_ON;
}

static flow exec(chat_run *c, const chat_node *n)
{
    flow f = GO_ON;
    for (; n && f == GO_ON; n = n->next) {
        om_chat_enter(c, n->at);
        f = exec_one(c, n);
        om_chat_leave(c);
    }
    return f;
}

void om_chat_exec(chat_run *c, const chat_node *body)
{
    exec(c, body);
}
