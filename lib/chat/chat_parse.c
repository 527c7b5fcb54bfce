/* chat_parse.c - tokens -> nodes. The grammar and its precedences are Jinja2's:
 *   or < and < not < comparison, in < + - < ~ < * / // % < ** < unary - + < filters, tests < . [] ()
 * Nesting is bounded here; chains of equal operators become deep on the left and are bounded when evaluated. */
#include "chat/chat_priv.h"

#include <string.h>

typedef struct parser {
    chat_run *c;
    chat_lex lex;
    chat_tok cur, ahead;
    int depth, loops; /* loops around this place, for break and continue */
} parser;

static chat_node *expression(parser *p);
static chat_node *or_expression(parser *p);
static chat_node *unary(parser *p, bool with_filter);
static chat_node *body_until(parser *p, const char *const *ends, const char *opened, size_t at);

/* ---- tokens ---- */

static void advance(parser *p)
{
    p->cur = p->ahead;
    if (p->ahead.kind != CT_EOF)
        p->ahead = om_chat_lex_next(&p->lex);
}

static chat_str text_of(const parser *p, chat_tok t)
{
    return om_chat_bytes(p->c->src + t.at, t.n);
}

_Noreturn static void fail_expected(parser *p, const char *what)
{
    static const char *const name[] = {[CT_EOF] = "the end of the template",
                                       [CT_DATA] = "text",
                                       [CT_VAR_BEGIN] = "'{{'",
                                       [CT_VAR_END] = "'}}'",
                                       [CT_BLOCK_BEGIN] = "'{%'",
                                       [CT_BLOCK_END] = "'%}'"};
    chat_tok t = p->cur;
    if (t.kind <= CT_BLOCK_END)
        om_chat_fail(p->c, t.at, "expected %s, found %s", what, name[t.kind]);
    om_chat_fail(p->c, t.at, "expected %s, found '%.*s'", what, (int)(t.n < 40 ? t.n : 40), p->c->src + t.at);
}

static void enter(parser *p)
{
    p->c->at = (uint32_t)p->cur.at;
    if (++p->depth > CHAT_DEPTH_PARSE)
        om_chat_fail(p->c, p->cur.at, "nested more than %d levels deep", CHAT_DEPTH_PARSE);
}

static bool is_op(const parser *p, unsigned op)
{
    return p->cur.kind == CT_OP && p->cur.op == op;
}

static bool skip_op(parser *p, unsigned op)
{
    if (!is_op(p, op))
        return false;
    advance(p);
    return true;
}

static void expect_op(parser *p, char op)
{
    const char what[] = {'\'', op, '\'', 0};
    if (!skip_op(p, (unsigned char)op))
        fail_expected(p, what);
}

static bool is_word(const parser *p, const char *word)
{
    return p->cur.kind == CT_NAME && om_chat_str_is(text_of(p, p->cur), word);
}

static bool skip_word(parser *p, const char *word)
{
    if (!is_word(p, word))
        return false;
    advance(p);
    return true;
}

static chat_str expect_name(parser *p, const char *what)
{
    if (p->cur.kind != CT_NAME)
        fail_expected(p, what);
    chat_str s = text_of(p, p->cur);
    advance(p);
    return s;
}

/* ---- nodes ---- */

static chat_node *node(parser *p, chat_node_kind kind, size_t at)
{
    chat_node *n = om_chat_alloc(p->c, 1, sizeof *n);
    n->kind = kind;
    n->at = (uint32_t)at;
    return n;
}

static chat_node *binary(parser *p, chat_node_kind kind, size_t at, chat_node *a, chat_node *b)
{
    chat_node *n = node(p, kind, at);
    n->a = a;
    n->b = b;
    return n;
}

typedef struct kid_list {
    chat_node *owner, **tail;
} kid_list;

static kid_list kids_of(chat_node *owner)
{
    kid_list k = {owner, &owner->kids};
    return k;
}

static void add_kid(kid_list *k, chat_node *kid)
{
    *k->tail = kid;
    k->tail = &kid->next;
    k->owner->n_kids++;
}

/* ---- literals ---- */

static int hex_value(const char *s, size_t digits, uint32_t *cp)
{
    *cp = 0;
    for (size_t i = 0; i < digits; i++) {
        const char *hex = "0123456789abcdef", lower = s[i] >= 'A' && s[i] <= 'F' ? (char)(s[i] + 32) : s[i];
        const char *at = lower ? strchr(hex, lower) : NULL;
        if (!at)
            return 0;
        *cp = *cp * 16 + (uint32_t)(at - hex);
    }
    return 1;
}

/* One escape after the backslash at s[0..n), n >= 1; Python's rules. Returns the bytes read. */
static size_t unescape_one(parser *p, const char *s, size_t n, chat_sb *b, size_t at)
{
    static const char code[] = "ntrabfv\\'\"", plain[] = "\n\t\r\a\b\f\v\\'\"";
    const char *simple = s[0] ? strchr(code, s[0]) : NULL;
    uint32_t cp = 0;
    size_t used = 1;
    char utf8[4];
    if (s[0] == '\n')
        return 1;
    if (simple) {
        om_chat_sb_byte(p->c, b, plain[simple - code], true);
        return 1;
    }
    if (s[0] == 'x' || s[0] == 'u' || s[0] == 'U') {
        size_t digits = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : 8;
        if (n - 1 < digits || !hex_value(s + 1, digits, &cp))
            om_chat_fail(p->c, at, "expected %zu hexadecimal digits after \\%c", digits, s[0]);
        used = 1 + digits;
    } else if (s[0] >= '0' && s[0] <= '7') {
        for (used = 0; used < 3 && used < n && s[used] >= '0' && s[used] <= '7'; used++)
            cp = cp * 8 + (uint32_t)(s[used] - '0');
    } else {
        om_chat_sb_byte(p->c, b, '\\', true);
        om_chat_sb_byte(p->c, b, s[0], true);
        return 1;
    }
    size_t k = om_utf8_put(cp, utf8);
    if (k == 0)
        om_chat_fail(p->c, at, "the escape \\%.*s is not a character", (int)used, s);
    om_chat_sb_add(p->c, b, om_chat_bytes(utf8, k));
    return used;
}

static chat_str unescape(parser *p, chat_tok t)
{
    chat_str s = om_chat_sub(text_of(p, t), 1, t.n - 1);
    if (s.n == 0 || !memchr(s.p, '\\', s.n))
        return s;
    chat_sb *b = om_chat_sb_new(p->c);
    for (size_t i = 0; i < s.n;) {
        const char *hit = memchr(s.p + i, '\\', s.n - i);
        size_t to = hit ? (size_t)(hit - s.p) : s.n;
        om_chat_sb_add(p->c, b, om_chat_sub(s, i, to));
        i = to;
        if (hit) /* the lexer took the byte after a backslash into the string */
            i += 1 + unescape_one(p, s.p + to + 1, s.n - to - 1, b, t.at + 1 + to);
    }
    return om_chat_sb_finish(p->c, b);
}

static chat_value integer(parser *p, chat_tok t)
{
    int64_t v = 0;
    for (size_t i = 0; i < t.n; i++) {
        char d = p->c->src[t.at + i];
        if (d == '_')
            continue;
        if (__builtin_mul_overflow(v, (int64_t)10, &v) || __builtin_add_overflow(v, (int64_t)(d - '0'), &v))
            om_chat_fail(p->c, t.at, "the number %.*s... is too large", (int)(t.n < 24 ? t.n : 24), p->c->src + t.at);
    }
    return om_chat_int(v, false);
}

/* Digits times a power of ten: exact for up to 15 digits and |exponent| <= 22, which is all that templates have, and
 * free of the locale, which strtod is not. */
static chat_value floating(parser *p, chat_tok t)
{
    double mantissa = 0, scale = 1;
    int64_t exponent = 0, written = 0;
    bool point = false, negative = false;
    size_t i = 0;
    const char *s = p->c->src + t.at;
    for (; i < t.n && s[i] != 'e' && s[i] != 'E'; i++) {
        if (s[i] >= '0' && s[i] <= '9') {
            mantissa = mantissa * 10 + (s[i] - '0');
            exponent -= point;
        }
        point |= s[i] == '.';
    }
    for (i++; i < t.n; i++) {
        negative |= s[i] == '-';
        if (s[i] >= '0' && s[i] <= '9' && written < 10000)
            written = written * 10 + (s[i] - '0');
    }
    exponent += negative ? -written : written;
    for (int64_t k = exponent < 0 ? -exponent : exponent; k > 0 && k < 400; k--)
        scale *= 10;
    if (exponent <= -400 || exponent >= 400)
        om_chat_fail(p->c, t.at, "the number %.*s is out of range", (int)(t.n < 24 ? t.n : 24), s);
    return om_chat_float(exponent < 0 ? mantissa / scale : mantissa * scale, false);
}

static chat_node *constant(parser *p, chat_value v, size_t at)
{
    chat_node *n = node(p, CN_CONST, at);
    n->value = v;
    return n;
}

static chat_node *string_literal(parser *p)
{
    size_t at = p->cur.at;
    chat_str s = unescape(p, p->cur);
    advance(p);
    for (; p->cur.kind == CT_STRING; advance(p))
        s = om_chat_concat(p->c, s, unescape(p, p->cur));
    return constant(p, om_chat_strv(s), at);
}

static chat_node *name_or_constant(parser *p)
{
    size_t at = p->cur.at;
    chat_str s = expect_name(p, "a name");
    if (om_chat_str_is(s, "true") || om_chat_str_is(s, "True"))
        return constant(p, om_chat_bool(true), at);
    if (om_chat_str_is(s, "false") || om_chat_str_is(s, "False"))
        return constant(p, om_chat_bool(false), at);
    if (om_chat_str_is(s, "none") || om_chat_str_is(s, "None"))
        return constant(p, om_chat_none(), at);
    chat_node *n = node(p, CN_NAME, at);
    n->name = s;
    return n;
}

/* ---- expressions ---- */

static bool tuple_ends(const parser *p)
{
    return p->cur.kind == CT_VAR_END || p->cur.kind == CT_BLOCK_END || is_op(p, ')') || is_word(p, "in");
}

/* One expression, or a tuple of several with commas between; () is a tuple only inside parentheses. */
static chat_node *tuple(parser *p, bool conditional, bool parentheses)
{
    size_t at = p->cur.at;
    chat_node *t = NULL, *first = NULL;
    kid_list kids = {0};
    if (!tuple_ends(p))
        first = conditional ? expression(p) : or_expression(p);
    else if (!parentheses)
        fail_expected(p, "an expression");
    if (first && !is_op(p, ','))
        return first;
    t = node(p, CN_TUPLE, at);
    kids = kids_of(t);
    if (first)
        add_kid(&kids, first);
    while (skip_op(p, ',') && !tuple_ends(p))
        add_kid(&kids, conditional ? expression(p) : or_expression(p));
    return t;
}

static chat_node *list_literal(parser *p)
{
    chat_node *l = node(p, CN_LIST, p->cur.at);
    kid_list kids = kids_of(l);
    expect_op(p, '[');
    while (!is_op(p, ']')) {
        add_kid(&kids, expression(p));
        if (!skip_op(p, ',') && !is_op(p, ']'))
            fail_expected(p, "',' or ']'");
    }
    expect_op(p, ']');
    return l;
}

static chat_node *dict_literal(parser *p)
{
    chat_node *d = node(p, CN_DICT, p->cur.at);
    kid_list kids = kids_of(d);
    expect_op(p, '{');
    while (!is_op(p, '}')) {
        add_kid(&kids, expression(p));
        expect_op(p, ':');
        add_kid(&kids, expression(p));
        if (!skip_op(p, ',') && !is_op(p, '}'))
            fail_expected(p, "',' or '}'");
    }
    expect_op(p, '}');
    return d;
}

static chat_node *primary(parser *p)
{
    chat_node *n;
    chat_tok t = p->cur;
    enter(p);
    if (t.kind == CT_NAME) {
        n = name_or_constant(p);
    } else if (t.kind == CT_STRING) {
        n = string_literal(p);
    } else if (t.kind == CT_INT || t.kind == CT_FLOAT) {
        advance(p);
        n = constant(p, t.kind == CT_INT ? integer(p, t) : floating(p, t), t.at);
    } else if (skip_op(p, '(')) {
        n = tuple(p, true, true);
        expect_op(p, ')');
    } else if (is_op(p, '[')) {
        n = list_literal(p);
    } else if (is_op(p, '{')) {
        n = dict_literal(p);
    } else {
        fail_expected(p, "an expression");
    }
    p->depth--;
    return n;
}

static void call_args(parser *p, chat_node *owner)
{
    kid_list kids = kids_of(owner);
    bool named = false;
    expect_op(p, '(');
    while (!is_op(p, ')')) {
        size_t at = p->cur.at;
        if (p->cur.kind == CT_NAME && p->ahead.kind == CT_OP && p->ahead.op == '=') {
            chat_node *kw = node(p, CN_KWARG, at);
            kw->name = expect_name(p, "a name");
            advance(p);
            kw->a = expression(p);
            add_kid(&kids, kw);
            named = true;
        } else if (named) {
            fail_expected(p, "an argument with a name, as the ones before it");
        } else {
            add_kid(&kids, expression(p));
        }
        if (!skip_op(p, ',') && !is_op(p, ')'))
            fail_expected(p, "',' or ')'");
    }
    expect_op(p, ')');
}

static chat_node *subscript(parser *p, chat_node *of)
{
    size_t at = p->cur.at;
    chat_node *part[3] = {NULL, NULL, NULL};
    int n = 0;
    expect_op(p, '[');
    for (;;) {
        if (!is_op(p, ':') && !is_op(p, ']'))
            part[n] = expression(p);
        if (n == 2 || !skip_op(p, ':'))
            break;
        n++;
    }
    if (n == 0 && !part[0])
        fail_expected(p, "an expression");
    expect_op(p, ']');
    chat_node *x = binary(p, n ? CN_SLICE : CN_INDEX, at, of, part[0]);
    x->c = part[1];
    x->d = part[2];
    return x;
}

static chat_node *postfix(parser *p, chat_node *n)
{
    for (;;) {
        chat_tok dot = p->cur;
        if (skip_op(p, '.')) {
            chat_tok t = p->cur;
            if (t.kind == CT_INT) {
                advance(p);
                n = binary(p, CN_INDEX, dot.at, n, constant(p, integer(p, t), t.at));
                continue;
            }
            n = binary(p, CN_ATTR, dot.at, n, NULL);
            n->name = expect_name(p, "a name after '.'");
            n->at = (uint32_t)t.at;
        } else if (is_op(p, '[')) {
            n = subscript(p, n);
        } else if (is_op(p, '(')) {
            n = binary(p, CN_CALL, dot.at, n, NULL);
            call_args(p, n);
        } else {
            return n;
        }
    }
}

static chat_node *filter(parser *p, chat_node *of)
{
    chat_node *n = binary(p, CN_FILTER, p->cur.at, of, NULL);
    n->name = expect_name(p, "the name of a filter");
    n->def = om_chat_filter(n->name); /* unknown: an error when it is used, as in Jinja */
    if (is_op(p, '('))
        call_args(p, n);
    return n;
}

static bool starts_operand(const parser *p)
{
    if (p->cur.kind == CT_NAME)
        return !is_word(p, "else") && !is_word(p, "or") && !is_word(p, "and") && !is_word(p, "if") &&
               !is_word(p, "is") && !is_word(p, "in") && !is_word(p, "not");
    return p->cur.kind == CT_STRING || p->cur.kind == CT_INT || p->cur.kind == CT_FLOAT || is_op(p, '[') ||
           is_op(p, '{');
}

static chat_node *test(parser *p, chat_node *of)
{
    bool negated = skip_word(p, "not");
    chat_node *n = binary(p, CN_TEST, p->cur.at, of, NULL);
    n->name = expect_name(p, "the name of a test after 'is'");
    n->def = om_chat_test(n->name);
    if (is_op(p, '(')) {
        call_args(p, n);
    } else if (starts_operand(p)) {
        kid_list kids = kids_of(n);
        add_kid(&kids, postfix(p, primary(p)));
    }
    return negated ? binary(p, CN_NOT, n->at, n, NULL) : n;
}

static chat_node *filters(parser *p, chat_node *n)
{
    for (;;) {
        if (skip_op(p, '|')) {
            n = filter(p, n);
        } else if (skip_word(p, "is")) {
            n = test(p, n);
        } else if (is_op(p, '(')) {
            n = binary(p, CN_CALL, p->cur.at, n, NULL);
            call_args(p, n);
        } else {
            return n;
        }
    }
}

static chat_node *unary(parser *p, bool with_filter)
{
    chat_node *n;
    size_t at = p->cur.at;
    enter(p);
    if (skip_op(p, '-'))
        n = binary(p, CN_NEG, at, unary(p, false), NULL);
    else if (skip_op(p, '+'))
        n = binary(p, CN_POS, at, unary(p, false), NULL);
    else
        n = primary(p);
    n = postfix(p, n);
    if (with_filter)
        n = filters(p, n);
    p->depth--;
    return n;
}

/* level 0: + -   1: ~   2: * / // %   3: ** */
static bool binary_op(const parser *p, int level)
{
    if (p->cur.kind != CT_OP)
        return false;
    switch (p->cur.op) {
    case '+':
    case '-':
        return level == 0;
    case '~':
        return level == 1;
    case '*':
    case '/':
    case '%':
    case CHAT_OP2('/', '/'):
        return level == 2;
    case CHAT_OP2('*', '*'):
        return level == 3;
    default:
        return false;
    }
}

static chat_node *arithmetic(parser *p, int level)
{
    if (level == 4)
        return unary(p, true);
    chat_node *left = arithmetic(p, level + 1);
    if (level == 1 && binary_op(p, 1)) {
        chat_node *join = node(p, CN_JOIN, p->cur.at);
        kid_list kids = kids_of(join);
        add_kid(&kids, left);
        while (skip_op(p, '~'))
            add_kid(&kids, arithmetic(p, 2));
        return join;
    }
    while (binary_op(p, level)) {
        chat_tok t = p->cur;
        advance(p);
        left = binary(p, CN_BIN, t.at, left, arithmetic(p, level + 1));
        left->op = t.op;
    }
    return left;
}

/* The operator of a comparison, 0 = none: '<' '>' CHAT_OP2('=','=') ... 'i' = in, 'n' = not in. */
static unsigned compare_op(parser *p)
{
    chat_tok t = p->cur;
    if (t.kind == CT_OP && (t.op == '<' || t.op == '>' || t.op == CHAT_OP2('=', '=') || t.op == CHAT_OP2('!', '=') ||
                            t.op == CHAT_OP2('<', '=') || t.op == CHAT_OP2('>', '='))) {
        advance(p);
        return t.op;
    }
    if (skip_word(p, "in"))
        return 'i';
    if (is_word(p, "not") && p->ahead.kind == CT_NAME && om_chat_str_is(text_of(p, p->ahead), "in")) {
        advance(p);
        advance(p);
        return 'n';
    }
    return 0;
}

static chat_node *comparison(parser *p)
{
    chat_node *left = arithmetic(p, 0), *cmp = NULL;
    kid_list kids = {0};
    for (;;) {
        size_t at = p->cur.at;
        unsigned op = compare_op(p);
        if (!op)
            return cmp ? cmp : left;
        if (!cmp) {
            cmp = binary(p, CN_COMPARE, at, left, NULL);
            kids = kids_of(cmp);
        }
        chat_node *right = binary(p, CN_OPERAND, at, arithmetic(p, 0), NULL);
        right->op = op;
        add_kid(&kids, right);
    }
}

static chat_node *not_expression(parser *p)
{
    size_t at = p->cur.at;
    if (!skip_word(p, "not"))
        return comparison(p);
    enter(p);
    chat_node *n = binary(p, CN_NOT, at, not_expression(p), NULL);
    p->depth--;
    return n;
}

static chat_node *and_expression(parser *p)
{
    chat_node *left = not_expression(p);
    for (size_t at = p->cur.at; skip_word(p, "and"); at = p->cur.at)
        left = binary(p, CN_AND, at, left, not_expression(p));
    return left;
}

static chat_node *or_expression(parser *p)
{
    chat_node *left = and_expression(p);
    for (size_t at = p->cur.at; skip_word(p, "or"); at = p->cur.at)
        left = binary(p, CN_OR, at, left, and_expression(p));
    return left;
}

static chat_node *expression(parser *p)
{
    enter(p);
    chat_node *n = or_expression(p);
    for (size_t at = p->cur.at; skip_word(p, "if"); at = p->cur.at) {
        n = binary(p, CN_COND, at, n, or_expression(p));
        if (skip_word(p, "else"))
            n->c = expression(p);
    }
    p->depth--;
    return n;
}

/* ---- statements; each is entered after its name was read ---- */

static void end_tag(parser *p)
{
    if (p->cur.kind != CT_BLOCK_END)
        fail_expected(p, "'%}'");
    advance(p);
}

/* The body, and past the end tag "{% end %}". */
static chat_node *body(parser *p, const char *end, const char *opened, size_t at)
{
    const char *const ends[] = {end, NULL};
    end_tag(p);
    chat_node *b = body_until(p, ends, opened, at);
    advance(p);
    return b;
}

static chat_node *target(parser *p, bool attributes)
{
    size_t at = p->cur.at;
    chat_node *n = node(p, CN_NAME, at);
    n->name = expect_name(p, "the name of a variable");
    if (om_chat_str_is(n->name, "true") || om_chat_str_is(n->name, "false") || om_chat_str_is(n->name, "none") ||
        om_chat_str_is(n->name, "True") || om_chat_str_is(n->name, "False") || om_chat_str_is(n->name, "None"))
        om_chat_fail(p->c, at, "cannot assign to the constant '%.*s'", (int)n->name.n, n->name.p);
    if (attributes && skip_op(p, '.')) {
        n->kind = CN_ATTR_TARGET;
        n->value = om_chat_strv(expect_name(p, "a name after '.'"));
    }
    return n;
}

/* "a" or "a, b" or "(a, b)": sets kids of owner; op = 1 when it unpacks. */
static void targets(parser *p, chat_node *owner, bool attributes)
{
    kid_list kids = kids_of(owner);
    bool parentheses = skip_op(p, '(');
    do {
        if (is_word(p, "in") || is_op(p, '=') || is_op(p, ')'))
            break;
        add_kid(&kids, target(p, attributes));
        owner->op |= is_op(p, ',');
    } while (skip_op(p, ','));
    if (parentheses)
        expect_op(p, ')');
    if (!owner->kids)
        fail_expected(p, "the name of a variable");
}

/* "{% elif %}" is a CN_IF in c of the one before; built in a loop, as there may be thousands. */
static chat_node *statement_if(parser *p, size_t at)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
    chat_node *first = node(p, CN_IF, at), *n = first;
    for (;;) {
        n->a = tuple(p, false, false);
        if (is_word(p, "if"))
            fail_expected(p, "'%}'");
        end_tag(p);
        n->b = body_until(p, ends, "if", at);
        size_t here = p->cur.at;
        if (!skip_word(p, "elif"))
            break;
        n->c = node(p, CN_IF, here);
        n->op = 1; /* c is an elif */
        n = n->c;
    }
    if (skip_word(p, "else")) {
        end_tag(p);
        n->c = body_until(p, last, "if", at);
    }
    advance(p);
    return first;
}

static chat_node *statement_for(parser *p, size_t at)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    chat_node *n = node(p, CN_FOR, at);
    targets(p, n, false);
    if (!skip_word(p, "in"))
        fail_expected(p, "'in'");
    n->a = tuple(p, false, false);
    if (skip_word(p, "if"))
        n->d = expression(p);
    if (is_word(p, "recursive"))
        om_chat_fail(p->c, p->cur.at, "recursive loops are not supported");
    end_tag(p);
    p->loops++;
    n->b = body_until(p, ends, "for", at);
    p->loops--;
    if (skip_word(p, "else")) {
        end_tag(p);
        n->c = body_until(p, last, "for", at);
    }
    advance(p);
    return n;
}

/* A body whose text is captured is not inside the loop around it: a break must not leave half of it behind. */
static chat_node *captured_body(parser *p, chat_node *n, const char *end, const char *opened)
{
    int loops = p->loops;
    p->loops = 0;
    n->b = body(p, end, opened, n->at);
    p->loops = loops;
    return n;
}

static chat_node *statement_set(parser *p, size_t at)
{
    chat_node *n = node(p, CN_SET, at);
    targets(p, n, true);
    if (skip_op(p, '=')) {
        n->a = tuple(p, true, false);
        return n;
    }
    n->kind = CN_SET_BLOCK;
    if (n->op)
        fail_expected(p, "'='");
    while (skip_op(p, '|'))
        n->a = filter(p, n->a);
    if (p->cur.kind != CT_BLOCK_END)
        fail_expected(p, "'=' or '%}'");
    return captured_body(p, n, "endset", "set");
}

static void parameters(parser *p, chat_node *macro)
{
    kid_list kids = kids_of(macro);
    bool defaults = false;
    expect_op(p, '(');
    while (!is_op(p, ')')) {
        chat_node *n = node(p, CN_KWARG, p->cur.at);
        n->name = expect_name(p, "the name of a parameter");
        if (skip_op(p, '='))
            n->a = expression(p);
        else if (defaults)
            fail_expected(p, "'=', as parameters before it have a default");
        defaults = n->a != NULL;
        add_kid(&kids, n);
        if (!skip_op(p, ',') && !is_op(p, ')'))
            fail_expected(p, "',' or ')'");
    }
    expect_op(p, ')');
}

static chat_node *statement_macro(parser *p, size_t at)
{
    chat_node *n = node(p, CN_MACRO, at);
    n->name = expect_name(p, "the name of the macro");
    parameters(p, n);
    return captured_body(p, n, "endmacro", "macro");
}

static chat_node *statement_call(parser *p, size_t at)
{
    chat_node *n = node(p, CN_CALL_BLOCK, at), *caller = node(p, CN_MACRO, at);
    caller->name = om_chat_lit("caller");
    if (is_op(p, '('))
        parameters(p, caller);
    n->a = expression(p);
    if (n->a->kind != CN_CALL)
        om_chat_fail(p->c, at, "expected the call of a macro after 'call'");
    n->c = captured_body(p, caller, "endcall", "call");
    return n;
}

static chat_node *statement_filter(parser *p, size_t at)
{
    chat_node *n = node(p, CN_FILTER_BLOCK, at);
    do
        n->a = filter(p, n->a);
    while (skip_op(p, '|'));
    return captured_body(p, n, "endfilter", "filter");
}

static chat_node *statement_with(parser *p, size_t at)
{
    chat_node *n = node(p, CN_WITH, at);
    kid_list kids = kids_of(n);
    while (p->cur.kind != CT_BLOCK_END) {
        chat_node *kw = node(p, CN_KWARG, p->cur.at);
        if (n->n_kids)
            expect_op(p, ',');
        kw->name = expect_name(p, "the name of a variable");
        expect_op(p, '=');
        kw->a = expression(p);
        add_kid(&kids, kw);
    }
    n->b = body(p, "endwith", "with", at);
    return n;
}

/* Training tools use {% generation %} to find the assistant's bytes; rendering is a plain scope. */
static chat_node *statement_generation(parser *p, size_t at)
{
    chat_node *n = node(p, CN_WITH, at);
    n->b = body(p, "endgeneration", "generation", at);
    return n;
}

static chat_node *statement_jump(parser *p, size_t at, chat_node_kind kind)
{
    if (p->loops == 0)
        om_chat_fail(p->c, at, "'%s' is not inside a loop", kind == CN_BREAK ? "break" : "continue");
    return node(p, kind, at);
}

static chat_node *statement(parser *p)
{
    chat_node *n;
    size_t at = p->cur.at;
    chat_str word = text_of(p, p->cur);
    if (p->cur.kind != CT_NAME)
        fail_expected(p, "the name of a statement");
    enter(p);
    advance(p);
    if (om_chat_str_is(word, "if"))
        n = statement_if(p, at);
    else if (om_chat_str_is(word, "for"))
        n = statement_for(p, at);
    else if (om_chat_str_is(word, "set"))
        n = statement_set(p, at);
    else if (om_chat_str_is(word, "macro"))
        n = statement_macro(p, at);
    else if (om_chat_str_is(word, "call"))
        n = statement_call(p, at);
    else if (om_chat_str_is(word, "filter"))
        n = statement_filter(p, at);
    else if (om_chat_str_is(word, "with"))
        n = statement_with(p, at);
    else if (om_chat_str_is(word, "generation"))
        n = statement_generation(p, at);
    else if (om_chat_str_is(word, "break") || om_chat_str_is(word, "continue"))
        n = statement_jump(p, at, word.p[0] == 'b' ? CN_BREAK : CN_CONTINUE);
    else
        om_chat_fail(p->c, at,
                     "expected if, for, set, macro, call, filter, with, generation, break or continue, "
                     "found '%.*s'",
                     (int)(word.n < 40 ? word.n : 40), word.p);
    end_tag(p);
    p->depth--;
    return n;
}

static bool is_end(const parser *p, const char *const *ends)
{
    for (; *ends; ends++)
        if (is_word(p, *ends))
            return true;
    return false;
}

static chat_node *output(parser *p)
{
    chat_node *n = node(p, CN_OUTPUT, p->cur.at);
    advance(p);
    n->a = tuple(p, true, false);
    if (p->cur.kind != CT_VAR_END)
        fail_expected(p, "'}}'");
    advance(p);
    return n;
}

static chat_node *data(parser *p)
{
    chat_node *n = node(p, CN_OUTPUT, p->cur.at);
    n->a = constant(p, om_chat_strv(text_of(p, p->cur)), p->cur.at);
    advance(p);
    return n;
}

/* Statements up to the first tag named in ends, which stays the current token; ends NULL: up to the end of all. */
static chat_node *body_until(parser *p, const char *const *ends, const char *opened, size_t at)
{
    chat_node *first = NULL, **tail = &first;
    for (; p->cur.kind != CT_EOF; tail = &(*tail)->next) {
        if (p->cur.kind == CT_DATA) {
            *tail = data(p);
        } else if (p->cur.kind == CT_VAR_BEGIN) {
            *tail = output(p);
        } else {
            if (p->cur.kind != CT_BLOCK_BEGIN)
                fail_expected(p, "text or a tag");
            advance(p);
            if (ends && is_end(p, ends))
                return first;
            *tail = statement(p);
        }
    }
    if (ends) {
        unsigned line, column;
        om_chat_place(p->c, at, &line, &column);
        om_chat_fail(p->c, p->cur.at,
                     "expected the end of the '%s' of line %u, column %u, found the end of the template", opened, line,
                     column);
    }
    return first;
}

chat_node *om_chat_parse(chat_run *c, const char *source, size_t n)
{
    parser p = {.c = c};
    om_chat_lex_init(&p.lex, c, source, n);
    p.ahead.kind = CT_DATA;
    advance(&p); /* fills ahead */
    advance(&p);
    return body_until(&p, NULL, "", 0);
}
