/* chat_lex.c - template source -> tokens, one at a time. Text outside tags is trimmed here as Hugging Face sets Jinja
 * up: trim_blocks (the newline after %} and #} goes), lstrip_blocks (white space before {% and {# goes when nothing
 * else is on the line), and the signs - and + that say so for one tag. */
#include "chat/chat_priv.h"

#include <string.h>

/* Jinja reads CRLF and CR as LF and drops one newline at the end. */
void om_chat_lex_init(chat_lex *l, chat_run *c, const char *source, size_t n)
{
    char *p = om_chat_alloc(c, n, 1);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (source[i] == '\r') {
            p[k++] = '\n';
            i += i + 1 < n && source[i + 1] == '\n';
        } else {
            p[k++] = source[i];
        }
    }
    if (k > 0 && p[k - 1] == '\n')
        k--;
    c->src = p;
    c->n = k;
    memset(l, 0, sizeof *l);
    l->c = c;
    l->line_start = true;
}

static int peek(const chat_lex *l, size_t ahead)
{
    return l->at + ahead < l->c->n ? (unsigned char)l->c->src[l->at + ahead] : -1;
}

static bool looking_at(const chat_lex *l, size_t at, const char *z)
{
    size_t n = strlen(z);
    return n <= l->c->n - at && memcmp(l->c->src + at, z, n) == 0;
}

static size_t skip_space(const chat_lex *l, size_t at)
{
    chat_str s = om_chat_bytes(l->c->src, l->c->n);
    uint32_t cp;
    while (at < s.n) {
        size_t k = om_chat_next(s, at, &cp);
        if (!om_chat_is_space(cp))
            break;
        at += k;
    }
    return at;
}

/* Length of the end "%}", "-%}" or "+%}" (end[0] = '%', '#', '}') with the white space it swallows; 0 = not here. */
static size_t tag_end(const chat_lex *l, size_t at, char kind)
{
    const char end[3] = {kind, '}', 0};
    size_t from = at;
    if (looking_at(l, at, "-") && looking_at(l, at + 1, end))
        return skip_space(l, at + 3) - from;
    if (kind != '}' && looking_at(l, at, "+") && looking_at(l, at + 1, end))
        return 3;
    if (!looking_at(l, at, end))
        return 0;
    return kind != '}' && looking_at(l, at + 2, "\n") ? 3 : 2;
}

static void passed_tag(chat_lex *l, size_t n)
{
    l->at += n;
    l->line_start = l->c->src[l->at - 1] == '\n';
}

/* Offset of the next "{{", "{%" or "{#". */
static size_t next_tag(const chat_lex *l)
{
    for (size_t at = l->at; at < l->c->n; at++) {
        const char *p = memchr(l->c->src + at, '{', l->c->n - at);
        if (!p)
            break;
        at = (size_t)(p - l->c->src);
        if (at + 1 < l->c->n && strchr("{%#", p[1]) && p[1])
            return at;
    }
    return l->c->n;
}

/* End of the data [from, to) before a tag whose sign is `sign` and which is (not) a block or comment. */
static size_t trim_data(const chat_lex *l, size_t from, size_t to, int sign, bool block)
{
    chat_str s = om_chat_sub(om_chat_bytes(l->c->src, l->c->n), from, to);
    if (sign == '-')
        return from + om_chat_strip(l->c, s, NULL, false, true).n;
    if (sign == '+' || !block)
        return to;
    size_t line = s.n;
    while (line > 0 && s.p[line - 1] != '\n')
        line--;
    if (line == 0 && !l->line_start)
        return to;
    chat_str blank = om_chat_sub(s, line, s.n);
    return blank.n > 0 && om_chat_strip(l->c, blank, NULL, true, false).n == 0 ? from + line : to;
}

static int sign_at(const chat_lex *l, size_t at)
{
    return looking_at(l, at, "-") ? '-' : looking_at(l, at, "+") ? '+' : 0;
}

static void skip_comment(chat_lex *l, size_t at)
{
    for (size_t i = at + 2 + (sign_at(l, at + 2) != 0); i < l->c->n; i++) {
        size_t n = tag_end(l, i, '#');
        if (n) {
            l->at = i;
            passed_tag(l, n);
            return;
        }
    }
    om_chat_fail(l->c, at, "expected '#}' to end this comment, found the end of the template");
}

/* The offset after "{%- WORD -%}" at `at`, 0 when that is not there. begin: Jinja trims no newline after {% raw %}. */
static size_t word_tag(const chat_lex *l, size_t at, const char *word, bool begin)
{
    if (!looking_at(l, at, "{%"))
        return 0;
    at = skip_space(l, at + 2 + (sign_at(l, at + 2) != 0));
    if (!looking_at(l, at, word))
        return 0;
    at = skip_space(l, at + strlen(word));
    if (begin && looking_at(l, at, "%}"))
        return at + 2;
    size_t n = begin && looking_at(l, at, "+") ? 0 : tag_end(l, at, '%');
    return n ? at + n : 0;
}

static chat_tok token(chat_tok_kind kind, size_t at, size_t n)
{
    chat_tok t = {kind, 0, at, n};
    return t;
}

static chat_tok raw_block(chat_lex *l, size_t tag, size_t from)
{
    for (size_t i = from; i < l->c->n; i++) {
        size_t after = l->c->src[i] == '{' ? word_tag(l, i, "endraw", false) : 0;
        if (!after)
            continue;
        l->line_start = l->c->src[from - 1] == '\n';
        size_t end = trim_data(l, from, i, sign_at(l, i + 2), true);
        l->at = i;
        passed_tag(l, after - i);
        return token(CT_DATA, from, end - from);
    }
    om_chat_fail(l->c, tag, "expected '{%% endraw %%}' to end this block, found the end of the template");
}

static chat_tok lex_data(chat_lex *l)
{
    for (;;) {
        size_t from = l->at, tag = next_tag(l);
        if (from == l->c->n)
            return token(CT_EOF, from, 0);
        if (tag == l->c->n) {
            l->at = tag;
            return token(CT_DATA, from, tag - from);
        }
        int kind = (unsigned char)l->c->src[tag + 1], sign = sign_at(l, tag + 2);
        size_t end = trim_data(l, from, tag, sign, kind != '{');
        size_t raw = word_tag(l, tag, "raw", true);
        if (end > from) { /* the data first; the tag is found again, with nothing before it */
            l->at = tag;
            l->line_start = false;
            return token(CT_DATA, from, end - from);
        }
        if (raw)
            return raw_block(l, tag, raw);
        if (kind == '#') {
            skip_comment(l, tag);
            continue;
        }
        l->at = tag + 2 + (sign != 0);
        l->tag = (char)kind;
        l->brackets = 0;
        return token(kind == '%' ? CT_BLOCK_BEGIN : CT_VAR_BEGIN, tag, l->at - tag);
    }
}

static bool is_digit(int b)
{
    return b >= '0' && b <= '9';
}

static bool is_name(int b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b == '_' || b >= 0x80 || is_digit(b);
}

static size_t digits(const chat_lex *l, size_t i)
{
    while (is_digit(peek(l, i)) || (peek(l, i) == '_' && is_digit(peek(l, i + 1))))
        i++;
    return i;
}

static chat_tok lex_number(chat_lex *l)
{
    chat_tok t = token(CT_INT, l->at, digits(l, 0));
    bool after_dot = l->at > 0 && l->c->src[l->at - 1] == '.'; /* "x.0.1" are two subscripts */
    if (!after_dot && peek(l, t.n) == '.' && is_digit(peek(l, t.n + 1))) {
        t.n = digits(l, t.n + 1);
        t.kind = CT_FLOAT;
    }
    size_t e = t.n + 1;
    if (peek(l, e) == '-' || peek(l, e) == '+')
        e++;
    if (!after_dot && (peek(l, t.n) == 'e' || peek(l, t.n) == 'E') && is_digit(peek(l, e))) {
        t.n = digits(l, e);
        t.kind = CT_FLOAT;
    }
    return t;
}

static chat_tok lex_string(chat_lex *l)
{
    int quote = peek(l, 0);
    for (size_t i = 1; peek(l, i) >= 0; i++) {
        if (peek(l, i) == quote)
            return token(CT_STRING, l->at, i + 1);
        i += peek(l, i) == '\\';
    }
    om_chat_fail(l->c, l->at, "expected %c to end this string, found the end of the template", quote);
}

static chat_tok lex_op(chat_lex *l)
{
    static const char *const two[] = {"==", "!=", ">=", "<=", "//", "**"};
    chat_tok t = token(CT_OP, l->at, 1);
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (looking_at(l, l->at, two[i])) {
            t.n = 2;
            t.op = CHAT_OP2(two[i][0], two[i][1]);
            return t;
        }
    int b = peek(l, 0);
    if (b <= 0 || !strchr("+-/*%~[](){}><=.:|,;", b))
        om_chat_fail(l->c, l->at,
                     b > ' ' && b < 0x7F ? "expected an expression, found '%c'"
                                         : "expected an expression, found the byte 0x%02x",
                     (unsigned)b);
    l->brackets += strchr("([{", b) ? 1 : strchr(")]}", b) ? -1 : 0;
    t.op = (unsigned)b;
    return t;
}

static chat_tok lex_tag(chat_lex *l)
{
    for (;;) {
        size_t end = l->brackets <= 0 ? tag_end(l, l->at, l->tag == '{' ? '}' : '%') : 0;
        if (end) {
            chat_tok t = token(l->tag == '{' ? CT_VAR_END : CT_BLOCK_END, l->at, 2);
            passed_tag(l, end);
            l->tag = 0;
            return t;
        }
        size_t next = skip_space(l, l->at);
        if (next == l->at)
            break;
        l->at = next;
    }
    chat_tok t = token(CT_EOF, l->at, 0);
    int b = peek(l, 0);
    if (b < 0)
        return t;
    if (is_digit(b)) {
        t = lex_number(l);
    } else if (is_name(b)) {
        t.kind = CT_NAME;
        while (is_name(peek(l, t.n)))
            t.n++;
    } else {
        t = b == '"' || b == '\'' ? lex_string(l) : lex_op(l);
    }
    l->at += t.n;
    return t;
}

chat_tok om_chat_lex_next(chat_lex *l)
{
    return l->tag ? lex_tag(l) : lex_data(l);
}
