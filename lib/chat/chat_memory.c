/* chat_memory.c - failing with a place, the limits of a render, its arena, and texts being built. */
#include "chat/chat_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct chat_chunk {
    struct chat_chunk *next;
    max_align_t data[];
} chat_chunk;

enum { CHUNK_BYTES = 32 << 10 };

/* Line and column (in characters) of a byte of the source, from 1. */
void om_chat_place(const chat_run *c, size_t at, unsigned *line, unsigned *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at && i < c->n; i++) {
        if (c->src[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)c->src[i] & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

void om_chat_fail_status(chat_run *c, omni_status s)
{
    c->status = s;
    longjmp(c->out, 1);
}

void om_chat_fail(chat_run *c, size_t at, const char *fmt, ...)
{
    char what[512];
    unsigned line, column;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    for (char *p = what; *p; p++) /* one line, even when it quotes the template or a message */
        if ((unsigned char)*p < ' ' || *p == 0x7F)
            *p = ' ';
    om_chat_place(c, at, &line, &column);
    om_chat_fail_status(c, om_fail(c->err, OMNI_E_INPUT, "chat template: line %u, column %u: %s", line, column, what));
}

void om_chat_charge(chat_run *c, size_t bytes)
{
    if (bytes > CHAT_MEMORY_MAX - c->memory)
        om_chat_fail(c, c->at, "the template takes more than %d MiB of memory", CHAT_MEMORY_MAX >> 20);
    c->memory += bytes;
}

static void step(chat_run *c, uint64_t n)
{
    c->steps += n; /* n <= CHAT_MEMORY_MAX: cannot wrap */
    if (c->steps > c->step_max)
        om_chat_fail(c, c->at, "the template takes more than %llu steps", (unsigned long long)c->step_max);
}

void om_chat_work(chat_run *c, size_t bytes)
{
    c->bytes += bytes; /* both < 2^32 */
    step(c, c->bytes / CHAT_BYTES_PER_STEP);
    c->bytes %= CHAT_BYTES_PER_STEP;
}

void om_chat_enter(chat_run *c, size_t at)
{
    c->at = (uint32_t)at;
    step(c, 1);
    if (++c->depth > CHAT_DEPTH_EVAL)
        om_chat_fail(c, at, "nested or recursing more than %d levels deep", CHAT_DEPTH_EVAL);
}

static void new_chunk(chat_run *c, size_t bytes)
{
    size_t all;
    chat_chunk *k = om_add(bytes, sizeof(chat_chunk), &all) ? om_alloc(all) : NULL;
    if (!k)
        om_chat_fail_status(c, om_fail_memory(c->err, bytes, "a chat template"));
    k->next = c->chunks;
    c->chunks = k;
    c->chunk_cap = bytes;
    c->chunk_used = 0;
}

void *om_chat_alloc(chat_run *c, size_t count, size_t size)
{
    size_t n, padded;
    if (!om_mul(count, size, &n) || !om_align_up(n ? n : 1, sizeof(max_align_t), &padded))
        padded = SIZE_MAX;
    om_chat_charge(c, padded);
    if (!c->chunks || padded > c->chunk_cap - c->chunk_used)
        new_chunk(c, padded > CHUNK_BYTES ? padded : (size_t)CHUNK_BYTES);
    void *p = (char *)c->chunks->data + c->chunk_used;
    c->chunk_used += padded;
    memset(p, 0, padded);
    return p;
}

void om_chat_clean(chat_run *c)
{
    for (chat_sb *b = c->all; b; b = b->all) {
        om_buf_release(&b->text);
        om_buf_release(&b->mask);
    }
    for (chat_chunk *k = c->chunks, *next; k; k = next) {
        next = k->next;
        om_free(k);
    }
    c->chunks = NULL;
    c->all = NULL;
}

chat_sb *om_chat_sb_new(chat_run *c)
{
    chat_sb *b = c->idle;
    if (b) {
        c->idle = b->idle;
        return b;
    }
    b = om_chat_alloc(c, 1, sizeof *b);
    b->all = c->all;
    c->all = b;
    return b;
}

static void fill_mask(chat_run *c, chat_sb *b, bool trusted, size_t n)
{
    static const unsigned char run[2][64] = {{0}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                   1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                   1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
    for (size_t k; n > 0; n -= k) {
        k = n < sizeof run[0] ? n : sizeof run[0];
        if (om_buf_add(&b->mask, run[trusted], k) != OMNI_OK)
            om_chat_fail_status(c, om_fail_memory(c->err, k, "a chat template's output"));
    }
}

void om_chat_sb_add(chat_run *c, chat_sb *b, chat_str s)
{
    if (s.n == 0)
        return;
    if (s.n > CHAT_OUTPUT_MAX - b->text.n)
        om_chat_fail(c, c->at, "the text being built is larger than %d MiB", CHAT_OUTPUT_MAX >> 20);
    om_chat_charge(c, 2 * s.n);
    om_chat_work(c, s.n);
    if (om_buf_add(&b->text, s.p, s.n) != OMNI_OK)
        om_chat_fail_status(c, om_fail_memory(c->err, s.n, "a chat template's output"));
    if (!s.mask)
        fill_mask(c, b, s.trusted, s.n);
    else if (om_buf_add(&b->mask, s.mask, s.n) != OMNI_OK)
        om_chat_fail_status(c, om_fail_memory(c->err, s.n, "a chat template's output"));
}

void om_chat_sb_byte(chat_run *c, chat_sb *b, char byte, bool trusted)
{
    chat_str s = {&byte, 1, NULL, trusted};
    om_chat_sb_add(c, b, s);
}

chat_str om_chat_sb_finish(chat_run *c, chat_sb *b)
{
    chat_str s = om_chat_bytes("", 0);
    size_t n = b->text.n;
    if (n > 0) {
        bool first = b->mask.p[0] != 0;
        char *p = om_chat_alloc(c, n, 1);
        s.p = memcpy(p, b->text.p, n);
        s.n = n;
        s.trusted = first;
        if (memchr(b->mask.p, !first, n)) {
            unsigned char *m = om_chat_alloc(c, n, 1);
            s.mask = memcpy(m, b->mask.p, n);
        }
    }
    om_buf_clear(&b->text);
    om_buf_clear(&b->mask);
    b->idle = c->idle;
    c->idle = b;
    return s;
}
