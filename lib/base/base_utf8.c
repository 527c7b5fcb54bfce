/* base_utf8.c - UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
#include "base/base.h"

int om_utf8_next(const char *s, size_t n, uint32_t *cp)
{
    if (n == 0)
        return -1;
    unsigned char c = (unsigned char)s[0];
    if (c < 0x80) {
        if (cp)
            *cp = c;
        return 1;
    }
    int len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    uint32_t v = c & (0xFFu >> (len + 1));
    for (int i = 1; i < len; i++) {
        if ((size_t)i >= n)
            return -1;
        unsigned char t = (unsigned char)s[i];
        /* The second byte's range depends on the first: it excludes overlong forms, surrogates and > U+10FFFF. */
        unsigned lo = i > 1 ? 0x80 : c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
        unsigned hi = i > 1 ? 0xBF : c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        if (t < lo || t > hi)
            return 0;
        v = v << 6 | (t & 0x3F);
    }
    if (cp)
        *cp = v;
    return len;
}

size_t om_utf8_put(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp >= 0xD800 && cp <= 0xDFFF)
        return 0;
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    if (cp > 0x10FFFF)
        return 0;
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

bool om_utf8_valid(const char *s, size_t n, size_t *bad_offset)
{
    for (size_t i = 0; i < n;) {
        int k = om_utf8_next(s + i, n - i, NULL);
        if (k <= 0) {
            if (bad_offset)
                *bad_offset = i;
            return false;
        }
        i += (size_t)k;
    }
    return true;
}
