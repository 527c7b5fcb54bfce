/* chat_text.c - strings with a trust mask. Parts share the bytes of the whole; only concat, replace, case and slices
 * with a step make new bytes, and each new byte takes the trust of the byte it comes from. */
#include "chat/chat_priv.h"

#include <string.h>

chat_str om_chat_lit(const char *z)
{
    return om_chat_bytes(z, strlen(z));
}

bool om_chat_all_trusted(chat_str s)
{
    if (s.n == 0)
        return true;
    return s.mask ? memchr(s.mask, 0, s.n) == NULL : s.trusted;
}

bool om_chat_str_is(chat_str s, const char *z)
{
    return s.n == strlen(z) && memcmp(s.p, z, s.n) == 0;
}

bool om_chat_str_eq(chat_run *c, chat_str a, chat_str b)
{
    if (a.n != b.n)
        return false;
    om_chat_work(c, a.n);
    return a.n == 0 || memcmp(a.p, b.p, a.n) == 0;
}

/* Bytes in order are code points in order for UTF-8. */
int om_chat_str_cmp(chat_run *c, chat_str a, chat_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    om_chat_work(c, n);
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

chat_str om_chat_sub(chat_str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from >= to)
        return om_chat_bytes("", 0);
    s.p += from;
    s.n = to - from;
    if (s.mask)
        s.mask += from;
    return s;
}

static void put_mask(unsigned char *out, chat_str s)
{
    if (s.mask)
        memcpy(out, s.mask, s.n);
    else
        memset(out, s.trusted, s.n);
}

chat_str om_chat_concat(chat_run *c, chat_str a, chat_str b)
{
    if (a.n == 0)
        return b;
    if (b.n == 0)
        return a;
    if (a.n > CHAT_OUTPUT_MAX || b.n > CHAT_OUTPUT_MAX - a.n)
        om_chat_fail(c, c->at, "the text being built is larger than %d MiB", CHAT_OUTPUT_MAX >> 20);
    chat_str s = {NULL, a.n + b.n, NULL, a.trusted};
    om_chat_work(c, s.n);
    char *p = om_chat_alloc(c, s.n, 1);
    memcpy(p, a.p, a.n);
    memcpy(p + a.n, b.p, b.n);
    s.p = p;
    if (a.mask || b.mask || a.trusted != b.trusted) {
        unsigned char *m = om_chat_alloc(c, s.n, 1);
        put_mask(m, a);
        put_mask(m + a.n, b);
        s.mask = m;
    }
    return s;
}

enum { NOT_UTF8 = 0x110000 }; /* + byte: a code of its own for each stray byte */

size_t om_chat_next(chat_str s, size_t i, uint32_t *cp)
{
    int k = om_utf8_next(s.p + i, s.n - i, cp);
    if (k > 0)
        return (size_t)k;
    *cp = NOT_UTF8 + (unsigned char)s.p[i];
    return 1;
}

/* Finds the same boundaries as om_chat_next: the bytes of a valid character are never the tail of another one. */
size_t om_chat_prev(chat_str s, size_t i, uint32_t *cp)
{
    for (size_t k = 1; k <= 4 && k <= i; k++)
        if (om_utf8_next(s.p + i - k, k, cp) == (int)k)
            return k;
    *cp = NOT_UTF8 + (unsigned char)s.p[i - 1];
    return 1;
}

size_t om_chat_length(chat_run *c, chat_str s)
{
    uint32_t cp;
    size_t n = 0;
    om_chat_work(c, s.n);
    for (size_t i = 0; i < s.n; n++)
        i += om_chat_next(s, i, &cp);
    return n;
}

size_t om_chat_offset(chat_str s, size_t chars)
{
    uint32_t cp;
    size_t i = 0;
    while (chars-- > 0 && i < s.n)
        i += om_chat_next(s, i, &cp);
    return i;
}

bool om_chat_is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32) || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F ||
           cp == 0x3000;
}

static bool in_set(chat_run *c, uint32_t cp, const chat_str *set)
{
    uint32_t other;
    if (!set)
        return om_chat_is_space(cp);
    om_chat_work(c, set->n);
    for (size_t i = 0; i < set->n;) {
        i += om_chat_next(*set, i, &other);
        if (other == cp)
            return true;
    }
    return false;
}

chat_str om_chat_strip(chat_run *c, chat_str s, const chat_str *set, bool left, bool right)
{
    size_t from = 0, to = s.n;
    uint32_t cp;
    while (left && from < to) {
        size_t k = om_chat_next(s, from, &cp);
        if (!in_set(c, cp, set))
            break;
        from += k;
    }
    while (right && to > from) {
        size_t k = om_chat_prev(s, to, &cp);
        if (!in_set(c, cp, set))
            break;
        to -= k;
    }
    om_chat_work(c, s.n - (to - from));
    return om_chat_sub(s, from, to);
}

/* Plain search: a hostile needle makes it slow, so each candidate pays for what it compares. */
size_t om_chat_find(chat_run *c, chat_str s, chat_str what, size_t from)
{
    if (from > s.n || what.n > s.n - from)
        return SIZE_MAX;
    if (what.n == 0)
        return from;
    om_chat_work(c, CHAT_BYTES_PER_STEP);
    for (size_t i = from, last = s.n - what.n; i <= last; i++) {
        const char *hit = memchr(s.p + i, what.p[0], last - i + 1);
        size_t at = hit ? (size_t)(hit - s.p) : last;
        om_chat_work(c, at - i + 4 * what.n);
        if (!hit)
            break;
        if (memcmp(hit, what.p, what.n) == 0)
            return at;
        i = at;
    }
    return SIZE_MAX;
}

size_t om_chat_rfind(chat_run *c, chat_str s, chat_str what, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (what.n > to)
        return SIZE_MAX;
    om_chat_work(c, to);
    for (size_t i = to - what.n + 1; i-- > 0;) {
        if (what.n == 0)
            return i;
        if (s.p[i] != what.p[0])
            continue;
        om_chat_work(c, 4 * what.n);
        if (memcmp(s.p + i, what.p, what.n) == 0)
            return i;
    }
    return SIZE_MAX;
}

/* count < 0: all. An empty `old` matches before every character and at the end, as in Python. */
chat_str om_chat_replace(chat_run *c, chat_str s, chat_str old, chat_str new, int64_t count)
{
    size_t from = 0, i = 0;
    chat_sb *b = NULL;
    while (count != 0) {
        size_t at = om_chat_find(c, s, old, i);
        if (at == SIZE_MAX)
            break;
        if (!b)
            b = om_chat_sb_new(c);
        om_chat_sb_add(c, b, om_chat_sub(s, from, at));
        om_chat_sb_add(c, b, new);
        from = at + old.n;
        if (count > 0)
            count--;
        uint32_t cp;
        if (old.n == 0 && from == s.n)
            break;
        i = old.n ? from : from + om_chat_next(s, from, &cp);
    }
    if (!b)
        return s;
    om_chat_sb_add(c, b, om_chat_sub(s, from, s.n));
    return om_chat_sb_finish(c, b);
}

/* Jinja's title filter starts a word after white space and any of -([{<; Python's str.title would after any
 * non-letter. The filter is what templates use, so both spellings do that. */
static bool word_break(char b)
{
    return om_chat_is_space((unsigned char)b) || (b != 0 && strchr("-([{<", b) != NULL);
}

chat_str om_chat_case(chat_run *c, chat_str s, char how)
{
    char *p = om_chat_alloc(c, s.n, 1);
    om_chat_work(c, s.n);
    for (size_t i = 0; i < s.n; i++) {
        char b = s.p[i];
        bool first = i == 0 || (how == 't' && word_break(s.p[i - 1]));
        bool up = how == 'u' || (how != 'l' && first);
        if (up && b >= 'a' && b <= 'z')
            b = (char)(b - 'a' + 'A');
        else if (!up && b >= 'A' && b <= 'Z')
            b = (char)(b - 'A' + 'a');
        p[i] = b;
    }
    s.p = p;
    return s;
}

/* start, stop in characters and already clipped to the string as Python's slice.indices does. */
chat_str om_chat_slice_text(chat_run *c, chat_str s, int64_t start, int64_t stop, int64_t step)
{
    om_chat_work(c, s.n);
    if (step == 1) {
        size_t from = om_chat_offset(s, (size_t)start);
        if (stop <= start)
            return om_chat_bytes("", 0);
        return om_chat_sub(s, from, from + om_chat_offset(om_chat_sub(s, from, s.n), (size_t)(stop - start)));
    }
    size_t n = om_chat_length(c, s), k = 0;
    uint32_t *off = om_chat_alloc(c, n + 1, sizeof *off), cp;
    for (size_t i = 0; i < s.n; i += om_chat_next(s, i, &cp))
        off[k++] = (uint32_t)i; /* texts are below 2^32: om_chat_render checks */
    off[n] = (uint32_t)s.n;
    chat_sb *b = om_chat_sb_new(c);
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
        om_chat_sb_add(c, b, om_chat_sub(s, off[i], off[i + 1]));
    return om_chat_sb_finish(c, b);
}
