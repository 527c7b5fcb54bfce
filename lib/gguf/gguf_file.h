/* gguf_file.h - what the reader keeps of an open file; private to lib/gguf.
 * Keys and tensors are two flat tables in file order, each with an open-addressed index over its names.
 * All om_str and pointers point into the mapped bytes. */
#ifndef OMNI_GGUF_FILE_H
#define OMNI_GGUF_FILE_H

#include "base/base_file.h"
#include "gguf/gguf.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "GGUF data is used where it lies: a little-endian machine is needed"
#endif

/* More than any model has; they bound the time a hostile file can cost (its names may all collide in the index). */
#define OM_GGUF_MAX_KEYS 65536
#define OM_GGUF_MAX_TENSORS 65536
#define OM_GGUF_MAX_NAME 255    /* bytes of a key or tensor name; the format's own limits are 65535 and 64 */
#define OM_GGUF_ALIGNMENT 32    /* when general.alignment is absent */
#define OM_GGUF_MIN_ALIGNMENT 8 /* the format asks for a multiple of 8, and the kernels rely on it */
#define OM_GGUF_MAX_ALIGNMENT (1u << 20)
#define OM_GGUF_SHOW 96 /* room for a name made fit for a message */

typedef struct om_gguf_key {
    om_str name;             /* first, as in om_gguf_tensor: the index reads both */
    om_gguf_type type, elem; /* elem: of an array */
    uint64_t n;              /* elements of an array, otherwise 1 */
    size_t start, pos, end;  /* file offsets: the entry, its value (of an array: the first element), the next entry */
} om_gguf_key;

typedef struct om_gguf_slot {
    uint32_t hash, entry; /* entry 0 = free, otherwise index + 1 */
} om_gguf_slot;

typedef struct om_gguf_index {
    om_gguf_slot *slots;
    size_t mask; /* slots - 1, a power of two less one */
} om_gguf_index;

struct om_gguf {
    om_map map; /* size 0 when the bytes are the caller's */
    const unsigned char *p;
    size_t size;
    char *path;
    uint32_t version, alignment;
    om_gguf_key *keys;
    size_t n_keys, cap_keys;
    om_gguf_tensor *tensors;
    size_t n_tensors, cap_tensors;
    om_gguf_index key_index, tensor_index;
};

/* Unaligned little-endian loads. */
static inline uint32_t om_gguf_load_u32(const unsigned char *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t om_gguf_load_u64(const unsigned char *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

size_t om_gguf_type_bytes(uint32_t type);     /* of a fixed-width value; 0 for strings, arrays and unknown types */
const char *om_gguf_type_name(uint32_t type); /* "u32", "string"; "unknown" */
const char *om_gguf_show(om_str s, char out[OM_GGUF_SHOW]); /* shortened, printable: hostile names go into messages */
bool om_gguf_alignment_valid(uint64_t alignment);
/* Index of the entry named s among n entries of `stride` bytes that start with an om_str; n when absent. */
size_t om_gguf_lookup(const om_gguf_index *ix, const void *base, size_t stride, size_t n, om_str s);

#endif
