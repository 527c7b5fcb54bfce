/* base_error.c - the one line of text that goes with a status. */
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *omni_status_text(omni_status s)
{
    switch (s) {
    case OMNI_OK:
        return "ok";
    case OMNI_E_USAGE:
        return "bad argument";
    case OMNI_E_INPUT:
        return "bad input";
    case OMNI_E_SYSTEM:
        return "system error";
    case OMNI_E_MEMORY:
        return "out of memory";
    case OMNI_E_FULL:
        return "context full";
    case OMNI_E_CANCELLED:
        return "cancelled";
    }
    return "unknown status";
}

/* Texts may quote hostile bytes: whatever could break the line or drive a terminal is replaced, and a
 * character cut in half by the size of the buffer is dropped. */
static void tidy(char *text)
{
    size_t n = strlen(text), out = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        int len = om_utf8_next(text + i, n - i, &cp);
        if (len < 0)
            break;
        bool bad = len == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029;
        size_t step = len > 0 ? (size_t)len : 1;
        if (bad)
            text[out++] = '?';
        else
            for (size_t k = 0; k < step; k++)
                text[out++] = text[i + k];
        i += step;
    }
    text[out] = '\0';
}

OMNI_PRINTF(3, 0) static omni_status fail_v(omni_error *err, omni_status s, const char *fmt, va_list ap)
{
    if (err) {
        /* A caller may hand in the present text as an argument, so it is built aside. */
        char text[sizeof err->text];
        if (vsnprintf(text, sizeof text, fmt, ap) < 0)
            snprintf(text, sizeof text, "%s", omni_status_text(s));
        tidy(text);
        memcpy(err->text, text, strlen(text) + 1);
    }
    return s;
}

omni_status om_fail(omni_error *err, omni_status s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    s = fail_v(err, s, fmt, ap);
    va_end(ap);
    return s;
}

omni_status om_fail_errno(omni_error *err, const char *fmt, ...)
{
    int code = errno;
    omni_status s = code == ENOMEM ? OMNI_E_MEMORY : OMNI_E_SYSTEM;
    if (!err)
        return s;
    char what[sizeof err->text], why[128];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(what, sizeof what, fmt, ap) < 0)
        what[0] = '\0';
    va_end(ap);
    if (strerror_r(code, why, sizeof why) != 0)
        snprintf(why, sizeof why, "error %d", code);
    s = om_fail(err, s, "%s: %s", what, why);
    errno = code;
    return s;
}

omni_status om_fail_memory(omni_error *err, size_t bytes, const char *what)
{
    return om_fail(err, OMNI_E_MEMORY, "out of memory (%zu bytes for %s)", bytes, what);
}

omni_status om_fail_prefix(omni_error *err, omni_status s, const char *fmt, ...)
{
    if (!err)
        return s;
    char what[sizeof err->text];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(what, sizeof what, fmt, ap) < 0)
        what[0] = '\0';
    va_end(ap);
    return om_fail(err, s, "%s: %s", what, err->text);
}

const char *om_show(char *out, size_t cap, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    size_t o = 0, i = 0;
    if (cap == 0)
        return "";
    while (i < n) {
        uint32_t cp = 0;
        int len = om_utf8_next(s + i, n - i, &cp);
        bool plain = len > 0 && cp >= 0x20 && !(cp >= 0x7f && cp < 0xa0) && cp != 0x2028 && cp != 0x2029;
        size_t step = plain ? (size_t)len : 1, room = plain ? step : 4;
        bool last = i + step == n;
        if (o + room + (last ? 1 : 4) > cap)
            break;
        if (plain) {
            memcpy(out + o, s + i, step);
        } else {
            unsigned char c = (unsigned char)s[i];
            out[o] = '\\';
            out[o + 1] = 'x';
            out[o + 2] = hex[c >> 4];
            out[o + 3] = hex[c & 15];
        }
        o += room;
        i += step;
    }
    for (int dots = 0; i < n && dots < 3 && o + 1 < cap; dots++)
        out[o++] = '.';
    out[o] = '\0';
    return out;
}
