/* Opens a GGUF file: one walk over header, metadata and tensor table, after which every string, array and tensor is
 * known to lie inside the file. */
#include "gguf/gguf_file.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct walk { /* the place in the file while it is being opened */
    om_gguf *g;
    size_t pos;
    omni_error *err;
} walk;

OMNI_PRINTF(3, 4) static omni_status bad_at(const walk *w, size_t pos, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return om_fail(w->err, OMNI_E_INPUT, "%s: byte %zu: %s", w->g->path, pos, text);
}

static size_t left(const walk *w)
{
    return w->g->size - w->pos;
}

static omni_status take(walk *w, size_t n, const char *what, const unsigned char **p)
{
    *p = w->g->p + w->pos;
    if (n > left(w))
        return bad_at(w, w->pos, "expected %zu bytes of %s, found %zu: the file is cut short", n, what, left(w));
    w->pos += n;
    return OMNI_OK;
}

static omni_status take_u32(walk *w, const char *what, uint32_t *out)
{
    const unsigned char *p;
    omni_status s = take(w, 4, what, &p);
    if (s == OMNI_OK)
        *out = om_gguf_load_u32(p);
    return s;
}

static omni_status take_u64(walk *w, const char *what, uint64_t *out)
{
    const unsigned char *p;
    omni_status s = take(w, 8, what, &p);
    if (s == OMNI_OK)
        *out = om_gguf_load_u64(p);
    return s;
}

/* A key or tensor name. The format asks for ASCII; printable only, so that cards and messages need no care. */
static omni_status take_name(walk *w, const char *what, om_str *out)
{
    size_t at = w->pos;
    uint64_t n = 0;
    omni_status s = take_u64(w, what, &n);
    if (s != OMNI_OK)
        return s;
    if (n < 1 || n > OM_GGUF_MAX_NAME)
        return bad_at(w, at, "expected a %s of 1..%d bytes, found %" PRIu64, what, OM_GGUF_MAX_NAME, n);
    const unsigned char *p;
    if ((s = take(w, (size_t)n, what, &p)) != OMNI_OK)
        return s;
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] > 0x7e)
            return bad_at(w, at + 8 + i, "expected printable ASCII in a %s, found byte 0x%02x", what, p[i]);
    *out = (om_str){(const char *)p, (size_t)n};
    return OMNI_OK;
}

/* ---- index over names ---- */

static om_str name_at(const void *base, size_t stride, size_t i)
{
    om_str s;
    memcpy(&s, (const char *)base + i * stride, sizeof s);
    return s;
}

size_t om_gguf_lookup(const om_gguf_index *ix, const void *base, size_t stride, size_t n, om_str s)
{
    if (!ix->slots)
        return n;
    uint32_t h = (uint32_t)om_hash_bytes(s.p, s.n);
    for (size_t i = h & ix->mask; ix->slots[i].entry; i = (i + 1) & ix->mask) {
        if (ix->slots[i].hash != h)
            continue;
        om_str have = name_at(base, stride, ix->slots[i].entry - 1);
        if (have.n == s.n && memcmp(have.p, s.p, s.n) == 0)
            return ix->slots[i].entry - 1;
    }
    return n;
}

/* *dup = the first entry whose name occurred before, n when there is none. */
static omni_status index_build(om_gguf_index *ix, const void *base, size_t stride, size_t n, size_t *dup,
                               omni_error *err)
{
    *dup = n;
    if (n == 0)
        return OMNI_OK;
    size_t cap = 16;
    while (cap < 2 * n)
        cap *= 2;
    ix->slots = om_alloc_zero(cap, sizeof *ix->slots);
    if (!ix->slots)
        return om_fail_memory(err, cap * sizeof *ix->slots, "the index of a GGUF file");
    ix->mask = cap - 1;
    for (size_t k = 0; k < n; k++) {
        om_str s = name_at(base, stride, k);
        if (om_gguf_lookup(ix, base, stride, n, s) != n) {
            *dup = k;
            return OMNI_OK;
        }
        uint32_t h = (uint32_t)om_hash_bytes(s.p, s.n);
        size_t i = h & ix->mask;
        while (ix->slots[i].entry)
            i = (i + 1) & ix->mask;
        ix->slots[i] = (om_gguf_slot){h, (uint32_t)k + 1};
    }
    return OMNI_OK;
}

/* ---- header ---- */

static omni_status read_header(walk *w, uint64_t *n_tensors, uint64_t *n_keys)
{
    om_gguf *g = w->g;
    const unsigned char *magic;
    if (g->size == 0)
        return bad_at(w, 0, "expected a GGUF file, found an empty one");
    omni_status s = take(w, 4, "magic", &magic);
    if (s != OMNI_OK)
        return s;
    if (memcmp(magic, "GGUF", 4) != 0)
        return bad_at(w, 0, "expected the magic 'GGUF', found %02x %02x %02x %02x: not a GGUF file", magic[0], magic[1],
                      magic[2], magic[3]);
    if ((s = take_u32(w, "version", &g->version)) != OMNI_OK)
        return s;
    if (g->version && (g->version & 0xffff) == 0)
        return bad_at(w, 4, "expected a little-endian file, found a big-endian one (version %u swapped)",
                      __builtin_bswap32(g->version));
    if (g->version < 2 || g->version > 3)
        return bad_at(w, 4, "expected GGUF version 2 or 3, found %u", g->version);
    if ((s = take_u64(w, "the number of tensors", n_tensors)) != OMNI_OK)
        return s;
    if ((s = take_u64(w, "the number of keys", n_keys)) != OMNI_OK)
        return s;
    /* least sizes of an entry: a name of one byte with its length, then type and value, or dims, type and offset */
    const uint64_t key_min = 8 + 1 + 4 + 1, tensor_min = 8 + 1 + 4 + 8 + 4 + 8;
    if (*n_tensors > OM_GGUF_MAX_TENSORS || *n_tensors > left(w) / tensor_min)
        return bad_at(w, 8, "%" PRIu64 " tensors do not fit in the file's %zu bytes (at most %d are read)", *n_tensors,
                      g->size, OM_GGUF_MAX_TENSORS);
    if (*n_keys > OM_GGUF_MAX_KEYS || *n_keys > left(w) / key_min)
        return bad_at(w, 16, "%" PRIu64 " keys do not fit in the file's %zu bytes (at most %d are read)", *n_keys,
                      g->size, OM_GGUF_MAX_KEYS);
    return OMNI_OK;
}

/* ---- metadata ---- */

/* Steps over n strings. 100,000 of them in a usual vocabulary with its merges: keep the loop small. */
static omni_status skip_strings(walk *w, uint64_t n, om_str key)
{
    const unsigned char *p = w->g->p;
    size_t pos = w->pos, size = w->g->size;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t len = size - pos >= 8 ? om_gguf_load_u64(p + pos) : 0;
        if (size - pos < 8 || len > size - pos - 8) {
            char name[OM_GGUF_SHOW];
            return bad_at(w, pos, "key '%s': string %" PRIu64 " of %" PRIu64 " runs beyond the file's %zu bytes",
                          om_gguf_show(key, name), i, n, size);
        }
        pos += 8 + (size_t)len;
    }
    w->pos = pos;
    return OMNI_OK;
}

static omni_status read_array(walk *w, om_gguf_key *k)
{
    char name[OM_GGUF_SHOW];
    size_t at = w->pos;
    uint32_t elem = 0;
    omni_status s = take_u32(w, "array type", &elem);
    if (s != OMNI_OK)
        return s;
    if (elem == OM_GGUF_ARRAY)
        return bad_at(w, at, "key '%s': arrays of arrays are not supported", om_gguf_show(k->name, name));
    if (elem > OM_GGUF_F64)
        return bad_at(w, at, "key '%s': unknown array type %u", om_gguf_show(k->name, name), elem);
    k->elem = (om_gguf_type)elem;
    at = w->pos;
    if ((s = take_u64(w, "array length", &k->n)) != OMNI_OK)
        return s;
    k->pos = w->pos;
    size_t width = elem == OM_GGUF_STRING ? 8 : om_gguf_type_bytes(elem); /* a string's least: its length */
    if (k->n > left(w) / width)
        return bad_at(w, at, "key '%s': %" PRIu64 " elements of type %s do not fit in the %zu bytes left",
                      om_gguf_show(k->name, name), k->n, om_gguf_type_name(elem), left(w));
    if (elem == OM_GGUF_STRING)
        return skip_strings(w, k->n, k->name);
    w->pos += (size_t)k->n * width;
    return OMNI_OK;
}

static omni_status read_key(walk *w, om_gguf_key *k)
{
    k->start = w->pos;
    omni_status s = take_name(w, "key", &k->name);
    if (s != OMNI_OK)
        return s;
    size_t at = w->pos;
    uint32_t type = 0;
    if ((s = take_u32(w, "value type", &type)) != OMNI_OK)
        return s;
    char name[OM_GGUF_SHOW];
    if (type > OM_GGUF_F64)
        return bad_at(w, at, "key '%s': unknown value type %u", om_gguf_show(k->name, name), type);
    k->type = k->elem = (om_gguf_type)type;
    k->n = 1;
    k->pos = w->pos;
    const unsigned char *p;
    if (type == OM_GGUF_ARRAY)
        s = read_array(w, k);
    else if (type == OM_GGUF_STRING)
        s = skip_strings(w, 1, k->name);
    else
        s = take(w, om_gguf_type_bytes(type), "a value", &p);
    k->end = w->pos;
    return s;
}

/* Tables grow with what has been read, never with what the header claims. */
static omni_status read_keys(walk *w, uint64_t n)
{
    om_gguf *g = w->g;
    for (uint64_t i = 0; i < n; i++) {
        omni_status s = om_grow((void **)&g->keys, &g->cap_keys, g->n_keys + 1, sizeof *g->keys, w->err);
        if (s == OMNI_OK)
            s = read_key(w, &g->keys[g->n_keys]);
        if (s != OMNI_OK)
            return s;
        g->n_keys++;
    }
    size_t dup;
    omni_status s = index_build(&g->key_index, g->keys, sizeof *g->keys, g->n_keys, &dup, w->err);
    if (s != OMNI_OK)
        return s;
    char name[OM_GGUF_SHOW];
    if (dup != g->n_keys)
        return bad_at(w, g->keys[dup].start, "key '%s' occurs twice", om_gguf_show(g->keys[dup].name, name));
    return OMNI_OK;
}

bool om_gguf_alignment_valid(uint64_t a)
{
    return a >= OM_GGUF_MIN_ALIGNMENT && a <= OM_GGUF_MAX_ALIGNMENT && (a & (a - 1)) == 0;
}

static omni_status read_alignment(walk *w)
{
    om_gguf *g = w->g;
    g->alignment = OM_GGUF_ALIGNMENT;
    const om_str key = {"general.alignment", 17};
    size_t i = om_gguf_lookup(&g->key_index, g->keys, sizeof *g->keys, g->n_keys, key);
    if (i == g->n_keys)
        return OMNI_OK;
    uint64_t a;
    omni_status s = om_gguf_get_u64(g, "general.alignment", &a, w->err);
    if (s != OMNI_OK)
        return s;
    if (!om_gguf_alignment_valid(a))
        return bad_at(w, g->keys[i].pos, "general.alignment: expected a power of two from %d to %u, found %" PRIu64,
                      OM_GGUF_MIN_ALIGNMENT, OM_GGUF_MAX_ALIGNMENT, a);
    g->alignment = (uint32_t)a;
    return OMNI_OK;
}

/* ---- tensors ---- */

static omni_status read_dims(walk *w, size_t start, om_gguf_tensor *t)
{
    char name[OM_GGUF_SHOW];
    size_t at = w->pos;
    omni_status s = take_u32(w, "the number of dimensions", &t->n_dims);
    if (s != OMNI_OK)
        return s;
    if (t->n_dims < 1 || t->n_dims > OM_GGUF_MAX_DIMS)
        return bad_at(w, at, "tensor '%s': expected 1..%d dimensions, found %u", om_gguf_show(t->name, name),
                      OM_GGUF_MAX_DIMS, t->n_dims);
    t->n_elements = 1;
    for (uint32_t d = 0; d < OM_GGUF_MAX_DIMS; d++) {
        at = w->pos;
        t->dim[d] = 1;
        if (d < t->n_dims && (s = take_u64(w, "a dimension", &t->dim[d])) != OMNI_OK)
            return s;
        if (t->dim[d] == 0)
            return bad_at(w, at, "tensor '%s': dimension %u is 0", om_gguf_show(t->name, name), d);
        /* INT64_MAX, so that counts stay usable as signed numbers */
        if (__builtin_mul_overflow(t->n_elements, t->dim[d], &t->n_elements) || t->n_elements > INT64_MAX)
            return bad_at(w, start, "tensor '%s': the dimensions multiply to more than 2^63 weights",
                          om_gguf_show(t->name, name));
    }
    return OMNI_OK;
}

/* offset is left relative to the data section, which starts where the table ends. */
static omni_status read_tensor(walk *w, om_gguf_tensor *t)
{
    char name[OM_GGUF_SHOW];
    size_t start = w->pos;
    omni_status s = take_name(w, "tensor name", &t->name);
    if (s != OMNI_OK || (s = read_dims(w, start, t)) != OMNI_OK)
        return s;
    if ((s = take_u32(w, "the tensor type", &t->type)) != OMNI_OK)
        return s;
    size_t at = w->pos;
    if ((s = take_u64(w, "the tensor offset", &t->offset)) != OMNI_OK)
        return s;
    if (t->offset % w->g->alignment != 0)
        return bad_at(w, at, "tensor '%s': offset %" PRIu64 " is not a multiple of the alignment %u",
                      om_gguf_show(t->name, name), t->offset, w->g->alignment);
    uint32_t block, bytes;
    t->size = 0;
    t->data = NULL;
    if (!om_gguf_format(t->type, NULL, &block, &bytes))
        return OMNI_OK;
    if (t->dim[0] % block != 0)
        return bad_at(w, start, "tensor '%s': %" PRIu64 " columns are not a whole number of blocks of %u",
                      om_gguf_show(t->name, name), t->dim[0], block);
    if (__builtin_mul_overflow(t->n_elements / block, (uint64_t)bytes, &t->size))
        return bad_at(w, start, "tensor '%s': its size exceeds 2^64 bytes", om_gguf_show(t->name, name));
    return OMNI_OK;
}

/* Turns relative offsets into places in the file. */
static omni_status place_tensor(const walk *w, uint64_t data_start, om_gguf_tensor *t)
{
    char name[OM_GGUF_SHOW];
    size_t at = (size_t)((const unsigned char *)t->name.p - w->g->p) - 8; /* of the tensor's entry */
    uint64_t end;
    if (__builtin_add_overflow(t->offset, data_start, &t->offset) || __builtin_add_overflow(t->offset, t->size, &end))
        return bad_at(w, at, "tensor '%s': its offset exceeds 2^64 bytes", om_gguf_show(t->name, name));
    if (end > w->g->size)
        return bad_at(w, at, "tensor '%s' ends at %" PRIu64 ", beyond the file's %zu bytes",
                      om_gguf_show(t->name, name), end, w->g->size);
    if (t->size > 0)
        t->data = w->g->p + t->offset;
    return OMNI_OK;
}

static int by_offset(const void *a, const void *b)
{
    const om_gguf_tensor *x = *(const om_gguf_tensor *const *)a, *y = *(const om_gguf_tensor *const *)b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x < y ? -1 : x > y;
}

static omni_status check_overlap(const walk *w)
{
    const om_gguf *g = w->g;
    const om_gguf_tensor **order = om_alloc_zero(g->n_tensors, sizeof *order);
    if (!order)
        return om_fail_memory(w->err, g->n_tensors * sizeof *order, "the order of tensors");
    size_t n = 0;
    bool sorted = true;
    for (size_t i = 0; i < g->n_tensors; i++) {
        if (g->tensors[i].size == 0)
            continue;
        order[n++] = &g->tensors[i];
        sorted = sorted && (n < 2 || order[n - 2]->offset <= order[n - 1]->offset);
    }
    if (!sorted)
        qsort(order, n, sizeof *order, by_offset);
    omni_status s = OMNI_OK;
    for (size_t i = 1; i < n && s == OMNI_OK; i++) {
        const om_gguf_tensor *a = order[i - 1], *b = order[i];
        char x[OM_GGUF_SHOW], y[OM_GGUF_SHOW];
        if (a->offset + a->size > b->offset)
            s = bad_at(w, (size_t)b->offset, "tensor '%s' starts inside tensor '%s', which ends at %" PRIu64,
                       om_gguf_show(b->name, y), om_gguf_show(a->name, x), a->offset + a->size);
    }
    om_free(order);
    return s;
}

static omni_status read_tensors(walk *w, uint64_t n)
{
    om_gguf *g = w->g;
    omni_status s = OMNI_OK;
    for (uint64_t i = 0; i < n; i++) {
        s = om_grow((void **)&g->tensors, &g->cap_tensors, g->n_tensors + 1, sizeof *g->tensors, w->err);
        if (s == OMNI_OK)
            s = read_tensor(w, &g->tensors[g->n_tensors]);
        if (s != OMNI_OK)
            return s;
        g->n_tensors++;
    }
    size_t data_start, dup;
    if (!om_align_up(w->pos, g->alignment, &data_start))
        return bad_at(w, w->pos, "no room for tensor data");
    for (size_t i = 0; i < g->n_tensors; i++)
        if ((s = place_tensor(w, data_start, &g->tensors[i])) != OMNI_OK)
            return s;
    if ((s = index_build(&g->tensor_index, g->tensors, sizeof *g->tensors, g->n_tensors, &dup, w->err)) != OMNI_OK)
        return s;
    char name[OM_GGUF_SHOW];
    if (dup != g->n_tensors) {
        om_str t = g->tensors[dup].name;
        return bad_at(w, (size_t)((const unsigned char *)t.p - g->p) - 8, "tensor '%s' occurs twice",
                      om_gguf_show(t, name));
    }
    return check_overlap(w);
}

/* ---- open and close ---- */

static omni_status walk_file(om_gguf *g, omni_error *err)
{
    walk w = {g, 0, err};
    uint64_t n_tensors = 0, n_keys = 0;
    omni_status s = read_header(&w, &n_tensors, &n_keys);
    if (s == OMNI_OK)
        s = read_keys(&w, n_keys);
    if (s == OMNI_OK)
        s = read_alignment(&w);
    if (s == OMNI_OK)
        s = read_tensors(&w, n_tensors);
    return s;
}

static omni_status gguf_new(om_gguf **out, const char *path, omni_error *err)
{
    om_gguf *g = om_alloc_zero(1, sizeof *g);
    if (!g)
        return om_fail_memory(err, sizeof *g, "a GGUF file");
    g->path = om_strndup(path, strlen(path));
    if (!g->path) {
        om_free(g);
        return om_fail_memory(err, strlen(path) + 1, "a path");
    }
    *out = g;
    return OMNI_OK;
}

omni_status om_gguf_open_bytes(om_gguf **out, const void *bytes, size_t n, const char *name, omni_error *err)
{
    om_gguf *g;
    omni_status s = gguf_new(&g, name, err);
    if (s != OMNI_OK)
        return s;
    g->p = bytes;
    g->size = n;
    if ((s = walk_file(g, err)) != OMNI_OK) {
        om_gguf_close(g);
        return s;
    }
    *out = g;
    return OMNI_OK;
}

omni_status om_gguf_open(om_gguf **out, const char *path, omni_error *err)
{
    om_gguf *g;
    omni_status s = gguf_new(&g, path, err);
    if (s != OMNI_OK)
        return s;
    if ((s = om_map_open(&g->map, path, err)) == OMNI_OK) {
        g->p = g->map.p;
        g->size = g->map.size;
        s = walk_file(g, err);
    }
    if (s != OMNI_OK) {
        om_gguf_close(g);
        return s;
    }
    *out = g;
    return OMNI_OK;
}

void om_gguf_close(om_gguf *g)
{
    if (!g)
        return;
    if (g->map.size > 0)
        om_map_close(&g->map);
    om_free(g->key_index.slots);
    om_free(g->tensor_index.slots);
    om_free(g->keys);
    om_free(g->tensors);
    om_free(g->path);
    om_free(g);
}
