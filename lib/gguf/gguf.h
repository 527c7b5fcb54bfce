/* gguf.h - reads GGUF (versions 2 and 3, little endian) from untrusted bytes over a file map, and writes it.
 * Nothing is copied: strings, arrays and tensor data point into the map and live until om_gguf_close.
 * May include: base. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#ifndef OMNI_GGUF_H
#define OMNI_GGUF_H

#include "base/base.h"

#define OM_GGUF_MAX_DIMS 4

typedef enum om_gguf_type { /* metadata value types, the file's numbers */
                            OM_GGUF_U8,
                            OM_GGUF_I8,
                            OM_GGUF_U16,
                            OM_GGUF_I16,
                            OM_GGUF_U32,
                            OM_GGUF_I32,
                            OM_GGUF_F32,
                            OM_GGUF_BOOL,
                            OM_GGUF_STRING,
                            OM_GGUF_ARRAY,
                            OM_GGUF_U64,
                            OM_GGUF_I64,
                            OM_GGUF_F64,
} om_gguf_type;

typedef struct om_str { /* not NUL-terminated */
    const char *p;
    size_t n;
} om_str;

typedef struct om_gguf_tensor {
    om_str name;
    uint32_t type;                  /* number format as in the file: see om_type in kern.h */
    uint32_t n_dims;                /* 1..4 */
    uint64_t dim[OM_GGUF_MAX_DIMS]; /* dim[0] is the fastest (columns); unused ones are 1; all >= 1 */
    uint64_t n_elements;
    uint64_t offset;  /* from the start of the file, aligned */
    uint64_t size;    /* bytes; data lies inside the file */
    const void *data; /* NULL when the number format is unknown (size is then 0) */
} om_gguf_tensor;

typedef struct om_gguf om_gguf;

/* Everything is checked here: counts against the file's size before anything is allocated, offsets and sizes with
 * overflow-safe arithmetic, alignment, duplicate keys and tensor names, overlap, element counts a whole number of
 * blocks. An unknown number format is not an error here (tensor.data is NULL). Errors name path and byte offset. */
omni_status om_gguf_open(om_gguf **out, const char *path, omni_error *err);
/* The same over bytes the caller keeps alive; name is for messages. */
omni_status om_gguf_open_bytes(om_gguf **out, const void *bytes, size_t n, const char *name, omni_error *err);
void om_gguf_close(om_gguf *g);

const char *om_gguf_path(const om_gguf *g);
uint64_t om_gguf_file_size(const om_gguf *g);
uint32_t om_gguf_version(const om_gguf *g);

/* Metadata. The getters return E_INPUT with "key 'x': expected u32, found string" or "key 'x' is missing". Integer
 * getters accept any integer type whose value fits; float getters accept f32 and f64. */
bool om_gguf_has(const om_gguf *g, const char *key);
omni_status om_gguf_get_u32(const om_gguf *g, const char *key, uint32_t *out, omni_error *err);
omni_status om_gguf_get_u64(const om_gguf *g, const char *key, uint64_t *out, omni_error *err);
omni_status om_gguf_get_f32(const om_gguf *g, const char *key, float *out, omni_error *err);
omni_status om_gguf_get_bool(const om_gguf *g, const char *key, bool *out, omni_error *err);
omni_status om_gguf_get_str(const om_gguf *g, const char *key, om_str *out, omni_error *err);

/* An array: raw little-endian elements at p (unaligned!), or, for strings, the first length field. */
typedef struct om_gguf_array {
    om_gguf_type type;
    uint64_t n;
    const unsigned char *p;
    size_t bytes; /* all of it, already known to lie inside the file */
} om_gguf_array;
omni_status om_gguf_get_array(const om_gguf *g, const char *key, om_gguf_type elem, om_gguf_array *out,
                              omni_error *err);
/* Walks a string array: call n times with *cursor = 0 at first. Cannot fail: checked at open. */
om_str om_gguf_array_next_str(const om_gguf_array *a, size_t *cursor);
/* Element i of a fixed-width array as a double / int64 (i < n). */
int64_t om_gguf_array_i64(const om_gguf_array *a, uint64_t i);
double om_gguf_array_f64(const om_gguf_array *a, uint64_t i);

/* All keys in file order, for cards; value as short text (strings shortened, arrays as "[n] a, b, c, ..."). */
size_t om_gguf_n_keys(const om_gguf *g);
omni_status om_gguf_key_text(const om_gguf *g, size_t i, om_str *key, om_buf *value);

size_t om_gguf_n_tensors(const om_gguf *g);
const om_gguf_tensor *om_gguf_tensor_at(const om_gguf *g, size_t i);
const om_gguf_tensor *om_gguf_find(const om_gguf *g, const char *name); /* NULL when absent; hashed */

/* Name, weights a block and bytes a block of a GGUF number format; false when unknown to us. */
bool om_gguf_format(uint32_t type, const char **name, uint32_t *block, uint32_t *bytes);

/* ---- writer: collect, then write the whole file (version 3, alignment 32) ---- */
typedef struct om_gguf_writer om_gguf_writer;
omni_status om_gguf_writer_new(om_gguf_writer **out, omni_error *err);
void om_gguf_writer_free(om_gguf_writer *w);
omni_status om_gguf_put_u32(om_gguf_writer *w, const char *key, uint32_t v);
omni_status om_gguf_put_f32(om_gguf_writer *w, const char *key, float v);
omni_status om_gguf_put_bool(om_gguf_writer *w, const char *key, bool v);
omni_status om_gguf_put_str(om_gguf_writer *w, const char *key, const char *s, size_t n);
/* elements: packed little-endian values of a fixed-width type, n of them. */
omni_status om_gguf_put_array(om_gguf_writer *w, const char *key, om_gguf_type type, const void *elements, uint64_t n);
omni_status om_gguf_put_strs(om_gguf_writer *w, const char *key, const om_str *s, uint64_t n);
/* Copies one metadata entry of another file unchanged. */
omni_status om_gguf_put_copy(om_gguf_writer *w, const om_gguf *from, size_t key_index);
/* data stays the caller's and must live until the write; size is checked against type and dims. */
omni_status om_gguf_put_tensor(om_gguf_writer *w, const char *name, uint32_t type, const uint64_t *dim, uint32_t n_dims,
                               const void *data, omni_error *err);
/* Writes path.tmp-PID, syncs, renames; nothing is left behind on failure. */
omni_status om_gguf_write(const om_gguf_writer *w, const char *path, omni_error *err);
/* The same into memory (appended). */
omni_status om_gguf_write_buf(const om_gguf_writer *w, om_buf *out, omni_error *err);

#endif
