/* tap.h - a test is a program that prints TAP: ok(), is_int(), is_str(), ... then done_testing(). Run by prove. */
#ifndef OMNI_TESTS_TAP_H
#define OMNI_TESTS_TAP_H

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_n, tap_failed;

__attribute__((format(printf, 3, 4), unused)) static bool tap_ok(bool pass, const char *where, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("%sok %d - ", pass ? "" : "not ", ++tap_n);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    if (!pass) {
        tap_failed++;
        printf("# failed at %s\n", where);
    }
    fflush(stdout);
    return pass;
}
#define TAP_STR2(x) #x
#define TAP_STR(x) TAP_STR2(x)
#define TAP_WHERE __FILE__ ":" TAP_STR(__LINE__)
#define ok(cond, ...) tap_ok(!!(cond), TAP_WHERE, __VA_ARGS__)
#define diag(...) (printf("# "), printf(__VA_ARGS__), putchar('\n'))

static inline bool tap_is_int(int64_t got, int64_t want, const char *where, const char *name)
{
    bool pass = tap_ok(got == want, where, "%s", name);
    if (!pass)
        diag("got %" PRId64 ", expected %" PRId64, got, want);
    return pass;
}
#define is_int(got, want, name) tap_is_int((int64_t)(got), (int64_t)(want), TAP_WHERE, name)

static inline bool tap_is_str(const char *got, const char *want, const char *where, const char *name)
{
    bool pass = tap_ok(got && want && strcmp(got, want) == 0, where, "%s", name);
    if (!pass)
        diag("got '%s', expected '%s'", got ? got : "(null)", want ? want : "(null)");
    return pass;
}
#define is_str(got, want, name) tap_is_str((got), (want), TAP_WHERE, name)

static inline bool tap_is_near(double got, double want, double tol, const char *where, const char *name)
{
    bool pass = tap_ok(fabs(got - want) <= tol, where, "%s", name);
    if (!pass)
        diag("got %.9g, expected %.9g +- %.3g", got, want, tol);
    return pass;
}
#define is_near(got, want, tol, name) tap_is_near((got), (want), (tol), TAP_WHERE, name)
/* got contains the string want */
#define has_str(got, want, name)                                                                                       \
    (tap_ok(strstr((got), (want)) != NULL, TAP_WHERE, "%s", (name)) || (diag("'%s' lacks '%s'", (got), (want)), false))

__attribute__((unused)) static void skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    exit(0);
}
__attribute__((unused)) static int done_testing(void)
{
    printf("1..%d\n", tap_n);
    return tap_failed != 0;
}
#endif
