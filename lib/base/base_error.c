/* base_error.c - one-line error texts. */
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

/* Messages quote hostile names: what is not printable ASCII or UTF-8 becomes '?', so that a message is one line and
 * cannot drive a terminal. */
static void make_printable(char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n;) {
        int k = om_utf8_next(s + i, n - i, NULL);
        if (k <= 0 || (unsigned char)s[i] < 32 || s[i] == 127 || (k == 2 && (unsigned char)s[i] == 0xC2 && (unsigned char)s[i + 1] < 0xA0)) {
            s[i] = '?';
            k = 1;
        }
        i += (size_t)k;
    }
}

OMNI_PRINTF(2, 0)
static void format(omni_error *err, const char *fmt, va_list ap)
{
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    make_printable(err->text);
}

omni_status om_fail(omni_error *err, omni_status s, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        format(err, fmt, ap);
        va_end(ap);
    }
    return s;
}

/* strerror is not thread-safe; strerror_r comes in two shapes, chosen here by its type. */
static const char *error_name(int e, char *buf, size_t n)
{
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    return strerror_r(e, buf, n);
#else
    return strerror_r(e, buf, n) == 0 ? buf : "unknown error";
#endif
}

omni_status om_fail_errno(omni_error *err, const char *fmt, ...)
{
    int e = errno;
    if (err) {
        char name[128];
        va_list ap;
        va_start(ap, fmt);
        format(err, fmt, ap);
        va_end(ap);
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof err->text - n, ": %s", error_name(e, name, sizeof name));
    }
    return e == ENOMEM ? OMNI_E_MEMORY : OMNI_E_SYSTEM;
}

omni_status om_fail_memory(omni_error *err, size_t bytes, const char *what)
{
    return om_fail(err, OMNI_E_MEMORY, "out of memory (%zu bytes for %s)", bytes, what);
}

omni_status om_fail_prefix(omni_error *err, omni_status s, const char *fmt, ...)
{
    if (err) {
        omni_error old = *err;
        va_list ap;
        va_start(ap, fmt);
        format(err, fmt, ap);
        va_end(ap);
        size_t n = strlen(err->text);
        snprintf(err->text + n, sizeof err->text - n, ": %.900s", old.text);
    }
    return s;
}
