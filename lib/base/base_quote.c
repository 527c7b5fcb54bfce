/* base_quote.c - text to a quoted JSON string that is safe to show on a terminal. */
#include "base/base_json.h"

#include <stdio.h>
#include <string.h>

/* Writes the escape of cp, or nothing when it stands for itself. C1 controls drive terminals just like C0. */
static size_t escape_of(uint32_t cp, char out[8])
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = cp && cp < 0x80 ? strchr(from, (int)cp) : NULL;
    if (at) {
        out[0] = '\\';
        out[1] = to[at - from];
        return 2;
    }
    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
        return (size_t)snprintf(out, 8, "\\u%04x", (unsigned)cp);
    return 0;
}

omni_status om_json_quote(om_buf *b, const char *s, size_t n)
{
    size_t had = b->n, plain = 0, i = 0; /* s[plain..i) needs no change and is not yet added */
    omni_status st = om_buf_add(b, "\"", 1);
    while (st == OMNI_OK && i < n) {
        uint32_t cp = 0;
        char esc[8] = "\xef\xbf\xbd"; /* U+FFFD */
        int len = om_utf8_next(s + i, n - i, &cp);
        size_t k = len > 0 ? escape_of(cp, esc) : 3, step = len > 0 ? (size_t)len : 1;
        if (k > 0) {
            st = om_buf_add(b, s + plain, i - plain);
            if (st == OMNI_OK)
                st = om_buf_add(b, esc, k);
            plain = i + step;
        }
        i += step;
    }
    if (st == OMNI_OK)
        st = om_buf_add(b, s + plain, n - plain);
    if (st == OMNI_OK)
        st = om_buf_add(b, "\"", 1);
    if (st != OMNI_OK && b->p) {
        b->n = had;
        if (had < b->cap)
            b->p[had] = '\0';
    }
    return st;
}

omni_status omni_json_quote(const char *text, size_t len, char **buf, size_t *n, size_t *cap)
{
    om_buf b = {.p = *buf, .n = *n, .cap = *cap};
    omni_status s = om_json_quote(&b, text, len);
    *buf = b.p;
    *n = b.n;
    *cap = b.cap;
    return s;
}
