/* Reading an open GGUF file: typed metadata, arrays, tensors, short texts for cards. */
#include "gguf/gguf_file.h"

#include <inttypes.h>
#include <string.h>

/* ---- types and number formats ---- */

static const struct value_type {
    const char *name;
    size_t bytes;
} value_types[] = {
    [OM_GGUF_U8] = {"u8", 1},       [OM_GGUF_I8] = {"i8", 1},     [OM_GGUF_U16] = {"u16", 2},
    [OM_GGUF_I16] = {"i16", 2},     [OM_GGUF_U32] = {"u32", 4},   [OM_GGUF_I32] = {"i32", 4},
    [OM_GGUF_F32] = {"f32", 4},     [OM_GGUF_BOOL] = {"bool", 1}, [OM_GGUF_STRING] = {"string", 0},
    [OM_GGUF_ARRAY] = {"array", 0}, [OM_GGUF_U64] = {"u64", 8},   [OM_GGUF_I64] = {"i64", 8},
    [OM_GGUF_F64] = {"f64", 8},
};

size_t om_gguf_type_bytes(uint32_t type)
{
    return type <= OM_GGUF_F64 ? value_types[type].bytes : 0;
}

const char *om_gguf_type_name(uint32_t type)
{
    return type <= OM_GGUF_F64 ? value_types[type].name : "unknown";
}

/* ggml's list (ggml.h, enum ggml_type); also formats we cannot compute with, so that sizes are checked and messages
 * can name them. */
static const struct format {
    const char *name;
    uint32_t block, bytes;
} formats[] = {
    [0] = {"F32", 1, 4},         [1] = {"F16", 1, 2},         [2] = {"Q4_0", 32, 18},      [3] = {"Q4_1", 32, 20},
    [6] = {"Q5_0", 32, 22},      [7] = {"Q5_1", 32, 24},      [8] = {"Q8_0", 32, 34},      [9] = {"Q8_1", 32, 36},
    [10] = {"Q2_K", 256, 84},    [11] = {"Q3_K", 256, 110},   [12] = {"Q4_K", 256, 144},   [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},   [15] = {"Q8_K", 256, 292},   [16] = {"IQ2_XXS", 256, 66}, [17] = {"IQ2_XS", 256, 74},
    [18] = {"IQ3_XXS", 256, 98}, [19] = {"IQ1_S", 256, 50},   [20] = {"IQ4_NL", 32, 18},   [21] = {"IQ3_S", 256, 110},
    [22] = {"IQ2_S", 256, 82},   [23] = {"IQ4_XS", 256, 136}, [24] = {"I8", 1, 1},         [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},        [27] = {"I64", 1, 8},        [28] = {"F64", 1, 8},        [29] = {"IQ1_M", 256, 56},
    [30] = {"BF16", 1, 2},       [34] = {"TQ1_0", 256, 54},   [35] = {"TQ2_0", 256, 66},   [39] = {"MXFP4", 32, 17},
};

bool om_gguf_format(uint32_t type, const char **name, uint32_t *block, uint32_t *bytes)
{
    if (type >= sizeof formats / sizeof *formats || !formats[type].name)
        return false;
    if (name)
        *name = formats[type].name;
    if (block)
        *block = formats[type].block;
    if (bytes)
        *bytes = formats[type].bytes;
    return true;
}

const char *om_gguf_show(om_str s, char out[OM_GGUF_SHOW])
{
    size_t n = s.n < OM_GGUF_SHOW - 4 ? s.n : OM_GGUF_SHOW - 4;
    for (size_t i = 0; i < n; i++)
        out[i] = s.p[i] >= 0x20 && s.p[i] <= 0x7e ? s.p[i] : '?';
    memcpy(out + n, n < s.n ? "..." : "", n < s.n ? 4 : 1);
    return out;
}

/* ---- the file ---- */

const char *om_gguf_path(const om_gguf *g)
{
    return g->path;
}

uint64_t om_gguf_file_size(const om_gguf *g)
{
    return g->size;
}

uint32_t om_gguf_version(const om_gguf *g)
{
    return g->version;
}

/* ---- single values ---- */

static const om_gguf_key *find_key(const om_gguf *g, const char *key)
{
    size_t i = om_gguf_lookup(&g->key_index, g->keys, sizeof *g->keys, g->n_keys, (om_str){key, strlen(key)});
    return i < g->n_keys ? &g->keys[i] : NULL;
}

static omni_status missing(const om_gguf *g, const char *key, omni_error *err)
{
    return om_fail(err, OMNI_E_INPUT, "%s: key '%s' is missing", g->path, key);
}

static omni_status mismatch(const om_gguf *g, const om_gguf_key *k, const char *expected, omni_error *err)
{
    char name[OM_GGUF_SHOW];
    bool array = k->type == OM_GGUF_ARRAY;
    return om_fail(err, OMNI_E_INPUT, "%s: byte %zu: key '%s': expected %s, found %s%s", g->path, k->pos,
                   om_gguf_show(k->name, name), expected, array ? "array of " : "", om_gguf_type_name(k->elem));
}

bool om_gguf_has(const om_gguf *g, const char *key)
{
    return find_key(g, key) != NULL;
}

static bool is_integer(om_gguf_type t)
{
    return t <= OM_GGUF_I32 || t == OM_GGUF_U64 || t == OM_GGUF_I64;
}

/* One value of a fixed-width integer type. For U64 the bits of the value. */
static int64_t load_int(om_gguf_type t, const unsigned char *p)
{
    switch (t) {
    case OM_GGUF_U8:
    case OM_GGUF_BOOL:
        return p[0];
    case OM_GGUF_I8:
        return (int8_t)p[0];
    case OM_GGUF_U16:
        return (uint16_t)(p[0] | p[1] << 8);
    case OM_GGUF_I16:
        return (int16_t)(uint16_t)(p[0] | p[1] << 8);
    case OM_GGUF_U32:
        return om_gguf_load_u32(p);
    case OM_GGUF_I32:
        return (int32_t)om_gguf_load_u32(p);
    case OM_GGUF_U64:
    case OM_GGUF_I64:
        return (int64_t)om_gguf_load_u64(p);
    default:
        return 0;
    }
}

static double load_float(om_gguf_type t, const unsigned char *p)
{
    float f = 0;
    double d = 0;
    if (t == OM_GGUF_F32) {
        memcpy(&f, p, sizeof f);
        return (double)f;
    }
    if (t == OM_GGUF_F64)
        memcpy(&d, p, sizeof d);
    return d;
}

static omni_status get_unsigned(const om_gguf *g, const char *key, uint64_t max, const char *expected, uint64_t *out,
                                omni_error *err)
{
    const om_gguf_key *k = find_key(g, key);
    if (!k)
        return missing(g, key, err);
    if (!is_integer(k->type))
        return mismatch(g, k, expected, err);
    int64_t v = load_int(k->type, g->p + k->pos);
    if (v < 0 && k->type != OM_GGUF_U64)
        return om_fail(err, OMNI_E_INPUT, "%s: byte %zu: key '%s': expected %s, found %" PRId64, g->path, k->pos, key,
                       expected, v);
    if ((uint64_t)v > max)
        return om_fail(err, OMNI_E_INPUT, "%s: byte %zu: key '%s': expected %s, found %" PRIu64, g->path, k->pos, key,
                       expected, (uint64_t)v);
    *out = (uint64_t)v;
    return OMNI_OK;
}

omni_status om_gguf_get_u32(const om_gguf *g, const char *key, uint32_t *out, omni_error *err)
{
    uint64_t v;
    omni_status s = get_unsigned(g, key, UINT32_MAX, "u32", &v, err);
    if (s == OMNI_OK)
        *out = (uint32_t)v;
    return s;
}

omni_status om_gguf_get_u64(const om_gguf *g, const char *key, uint64_t *out, omni_error *err)
{
    return get_unsigned(g, key, UINT64_MAX, "u64", out, err);
}

omni_status om_gguf_get_f32(const om_gguf *g, const char *key, float *out, omni_error *err)
{
    const om_gguf_key *k = find_key(g, key);
    if (!k)
        return missing(g, key, err);
    if (k->type != OM_GGUF_F32 && k->type != OM_GGUF_F64)
        return mismatch(g, k, "f32", err);
    *out = (float)load_float(k->type, g->p + k->pos);
    return OMNI_OK;
}

omni_status om_gguf_get_bool(const om_gguf *g, const char *key, bool *out, omni_error *err)
{
    const om_gguf_key *k = find_key(g, key);
    if (!k)
        return missing(g, key, err);
    if (k->type != OM_GGUF_BOOL)
        return mismatch(g, k, "bool", err);
    *out = g->p[k->pos] != 0;
    return OMNI_OK;
}

static om_str load_str(const unsigned char *p)
{
    return (om_str){(const char *)p + 8, (size_t)om_gguf_load_u64(p)};
}

omni_status om_gguf_get_str(const om_gguf *g, const char *key, om_str *out, omni_error *err)
{
    const om_gguf_key *k = find_key(g, key);
    if (!k)
        return missing(g, key, err);
    if (k->type != OM_GGUF_STRING)
        return mismatch(g, k, "string", err);
    *out = load_str(g->p + k->pos);
    return OMNI_OK;
}

/* ---- arrays ---- */

static om_gguf_array array_of(const om_gguf *g, const om_gguf_key *k)
{
    return (om_gguf_array){k->elem, k->n, g->p + k->pos, k->end - k->pos};
}

omni_status om_gguf_get_array(const om_gguf *g, const char *key, om_gguf_type elem, om_gguf_array *out, omni_error *err)
{
    const om_gguf_key *k = find_key(g, key);
    if (!k)
        return missing(g, key, err);
    if (k->type != OM_GGUF_ARRAY || k->elem != elem) {
        char expected[32] = "array of ";
        return mismatch(g, k, strncat(expected, om_gguf_type_name(elem), 16), err);
    }
    *out = array_of(g, k);
    return OMNI_OK;
}

om_str om_gguf_array_next_str(const om_gguf_array *a, size_t *cursor)
{
    om_str s = load_str(a->p + *cursor);
    *cursor += 8 + s.n;
    return s;
}

int64_t om_gguf_array_i64(const om_gguf_array *a, uint64_t i)
{
    const unsigned char *p = a->p + i * om_gguf_type_bytes(a->type);
    if (a->type != OM_GGUF_F32 && a->type != OM_GGUF_F64)
        return load_int(a->type, p);
    double d = load_float(a->type, p);
    return d >= -0x1p63 && d < 0x1p63 ? (int64_t)d : 0; /* also 0 for NaN */
}

double om_gguf_array_f64(const om_gguf_array *a, uint64_t i)
{
    const unsigned char *p = a->p + i * om_gguf_type_bytes(a->type);
    if (a->type == OM_GGUF_F32 || a->type == OM_GGUF_F64)
        return load_float(a->type, p);
    int64_t v = load_int(a->type, p);
    return a->type == OM_GGUF_U64 ? (double)(uint64_t)v : (double)v;
}

/* ---- texts for cards ---- */

#define TEXT_STRING 100 /* bytes shown of a string, */
#define TEXT_ELEMENT 24 /* of a string in an array, */
#define TEXT_ELEMENTS 6 /* and elements of an array */

/* At most max bytes of s, whole characters, on one line: control characters and invalid bytes are escaped. */
static omni_status text_string(om_buf *b, om_str s, size_t max)
{
    omni_status st = OMNI_OK;
    size_t i = 0;
    while (i < s.n && i < max && st == OMNI_OK) {
        unsigned char c = (unsigned char)s.p[i];
        int len = om_utf8_next(s.p + i, s.n - i, NULL);
        if (c == '\n' || c == '\t' || c == '\r')
            st = om_buf_addf(b, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
        else if (len < 1 || c < 0x20 || c == 0x7f)
            st = om_buf_addf(b, "\\x%02x", c);
        else
            st = om_buf_add(b, s.p + i, (size_t)len);
        i += len < 1 ? 1 : (size_t)len;
    }
    return st == OMNI_OK && i < s.n ? om_buf_add(b, "...", 3) : st;
}

static omni_status text_fixed(om_buf *b, om_gguf_type t, const unsigned char *p)
{
    switch (t) {
    case OM_GGUF_BOOL:
        return om_buf_addf(b, "%s", p[0] ? "true" : "false");
    case OM_GGUF_F32:
    case OM_GGUF_F64:
        return om_buf_addf(b, "%.9g", load_float(t, p));
    case OM_GGUF_U64:
        return om_buf_addf(b, "%" PRIu64, om_gguf_load_u64(p));
    default:
        return om_buf_addf(b, "%" PRId64, load_int(t, p));
    }
}

static omni_status text_array(om_buf *b, const om_gguf_array *a)
{
    omni_status s = om_buf_addf(b, "[%" PRIu64 "]", a->n);
    size_t cursor = 0;
    for (uint64_t i = 0; i < a->n && i < TEXT_ELEMENTS && s == OMNI_OK; i++) {
        s = om_buf_addf(b, "%s", i ? ", " : " ");
        if (s != OMNI_OK)
            break;
        if (a->type == OM_GGUF_STRING)
            s = text_string(b, om_gguf_array_next_str(a, &cursor), TEXT_ELEMENT);
        else
            s = text_fixed(b, a->type, a->p + i * om_gguf_type_bytes(a->type));
    }
    return s == OMNI_OK && a->n > TEXT_ELEMENTS ? om_buf_addf(b, ", ...") : s;
}

size_t om_gguf_n_keys(const om_gguf *g)
{
    return g->n_keys;
}

omni_status om_gguf_key_text(const om_gguf *g, size_t i, om_str *key, om_buf *value)
{
    if (i >= g->n_keys)
        return OMNI_E_USAGE;
    const om_gguf_key *k = &g->keys[i];
    *key = k->name;
    if (k->type == OM_GGUF_STRING)
        return text_string(value, load_str(g->p + k->pos), TEXT_STRING);
    if (k->type != OM_GGUF_ARRAY)
        return text_fixed(value, k->type, g->p + k->pos);
    om_gguf_array a = array_of(g, k);
    return text_array(value, &a);
}

/* ---- tensors ---- */

size_t om_gguf_n_tensors(const om_gguf *g)
{
    return g->n_tensors;
}

const om_gguf_tensor *om_gguf_tensor_at(const om_gguf *g, size_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const om_gguf_tensor *om_gguf_find(const om_gguf *g, const char *name)
{
    size_t i =
        om_gguf_lookup(&g->tensor_index, g->tensors, sizeof *g->tensors, g->n_tensors, (om_str){name, strlen(name)});
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}
