#include "run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bytes -------------------------------------------------------------------------------- */

void run_buf_release(run_buf *b)
{
    free(b->p);
    memset(b, 0, sizeof *b);
}

omni_status run_buf_add(run_buf *b, const char *s, size_t n)
{
    if (n >= SIZE_MAX / 2 - b->n)
        return OMNI_E_MEMORY;
    if (b->n + n + 1 > b->cap) {
        size_t cap = b->n + n + 1 + (b->n + n) / 2;
        char *p = realloc(b->p, cap < 64 ? 64 : cap);
        if (!p)
            return OMNI_E_MEMORY;
        b->p = p;
        b->cap = cap < 64 ? 64 : cap;
    }
    if (n)
        memcpy(b->p + b->n, s, n);
    b->n += n;
    b->p[b->n] = '\0';
    return OMNI_OK;
}

omni_status run_buf_puts(run_buf *b, const char *s)
{
    return run_buf_add(b, s, strlen(s));
}

omni_status run_buf_printf(run_buf *b, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text)
        return OMNI_E_MEMORY; /* our own formats are short; this is a guard, not a case */
    return run_buf_add(b, text, (size_t)n);
}

omni_status run_buf_quote(run_buf *b, const char *s, size_t n)
{
    omni_status st = omni_json_quote(s, n, &b->p, &b->n, &b->cap);
    return st ? st : run_buf_add(b, "", 0);
}

omni_status run_fail(omni_error *err, omni_status st, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return st;
}

omni_status run_no_memory(omni_error *err, const char *what)
{
    return run_fail(err, OMNI_E_MEMORY, "%s: out of memory", what);
}

/* ---- conversations -------------------------------------------------------------------------- */

static void free_message(omni_message *m)
{
    free((void *)(uintptr_t)m->role);
    free((void *)(uintptr_t)m->text);
}

void run_chat_cut(run_chat *c, size_t n)
{
    while (c->n > n)
        free_message(&c->msgs[--c->n]);
}

void run_chat_release(run_chat *c)
{
    run_chat_cut(c, 0);
    free(c->msgs);
    memset(c, 0, sizeof *c);
}

static omni_status make_message(omni_message *m, const char *role, const char *text, size_t len)
{
    char *r = strdup(role), *t = len < SIZE_MAX ? malloc(len + 1) : NULL;
    if (!r || !t) {
        free(r);
        free(t);
        return OMNI_E_MEMORY;
    }
    if (len)
        memcpy(t, text, len);
    t[len] = '\0';
    *m = (omni_message){.role = r, .text = t, .len = len};
    return OMNI_OK;
}

/* Puts a new message at place i. */
static omni_status insert_message(run_chat *c, size_t i, const char *role, const char *text, size_t len)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 8;
        omni_message *p = cap > SIZE_MAX / sizeof *p ? NULL : realloc(c->msgs, cap * sizeof *p);
        if (!p)
            return OMNI_E_MEMORY;
        c->msgs = p;
        c->cap = cap;
    }
    omni_message m;
    omni_status st = make_message(&m, role, text, len);
    if (st)
        return st;
    memmove(c->msgs + i + 1, c->msgs + i, (c->n - i) * sizeof m);
    c->msgs[i] = m;
    c->n++;
    return OMNI_OK;
}

omni_status run_chat_add(run_chat *c, const char *role, const char *text, size_t len)
{
    return insert_message(c, c->n, role, text, len);
}

bool run_chat_has_system(const run_chat *c)
{
    return c->n > 0 && strcmp(c->msgs[0].role, "system") == 0;
}

static void remove_messages(run_chat *c, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        free_message(&c->msgs[i]);
    memmove(c->msgs + from, c->msgs + to, (c->n - to) * sizeof *c->msgs);
    c->n -= to - from;
}

omni_status run_chat_set_system(run_chat *c, const char *text, size_t len)
{
    bool had = run_chat_has_system(c);
    if (text) {
        omni_status st = insert_message(c, 0, "system", text, len);
        if (st)
            return st;
    }
    if (had)
        remove_messages(c, text ? 1 : 0, text ? 2 : 1);
    return OMNI_OK;
}

bool run_chat_drop_turn(run_chat *c)
{
    size_t from = run_chat_has_system(c) ? 1 : 0, to = from + 1;
    while (to < c->n && strcmp(c->msgs[to].role, "user") != 0)
        to++;
    if (to >= c->n) /* nothing but the turn that is being answered */
        return false;
    remove_messages(c, from, to);
    return true;
}
