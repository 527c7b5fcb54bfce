/* Writes GGUF version 3: metadata is collected as the bytes of the file, tensor data stays the caller's. */
#include "gguf/gguf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct out_tensor {
    size_t name; /* offset of the name in om_gguf_writer.names */
    size_t name_len;
    uint32_t type, n_dims;
    uint64_t dim[OM_GGUF_MAX_DIMS];
    const void *data;
    size_t size;
} out_tensor;

struct om_gguf_writer {
    om_buf meta;  /* finished entries, one after the other */
    size_t *keys; /* their offsets in meta */
    size_t n_keys, cap_keys;
    om_buf names;
    out_tensor *tensors;
    size_t n_tensors, cap_tensors;
    uint32_t alignment;
};

omni_status om_gguf_writer_new(om_gguf_writer **out, omni_error *err)
{
    om_gguf_writer *w = om_alloc_zero(1, sizeof *w);
    if (!w)
        return om_fail_memory(err, sizeof *w, "a GGUF writer");
    w->alignment = OM_GGUF_ALIGNMENT;
    *out = w;
    return OMNI_OK;
}

void om_gguf_writer_free(om_gguf_writer *w)
{
    if (!w)
        return;
    om_buf_release(&w->meta);
    om_buf_release(&w->names);
    om_free(w->keys);
    om_free(w->tensors);
    om_free(w);
}

/* ---- metadata ---- */

static bool name_valid(const char *s, size_t n)
{
    if (n < 1 || n > OM_GGUF_MAX_NAME)
        return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] < 0x20 || s[i] > 0x7e)
            return false;
    return true;
}

static bool have_key(const om_gguf_writer *w, const char *key, size_t n)
{
    for (size_t i = 0; i < w->n_keys; i++) {
        const unsigned char *p = (const unsigned char *)w->meta.p + w->keys[i];
        if (om_gguf_load_u64(p) == n && memcmp(p + 8, key, n) == 0)
            return true;
    }
    return false;
}

/* om_buf_add for n = 0 with no pointer behind it, too. */
static omni_status add_bytes(om_buf *b, const void *p, size_t n)
{
    return n > 0 ? om_buf_add(b, p, n) : OMNI_OK;
}

static omni_status add_u32(om_buf *b, uint32_t v)
{
    return om_buf_add(b, &v, sizeof v);
}

static omni_status add_u64(om_buf *b, uint64_t v)
{
    return om_buf_add(b, &v, sizeof v);
}

static omni_status add_str(om_buf *b, const char *s, size_t n)
{
    omni_status st = add_u64(b, n);
    return st == OMNI_OK ? add_bytes(b, s, n) : st;
}

/* Starts an entry; *mark is for key_end, which keeps it or, after a failure, takes all of it back. */
static omni_status key_begin(om_gguf_writer *w, const char *key, size_t n, om_gguf_type type, size_t *mark)
{
    *mark = w->meta.n;
    if (!name_valid(key, n) || have_key(w, key, n))
        return OMNI_E_USAGE;
    omni_status s = om_grow((void **)&w->keys, &w->cap_keys, w->n_keys + 1, sizeof *w->keys, NULL);
    if (s == OMNI_OK)
        s = add_str(&w->meta, key, n);
    return s == OMNI_OK ? add_u32(&w->meta, type) : s;
}

static omni_status key_end(om_gguf_writer *w, size_t mark, omni_status s)
{
    if (s == OMNI_OK) {
        w->keys[w->n_keys++] = mark;
    } else if (w->meta.n > mark) {
        w->meta.n = mark;
        w->meta.p[mark] = '\0';
    }
    return s;
}

/* The reader takes the layout from this key, so the writer must follow it. */
static omni_status set_alignment(om_gguf_writer *w, const char *key, size_t n, uint64_t a)
{
    if (n != 17 || memcmp(key, "general.alignment", 17) != 0)
        return OMNI_OK;
    if (!om_gguf_alignment_valid(a))
        return OMNI_E_USAGE;
    w->alignment = (uint32_t)a;
    return OMNI_OK;
}

static omni_status put_fixed(om_gguf_writer *w, const char *key, om_gguf_type type, const void *v, size_t n)
{
    size_t mark;
    omni_status s = key_begin(w, key, strlen(key), type, &mark);
    if (s == OMNI_OK)
        s = om_buf_add(&w->meta, v, n);
    if (s == OMNI_OK) /* any type but u32 is refused as alignment 0 */
        s = set_alignment(w, key, strlen(key), type == OM_GGUF_U32 ? om_gguf_load_u32(v) : 0);
    return key_end(w, mark, s);
}

omni_status om_gguf_put_u32(om_gguf_writer *w, const char *key, uint32_t v)
{
    return put_fixed(w, key, OM_GGUF_U32, &v, sizeof v);
}

omni_status om_gguf_put_f32(om_gguf_writer *w, const char *key, float v)
{
    return put_fixed(w, key, OM_GGUF_F32, &v, sizeof v);
}

omni_status om_gguf_put_bool(om_gguf_writer *w, const char *key, bool v)
{
    unsigned char byte = v;
    return put_fixed(w, key, OM_GGUF_BOOL, &byte, 1);
}

omni_status om_gguf_put_str(om_gguf_writer *w, const char *key, const char *s, size_t n)
{
    size_t mark;
    omni_status st = set_alignment(w, key, strlen(key), 0);
    if (st != OMNI_OK)
        return st;
    st = key_begin(w, key, strlen(key), OM_GGUF_STRING, &mark);
    if (st == OMNI_OK)
        st = add_str(&w->meta, s, n);
    return key_end(w, mark, st);
}

static omni_status array_begin(om_gguf_writer *w, const char *key, om_gguf_type type, uint64_t n, size_t *mark)
{
    *mark = w->meta.n;
    omni_status s = set_alignment(w, key, strlen(key), 0);
    if (s == OMNI_OK)
        s = key_begin(w, key, strlen(key), OM_GGUF_ARRAY, mark);
    if (s == OMNI_OK)
        s = add_u32(&w->meta, type);
    return s == OMNI_OK ? add_u64(&w->meta, n) : s;
}

omni_status om_gguf_put_array(om_gguf_writer *w, const char *key, om_gguf_type type, const void *elements, uint64_t n)
{
    size_t mark, bytes;
    if (om_gguf_type_bytes(type) == 0 || n > SIZE_MAX || !om_mul((size_t)n, om_gguf_type_bytes(type), &bytes))
        return OMNI_E_USAGE;
    omni_status s = array_begin(w, key, type, n, &mark);
    if (s == OMNI_OK)
        s = add_bytes(&w->meta, elements, bytes);
    return key_end(w, mark, s);
}

omni_status om_gguf_put_strs(om_gguf_writer *w, const char *key, const om_str *strs, uint64_t n)
{
    size_t mark;
    omni_status s = array_begin(w, key, OM_GGUF_STRING, n, &mark);
    for (uint64_t i = 0; i < n && s == OMNI_OK; i++)
        s = add_str(&w->meta, strs[i].p, strs[i].n);
    return key_end(w, mark, s);
}

omni_status om_gguf_put_copy(om_gguf_writer *w, const om_gguf *from, size_t key_index)
{
    if (key_index >= from->n_keys)
        return OMNI_E_USAGE;
    const om_gguf_key *k = &from->keys[key_index];
    if (have_key(w, k->name.p, k->name.n))
        return OMNI_E_USAGE;
    size_t mark = w->meta.n;
    omni_status s = om_grow((void **)&w->keys, &w->cap_keys, w->n_keys + 1, sizeof *w->keys, NULL);
    if (s == OMNI_OK)
        s = om_buf_add(&w->meta, from->p + k->start, k->end - k->start);
    if (s == OMNI_OK)
        s = set_alignment(w, k->name.p, k->name.n, from->alignment);
    return key_end(w, mark, s);
}

/* ---- tensors ---- */

static omni_status tensor_size(const out_tensor *t, const char *name, size_t *size, omni_error *err)
{
    const char *format;
    uint32_t block, bytes;
    if (!om_gguf_format(t->type, &format, &block, &bytes))
        return om_fail(err, OMNI_E_USAGE, "tensor '%s': unknown number format %u", name, t->type);
    size_t n = 1;
    for (uint32_t d = 0; d < t->n_dims; d++)
        if (t->dim[d] < 1 || t->dim[d] > SIZE_MAX || !om_mul(n, (size_t)t->dim[d], &n) || n > INT64_MAX)
            return om_fail(err, OMNI_E_USAGE, "tensor '%s': dimension %u of %llu is 0 or too large", name, d,
                           (unsigned long long)t->dim[d]);
    if (t->dim[0] % block != 0)
        return om_fail(err, OMNI_E_USAGE, "tensor '%s': %llu columns are not a whole number of %s blocks of %u", name,
                       (unsigned long long)t->dim[0], format, block);
    if (!om_mul(n / block, bytes, size))
        return om_fail(err, OMNI_E_USAGE, "tensor '%s': its size exceeds the address space", name);
    return OMNI_OK;
}

omni_status om_gguf_put_tensor(om_gguf_writer *w, const char *name, uint32_t type, const uint64_t *dim, uint32_t n_dims,
                               const void *data, omni_error *err)
{
    size_t n = strlen(name);
    if (!name_valid(name, n))
        return om_fail(err, OMNI_E_USAGE, "a tensor name must be 1..%d printable ASCII bytes", OM_GGUF_MAX_NAME);
    if (n_dims < 1 || n_dims > OM_GGUF_MAX_DIMS)
        return om_fail(err, OMNI_E_USAGE, "tensor '%s': expected 1..%d dimensions, found %u", name, OM_GGUF_MAX_DIMS,
                       n_dims);
    for (size_t i = 0; i < w->n_tensors; i++)
        if (w->tensors[i].name_len == n && memcmp(w->names.p + w->tensors[i].name, name, n) == 0)
            return om_fail(err, OMNI_E_USAGE, "tensor '%s' was put twice", name);
    out_tensor t = {.name = w->names.n, .name_len = n, .type = type, .n_dims = n_dims, .data = data};
    memcpy(t.dim, dim, n_dims * sizeof *dim);
    omni_status s = tensor_size(&t, name, &t.size, err);
    if (s != OMNI_OK)
        return s;
    s = om_grow((void **)&w->tensors, &w->cap_tensors, w->n_tensors + 1, sizeof *w->tensors, err);
    if (s != OMNI_OK)
        return s;
    if (om_buf_add(&w->names, name, n) != OMNI_OK)
        return om_fail_memory(err, n, "a tensor name");
    w->tensors[w->n_tensors++] = t;
    return OMNI_OK;
}

/* ---- the file ---- */

typedef struct sink { /* where the bytes go: a file, or a buffer when fd is -1 */
    int fd;
    om_buf *buf;
    const char *path;
    size_t n; /* bytes so far */
} sink;

static omni_status emit(sink *o, const void *bytes, size_t n, omni_error *err)
{
    if (n == 0)
        return OMNI_OK;
    o->n += n;
    if (o->fd < 0)
        return om_buf_add(o->buf, bytes, n) == OMNI_OK ? OMNI_OK : om_fail_memory(err, n, "a GGUF file");
    const char *p = bytes;
    while (n > 0) {
        /* Linux writes at most 2 GiB - 4096 at once; 1 GiB is fine everywhere */
        ssize_t k = write(o->fd, p, n < (1u << 30) ? n : 1u << 30);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return om_fail_errno(err, "cannot write '%s'", o->path);
        p += k;
        n -= (size_t)k;
    }
    return OMNI_OK;
}

static omni_status emit_padding(sink *o, uint32_t alignment, omni_error *err)
{
    static const char zeros[4096];
    size_t n = (alignment - o->n % alignment) % alignment;
    omni_status s = OMNI_OK;
    for (; n > 0 && s == OMNI_OK; n -= n < sizeof zeros ? n : sizeof zeros)
        s = emit(o, zeros, n < sizeof zeros ? n : sizeof zeros, err);
    return s;
}

/* Magic, counts, metadata and tensor table. */
static omni_status build_head(const om_gguf_writer *w, om_buf *b)
{
    omni_status s = om_buf_add(b, "GGUF", 4);
    if (s == OMNI_OK)
        s = add_u32(b, 3);
    if (s == OMNI_OK)
        s = add_u64(b, w->n_tensors);
    if (s == OMNI_OK)
        s = add_u64(b, w->n_keys);
    if (s == OMNI_OK)
        s = add_bytes(b, w->meta.p, w->meta.n);
    size_t offset = 0;
    for (size_t i = 0; i < w->n_tensors && s == OMNI_OK; i++) {
        const out_tensor *t = &w->tensors[i];
        size_t end;
        s = add_str(b, w->names.p + t->name, t->name_len);
        if (s == OMNI_OK)
            s = add_u32(b, t->n_dims);
        if (s == OMNI_OK)
            s = om_buf_add(b, t->dim, t->n_dims * sizeof *t->dim);
        if (s == OMNI_OK)
            s = add_u32(b, t->type);
        if (s == OMNI_OK)
            s = add_u64(b, offset);
        if (!om_add(offset, t->size, &end) || !om_align_up(end, w->alignment, &offset))
            return OMNI_E_USAGE;
    }
    return s;
}

static omni_status write_all(const om_gguf_writer *w, sink *o, omni_error *err)
{
    om_buf head = {0};
    omni_status s = build_head(w, &head);
    if (s != OMNI_OK)
        s = s == OMNI_E_USAGE ? om_fail(err, s, "the tensors together exceed the address space")
                              : om_fail_memory(err, w->meta.n, "the head of a GGUF file");
    else
        s = emit(o, head.p, head.n, err);
    om_buf_release(&head);
    if (s == OMNI_OK && w->n_tensors > 0)
        s = emit_padding(o, w->alignment, err);
    for (size_t i = 0; i < w->n_tensors && s == OMNI_OK; i++) {
        s = emit(o, w->tensors[i].data, w->tensors[i].size, err);
        if (s == OMNI_OK)
            s = emit_padding(o, w->alignment, err);
    }
    return s;
}

omni_status om_gguf_write_buf(const om_gguf_writer *w, om_buf *out, omni_error *err)
{
    size_t before = out->n;
    sink o = {.fd = -1, .buf = out, .path = "memory"};
    omni_status s = write_all(w, &o, err);
    if (s != OMNI_OK)
        out->n = before;
    return s;
}

/* A new file of our own; one left by a dead process with our number is removed first. */
static int create_new(const char *path)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = open(path, flags, 0666);
    if (fd < 0 && errno == EEXIST && unlink(path) == 0)
        fd = open(path, flags, 0666);
    return fd;
}

static omni_status write_and_sync(const om_gguf_writer *w, const char *tmp, omni_error *err)
{
    int fd = create_new(tmp);
    if (fd < 0)
        return om_fail_errno(err, "cannot create '%s'", tmp);
    sink o = {.fd = fd, .path = tmp};
    omni_status s = write_all(w, &o, err);
    if (s == OMNI_OK && fsync(fd) != 0)
        s = om_fail_errno(err, "cannot write '%s'", tmp);
    if (close(fd) != 0 && s == OMNI_OK)
        s = om_fail_errno(err, "cannot write '%s'", tmp);
    return s;
}

omni_status om_gguf_write(const om_gguf_writer *w, const char *path, omni_error *err)
{
    om_buf tmp = {0};
    omni_status s = om_buf_addf(&tmp, "%s.tmp-%ld", path, (long)getpid());
    if (s != OMNI_OK) {
        om_buf_release(&tmp);
        return om_fail_memory(err, strlen(path) + 32, "a path");
    }
    s = write_and_sync(w, tmp.p, err);
    if (s == OMNI_OK && rename(tmp.p, path) != 0)
        s = om_fail_errno(err, "cannot rename '%s' to '%s'", tmp.p, path);
    if (s != OMNI_OK)
        unlink(tmp.p); /* nothing to add when this fails too */
    om_buf_release(&tmp);
    return s;
}
