/* The GGUF reader against good and hostile bytes. The files are put together by hand here, so that reader and writer
 * do not share a mistake; test_gguf_write.c covers the writer. */
#include "base/base_file.h"
#include "gguf/gguf.h"
#include "tap.h"

#include <unistd.h>

/* ---- files by hand ---- */

static om_buf file;

static void add(const void *p, size_t n)
{
    if (n > 0 && om_buf_add(&file, p, n) != OMNI_OK)
        abort();
}
static void u8(uint8_t v)
{
    add(&v, sizeof v);
}
static void u32(uint32_t v)
{
    add(&v, sizeof v);
}
static void u64(uint64_t v)
{
    add(&v, sizeof v);
}
static void str(const char *s)
{
    u64(strlen(s));
    add(s, strlen(s));
}
static void head(uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    om_buf_clear(&file);
    add("GGUF", 4);
    u32(version);
    u64(n_tensors);
    u64(n_keys);
}
static void key(const char *name, uint32_t type)
{
    str(name);
    u32(type);
}
static void tensor(const char *name, uint32_t n_dims, const uint64_t *dim, uint32_t type, uint64_t offset)
{
    str(name);
    u32(n_dims);
    for (uint32_t d = 0; d < n_dims; d++)
        u64(dim[d]);
    u32(type);
    u64(offset);
}
static void tensor1(const char *name, uint64_t n, uint32_t type, uint64_t offset)
{
    tensor(name, 1, &n, type, offset);
}
static void pad(size_t alignment)
{
    while (file.n % alignment)
        u8(0);
}

/* Opens the bytes at the end of a block of exactly their size, so that ASan sees the first byte read too many. */
static unsigned char *copy;
static omni_status open_copy(om_gguf **g, size_t n, omni_error *err)
{
    free(copy);
    copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    memcpy(copy, file.p, n);
    *g = NULL;
    err->text[0] = '\0';
    return om_gguf_open_bytes(g, copy, n, "m.gguf", err);
}

static void refuses(const char *text, const char *name)
{
    om_gguf *g;
    omni_error err;
    omni_status s = open_copy(&g, file.n, &err);
    is_int(s, OMNI_E_INPUT, name);
    ok(g == NULL, "%s: no file is handed out", name);
    has_str(err.text, text, name);
    has_str(err.text, "m.gguf: byte ", "the message names file and place");
    om_gguf_close(g);
}

static om_gguf *accepts(const char *name)
{
    om_gguf *g;
    omni_error err;
    omni_status s = open_copy(&g, file.n, &err);
    if (!ok(s == OMNI_OK, "%s", name))
        diag("%s", err.text);
    return g;
}

/* One of everything: 15 keys, 3 tensors. */
static void good_file(uint32_t version)
{
    static const uint64_t dim_a[2] = {32, 2}, dim_b[4] = {2, 1, 3, 1};
    head(version, 3, 15);
    key("k.u8", OM_GGUF_U8), u8(200);
    key("k.i8", OM_GGUF_I8), u8(0x80);
    key("k.u16", OM_GGUF_U16), u8(0xff), u8(0xff);
    key("k.i16", OM_GGUF_I16), u8(0xff), u8(0xff);
    key("k.u32", OM_GGUF_U32), u32(4000000000u);
    key("k.i32", OM_GGUF_I32), u32((uint32_t)-5);
    key("k.f32", OM_GGUF_F32), u32(0x3fc00000); /* 1.5 */
    key("k.bool", OM_GGUF_BOOL), u8(1);
    key("k.str", OM_GGUF_STRING), str("h\xc3\xa9llo\nx\xff");
    key("k.u64", OM_GGUF_U64), u64(UINT64_MAX);
    key("k.i64", OM_GGUF_I64), u64((uint64_t)-7);
    key("k.f64", OM_GGUF_F64), u64(0x4004000000000000ull); /* 2.5 */
    key("a.str", OM_GGUF_ARRAY), u32(OM_GGUF_STRING), u64(3), str("one"), str(""), str("three");
    key("a.i32", OM_GGUF_ARRAY), u32(OM_GGUF_I32), u64(8);
    for (uint32_t i = 0; i < 8; i++)
        u32(i - 3);
    key("a.empty", OM_GGUF_ARRAY), u32(OM_GGUF_F32), u64(0);
    tensor("a", 2, dim_a, 2, 0);  /* Q4_0: 2 rows of 18 bytes */
    tensor("b", 4, dim_b, 0, 64); /* F32: 24 bytes */
    tensor1("odd", 7, 77, 32);    /* unknown format */
    pad(32);
    for (int i = 0; i < 64; i++)
        u8((uint8_t)i);
    for (int i = 0; i < 24; i++)
        u8((uint8_t)i);
}

/* ---- tests ---- */

static void test_numbers(const om_gguf *g)
{
    uint32_t v32 = 0;
    uint64_t v64 = 0;
    float f = 0;
    bool b = false;
    omni_error err;
    ok(om_gguf_get_u32(g, "k.u8", &v32, NULL) == OMNI_OK && v32 == 200, "u8 as u32");
    ok(om_gguf_get_u32(g, "k.u16", &v32, NULL) == OMNI_OK && v32 == 65535, "u16 as u32");
    ok(om_gguf_get_u32(g, "k.u32", &v32, NULL) == OMNI_OK && v32 == 4000000000u, "u32");
    ok(om_gguf_get_u64(g, "k.u32", &v64, NULL) == OMNI_OK && v64 == 4000000000u, "u32 as u64");
    ok(om_gguf_get_u64(g, "k.u64", &v64, NULL) == OMNI_OK && v64 == UINT64_MAX, "u64");
    v32 = 1;
    is_int(om_gguf_get_u32(g, "k.u64", &v32, &err), OMNI_E_INPUT, "2^64-1 is no u32");
    has_str(err.text, "expected u32, found 18446744073709551615", "and the value is named");
    is_int(v32, 1, "the output is unchanged");
    static const char *const negative[] = {"k.i8", "k.i16", "k.i32", "k.i64"};
    for (size_t i = 0; i < 4; i++)
        is_int(om_gguf_get_u64(g, negative[i], &v64, &err), OMNI_E_INPUT, negative[i]);
    has_str(err.text, "m.gguf: byte ", "place");
    has_str(err.text, "key 'k.i64': expected u64, found -7", "a negative number is no u64");
    ok(om_gguf_get_f32(g, "k.f32", &f, NULL) == OMNI_OK && f == 1.5f, "f32");
    ok(om_gguf_get_f32(g, "k.f64", &f, NULL) == OMNI_OK && f == 2.5f, "f64 as f32");
    is_int(om_gguf_get_f32(g, "k.u32", &f, &err), OMNI_E_INPUT, "an integer is no float");
    has_str(err.text, "key 'k.u32': expected f32, found u32", "types are named");
    ok(om_gguf_get_bool(g, "k.bool", &b, NULL) == OMNI_OK && b, "bool");
    is_int(om_gguf_get_bool(g, "k.u8", &b, NULL), OMNI_E_INPUT, "u8 is no bool");
    is_int(om_gguf_get_u32(g, "k.str", &v32, &err), OMNI_E_INPUT, "a string is no u32");
    has_str(err.text, "key 'k.str': expected u32, found string", "types are named");
    is_int(om_gguf_get_u32(g, "nokey", &v32, &err), OMNI_E_INPUT, "missing");
    is_str(err.text, "m.gguf: key 'nokey' is missing", "a missing key is named");
    ok(om_gguf_has(g, "k.i16") && !om_gguf_has(g, "k.i1") && !om_gguf_has(g, ""), "has");
}

static void test_arrays(const om_gguf *g)
{
    om_str s;
    om_gguf_array a;
    omni_error err;
    ok(om_gguf_get_str(g, "k.str", &s, NULL) == OMNI_OK && s.n == 9 && memcmp(s.p, "h\xc3\xa9llo\nx\xff", 9) == 0,
       "a string is what the file has, valid or not");
    ok(om_gguf_get_array(g, "a.str", OM_GGUF_STRING, &a, NULL) == OMNI_OK && a.n == 3, "array of strings");
    size_t cursor = 0;
    om_str e[3];
    for (int i = 0; i < 3; i++)
        e[i] = om_gguf_array_next_str(&a, &cursor);
    ok(e[0].n == 3 && !memcmp(e[0].p, "one", 3) && e[1].n == 0 && e[2].n == 5 && !memcmp(e[2].p, "three", 5), "walked");
    is_int(cursor, a.bytes, "the cursor ends where the array ends");
    ok(om_gguf_get_array(g, "a.i32", OM_GGUF_I32, &a, NULL) == OMNI_OK && a.n == 8 && a.bytes == 32, "array of i32");
    ok(om_gguf_array_i64(&a, 0) == -3 && om_gguf_array_i64(&a, 7) == 4 && om_gguf_array_f64(&a, 1) == -2.0, "elements");
    ok(om_gguf_get_array(g, "a.empty", OM_GGUF_F32, &a, NULL) == OMNI_OK && a.n == 0 && a.bytes == 0, "empty array");
    is_int(om_gguf_get_array(g, "a.i32", OM_GGUF_U32, &a, &err), OMNI_E_INPUT, "the element type must match");
    has_str(err.text, "expected array of u32, found array of i32", "element types are named");
    is_int(om_gguf_get_array(g, "k.u32", OM_GGUF_U32, &a, &err), OMNI_E_INPUT, "a number is no array");
    has_str(err.text, "expected array of u32, found u32", "named");
    is_int(om_gguf_get_str(g, "a.str", &s, NULL), OMNI_E_INPUT, "an array is no string");
}

static void test_tensors(const om_gguf *g)
{
    is_int(om_gguf_n_tensors(g), 3, "three tensors");
    const om_gguf_tensor *a = om_gguf_find(g, "a"), *b = om_gguf_find(g, "b"), *odd = om_gguf_find(g, "odd");
    if (!ok(a && b && odd, "found by name"))
        return;
    ok(a == om_gguf_tensor_at(g, 0) && odd == om_gguf_tensor_at(g, 2) && !om_gguf_tensor_at(g, 3), "found by place");
    ok(!om_gguf_find(g, "c") && !om_gguf_find(g, ""), "an absent name is not found");
    ok(a->n_dims == 2 && a->dim[0] == 32 && a->dim[1] == 2 && a->dim[2] == 1 && a->dim[3] == 1, "dims of a");
    ok(a->n_elements == 64 && a->size == 36 && a->type == 2, "size of a");
    ok(b->n_elements == 6 && b->size == 24 && b->dim[2] == 3, "size of b");
    ok(a->offset % 32 == 0 && b->offset == a->offset + 64, "offsets are counted from the start of the file");
    ok(((const unsigned char *)a->data)[35] == 35 && ((const unsigned char *)b->data)[23] == 23, "data");
    ok(odd->data == NULL && odd->size == 0 && odd->type == 77, "an unknown number format is kept without data");
}

static void test_text(const om_gguf *g)
{
    static const char *const want[] = {"200",
                                       "-128",
                                       "65535",
                                       "-1",
                                       "4000000000",
                                       "-5",
                                       "1.5",
                                       "true",
                                       "h\xc3\xa9llo\\nx\\xff",
                                       "18446744073709551615",
                                       "-7",
                                       "2.5",
                                       "[3] one, , three",
                                       "[8] -3, -2, -1, 0, 1, 2, ...",
                                       "[0]"};
    is_int(om_gguf_n_keys(g), 15, "fifteen keys");
    om_buf b = {0};
    om_str k;
    for (size_t i = 0; i < 15; i++) {
        om_buf_clear(&b);
        ok(om_gguf_key_text(g, i, &k, &b) == OMNI_OK, "text of key %zu", i);
        is_str(b.p, want[i], want[i]);
    }
    is_int(om_gguf_key_text(g, 15, &k, &b), OMNI_E_USAGE, "no key 15");
    om_buf_release(&b);
}

static void test_long_text(void)
{
    char s[400];
    for (int i = 0; i < 399; i += 3)
        memcpy(s + i, "\xe2\x82\xac", 3);
    s[399] = '\0';
    head(3, 0, 1);
    key("s", OM_GGUF_STRING), str(s);
    om_gguf *g = accepts("a file with metadata only");
    om_buf b = {0};
    om_str k;
    ok(om_gguf_key_text(g, 0, &k, &b) == OMNI_OK, "text of a long string");
    ok(b.n < 120 && om_utf8_valid(b.p, b.n, NULL), "it is shortened at a character");
    has_str(b.p, "...", "and says so");
    om_buf_release(&b);
    om_gguf_close(g);
}

static void test_good(void)
{
    for (uint32_t v = 2; v <= 3; v++) {
        good_file(v);
        om_gguf *g = accepts("a good file");
        is_int(om_gguf_version(g), v, "version");
        is_str(om_gguf_path(g), "m.gguf", "path");
        is_int((int64_t)om_gguf_file_size(g), (int64_t)file.n, "size");
        test_numbers(g);
        test_arrays(g);
        test_tensors(g);
        test_text(g);
        om_gguf_close(g);
    }
    head(3, 0, 0);
    om_gguf_close(accepts("nothing in it is not an error"));
    om_gguf_close(NULL);
}

static void test_header(void)
{
    om_buf_clear(&file);
    add("", 1), file.n = 0;
    refuses("empty", "an empty file");
    add("GGML", 4), u32(3), u64(0), u64(0);
    refuses("expected the magic 'GGUF', found 47 47 4d 4c", "another magic");
    head(1, 0, 0);
    refuses("expected GGUF version 2 or 3, found 1", "version 1");
    head(4, 0, 0);
    refuses("expected GGUF version 2 or 3, found 4", "version 4");
    head(0, 0, 0);
    refuses("expected GGUF version 2 or 3, found 0", "version 0");
    head(0x03000000, 0, 0);
    refuses("big-endian one (version 3 swapped)", "big endian");
    head(3, UINT64_MAX, 0);
    refuses("byte 8: 18446744073709551615 tensors", "2^64-1 tensors");
    head(3, 0, UINT64_MAX);
    refuses("byte 16: 18446744073709551615 keys", "2^64-1 keys");
    head(3, 1, 0);
    refuses("1 tensors do not fit", "one tensor in no bytes");
    head(3, 0, 70000);
    for (int i = 0; i < 70000; i++)
        key("12345678", OM_GGUF_U8), u8(0);
    refuses("70000 keys", "more keys than we care to read");
}

static void test_keys(void)
{
    head(3, 0, 1), key("k", 13), u64(0);
    refuses("key 'k': unknown value type 13", "unknown value type");
    head(3, 0, 1), key("k", UINT32_MAX), u64(0);
    refuses("unknown value type 4294967295", "unknown value type");
    head(3, 0, 1), key("k", OM_GGUF_U64), u32(0);
    refuses("expected 8 bytes of a value, found 4", "value cut short");
    head(3, 0, 1), key("k", OM_GGUF_STRING), u64(UINT64_MAX);
    refuses("key 'k': string 0 of 1 runs beyond", "string length 2^64-1");
    head(3, 0, 1), key("k", OM_GGUF_STRING), u64(UINT64_MAX - 7);
    refuses("runs beyond", "a string length that wraps around");
    head(3, 0, 1), key("k", OM_GGUF_STRING), u64(5), add("abcd", 4);
    refuses("runs beyond", "a string one byte too long");
    for (int i = 0; i < 8; i++) {
        head(3, 0, 1), key("kk", OM_GGUF_STRING);
        for (int j = 0; j < i; j++)
            u8(0);
        refuses("runs beyond", "a string's length cut short");
    }
    head(3, 0, 1), u64(UINT64_MAX), u64(0);
    refuses("expected a key of 1..255 bytes, found 18446744073709551615", "key length 2^64-1");
    head(3, 0, 1), key("", OM_GGUF_U64), u64(0);
    refuses("expected a key of 1..255 bytes, found 0", "empty key");
    head(3, 0, 1), key("a\x1b[2J", OM_GGUF_U64), u64(0);
    refuses("byte 33: expected printable ASCII in a key, found byte 0x1b", "an escape code in a key");
    head(3, 0, 2), key("same", OM_GGUF_U32), u32(0), key("same", OM_GGUF_BOOL), u8(0), u64(0);
    refuses("byte 44: key 'same' occurs twice", "duplicate key");
}

static void test_array_bounds(void)
{
    head(3, 0, 1), key("k", OM_GGUF_ARRAY), u32(OM_GGUF_ARRAY), u64(1), u32(OM_GGUF_U8), u64(1), u8(0);
    refuses("key 'k': arrays of arrays", "nested array");
    head(3, 0, 1), key("k", OM_GGUF_ARRAY), u32(99), u64(1), u64(0);
    refuses("key 'k': unknown array type 99", "unknown array type");
    for (uint32_t t = 0; t <= OM_GGUF_F64; t++) {
        if (t == OM_GGUF_ARRAY)
            continue;
        head(3, 0, 1), key("k", OM_GGUF_ARRAY), u32(t), u64(UINT64_MAX), u64(0);
        refuses("do not fit in the 8 bytes left", "2^64-1 elements");
        head(3, 0, 1), key("k", OM_GGUF_ARRAY), u32(t), u64((uint64_t)1 << 61), u64(0);
        refuses("do not fit in the 8 bytes left", "a number of elements whose size wraps around");
    }
    head(3, 0, 1), key("k", OM_GGUF_ARRAY), u32(OM_GGUF_STRING), u64(2), str("ok"), u64(1);
    refuses("string 1 of 2 runs beyond", "array of strings cut short");
}

static void test_alignment(void)
{
    static const uint32_t bad[] = {0, 1, 4, 7, 12, 33, 1u << 21, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        head(3, 0, 1), key("general.alignment", OM_GGUF_U32), u32(bad[i]);
        refuses("general.alignment: expected a power of two from 8", "alignment");
    }
    head(3, 0, 1), key("general.alignment", OM_GGUF_STRING), str("32");
    refuses("expected u64, found string", "alignment as text");
    for (uint32_t a = 8; a <= 4096; a *= 8) {
        head(3, 1, 1), key("general.alignment", OM_GGUF_U32), u32(a);
        tensor1("t", 2, 0, a), pad(a);
        for (uint32_t i = 0; i < a; i++)
            u8(0);
        u64(0);
        om_gguf *g = accepts("a file of another alignment");
        ok(g && om_gguf_tensor_at(g, 0)->offset % a == 0, "its tensor lies there");
        om_gguf_close(g);
    }
}

static void test_dims(void)
{
    static const uint64_t huge[4] = {(uint64_t)1 << 32, (uint64_t)1 << 32, 1, 1}, zero[2] = {32, 0},
                          five[5] = {1, 1, 1, 1, 1};
    head(3, 1, 0), tensor1("t", (uint64_t)1 << 63, 0, 0), pad(32);
    refuses("tensor 't': the dimensions multiply to more than 2^63", "2^63 weights");
    head(3, 1, 0), tensor1("t", (uint64_t)1 << 62, 0, 0), pad(32);
    refuses("tensor 't': its size exceeds 2^64", "2^64 bytes");
    head(3, 1, 0), tensor1("t", (uint64_t)1 << 61, 0, 0), pad(32);
    refuses("tensor 't' ends at 9223372036854775872, beyond the file's 64 bytes", "2^63 bytes");
    head(3, 1, 0), tensor("t", 4, huge, 0, 0), pad(32);
    refuses("tensor 't': the dimensions multiply", "2^64 weights");
    head(3, 1, 0), tensor("t", 2, zero, 0, 0), pad(32);
    refuses("tensor 't': dimension 1 is 0", "a dimension of 0");
    head(3, 1, 0), tensor("t", 5, five, 0, 0), pad(32);
    refuses("tensor 't': expected 1..4 dimensions, found 5", "five dimensions");
    head(3, 1, 0), str("t"), u32(UINT32_MAX), u64(1), u64(1), pad(32);
    refuses("expected 1..4 dimensions, found 4294967295", "2^32-1 dimensions");
    head(3, 1, 0), str("t"), u32(0), u32(0), u64(0), u64(0), pad(32);
    refuses("expected 1..4 dimensions, found 0", "no dimensions");
    head(3, 1, 0), tensor1("t", 33, 2, 0), pad(32), u64(0), u64(0), u64(0);
    refuses("tensor 't': 33 columns are not a whole number of blocks of 32", "half a block");
}

static void test_places(void)
{
    head(3, 1, 0), tensor1("t", 4, 0, 16), pad(32), u64(0), u64(0), u64(0), u64(0);
    refuses("tensor 't': offset 16 is not a multiple of the alignment 32", "misaligned");
    head(3, 1, 0), tensor1("t", 5, 0, 0), pad(32), u64(0), u64(0);
    refuses("tensor 't' ends at 84, beyond the file's 80 bytes", "one weight too many");
    head(3, 1, 0), tensor1("t", 4, 0, 32), pad(32), u64(0), u64(0);
    refuses("byte 24: tensor 't' ends at 112, beyond the file's 80 bytes", "outside");
    head(3, 1, 0), tensor1("t", 4, 0, (uint64_t)0 - 32), pad(32), u64(0), u64(0);
    refuses("tensor 't': its offset exceeds 2^64", "an offset that wraps around");
    head(3, 1, 0), tensor1("t", 4, 77, (uint64_t)0 - 96), pad(32), u64(0), u64(0);
    refuses("beyond the file's 80 bytes", "outside, and of an unknown format");
    head(3, 2, 0), tensor1("t", 9, 0, 0), tensor1("u", 8, 0, 32), pad(32);
    for (int i = 0; i < 8; i++)
        u64(0);
    refuses("tensor 'u' starts inside tensor 't'", "overlap");
    head(3, 2, 0), tensor1("t", 8, 0, 32), tensor1("u", 9, 0, 0), pad(32);
    for (int i = 0; i < 8; i++)
        u64(0);
    refuses("tensor 't' starts inside tensor 'u'", "overlap in another order");
    head(3, 2, 0), tensor1("t", 8, 0, 32), tensor1("u", 8, 0, 0), pad(32);
    for (int i = 0; i < 8; i++)
        u64(0);
    om_gguf_close(accepts("tensors side by side in any order"));
    head(3, 2, 0), tensor1("same", 1, 0, 0), tensor1("same", 1, 0, 32), pad(32);
    for (int i = 0; i < 8; i++)
        u64(0);
    refuses("byte 60: tensor 'same' occurs twice", "duplicate tensor");
}

/* Every value of an opened file is looked at, so that ASan sees a bound that the open missed. */
static uint64_t touch(const om_gguf *g)
{
    uint64_t sum = 0;
    om_buf b = {0};
    om_str k;
    for (size_t i = 0; i < om_gguf_n_keys(g); i++) {
        char name[256] = {0};
        om_buf_clear(&b);
        if (om_gguf_key_text(g, i, &k, &b) == OMNI_OK && b.n > 0)
            sum += (unsigned char)b.p[b.n - 1];
        memcpy(name, k.p, k.n);
        om_gguf_array a;
        size_t cursor = 0;
        for (int t = 0; t <= OM_GGUF_F64; t++) {
            if (om_gguf_get_array(g, name, (om_gguf_type)t, &a, NULL) != OMNI_OK)
                continue;
            for (uint64_t j = 0; j < a.n; j++)
                sum += t == OM_GGUF_STRING ? om_gguf_array_next_str(&a, &cursor).n : (uint64_t)om_gguf_array_i64(&a, j);
        }
    }
    for (size_t i = 0; i < om_gguf_n_tensors(g); i++) {
        const om_gguf_tensor *t = om_gguf_tensor_at(g, i);
        for (uint64_t j = 0; j < t->size; j++)
            sum += ((const unsigned char *)t->data)[j];
    }
    om_buf_release(&b);
    return sum;
}

static void test_truncated(void)
{
    good_file(3);
    size_t opened = 0, wrong = 0;
    omni_error err;
    for (size_t n = 0; n < file.n; n++) {
        om_gguf *g;
        omni_status s = open_copy(&g, n, &err);
        opened += s == OMNI_OK;
        wrong += s != OMNI_E_INPUT || !strstr(err.text, "m.gguf: byte ");
        om_gguf_close(g);
    }
    is_int(opened, 0, "no prefix of a file opens");
    is_int(wrong, 0, "each gives bad input and names a place");
}

static void test_flips(void)
{
    good_file(3);
    size_t table_end = file.n - 88, opened = 0, wrong = 0;
    uint64_t sum = 0;
    omni_error err;
    for (size_t bit = 0; bit < table_end * 8; bit++) {
        file.p[bit / 8] ^= (char)(1 << bit % 8);
        om_gguf *g;
        omni_status s = open_copy(&g, file.n, &err);
        if (s == OMNI_OK) {
            opened++;
            sum += touch(g);
        } else {
            wrong += s != OMNI_E_INPUT || !strstr(err.text, "m.gguf: byte ");
        }
        om_gguf_close(g);
        file.p[bit / 8] ^= (char)(1 << bit % 8);
    }
    is_int(wrong, 0, "a flipped bit gives bad input and a place, or a file");
    ok(opened > 0 && opened < table_end * 8, "%zu of %zu open (%" PRIu64 ")", opened, table_end * 8, sum);
}

static void test_memory(void)
{
    good_file(3);
    omni_error err;
    om_gguf *g = NULL;
    uint64_t n = 0;
    omni_status s;
    do {
        om_alloc_fail_at(++n, false);
        s = om_gguf_open_bytes(&g, file.p, file.n, "m.gguf", &err);
    } while (s == OMNI_E_MEMORY && n < 1000);
    om_alloc_fail_at(0, false);
    ok(s == OMNI_OK && n > 5, "each of %" PRIu64 " failing allocations is reported", n - 1);
    om_gguf_close(g);
    head(3, 0, 1), key("k", OM_GGUF_ARRAY), u32(OM_GGUF_STRING), u64(20000);
    for (int i = 0; i < 20000; i++)
        str("x");
    uint64_t before = om_alloc_count();
    ok(om_gguf_open_bytes(&g, file.p, file.n, "m.gguf", &err) == OMNI_OK, "20,000 strings");
    ok(om_alloc_count() - before < 8, "no allocation a string");
    om_gguf_close(g);
}

static void test_many(void)
{
    enum { N = 3000 };
    char name[32];
    head(3, N, N);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "key.%d", i);
        key(name, OM_GGUF_U32), u32((uint32_t)i);
    }
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "tensor.%d", i);
        tensor1(name, 8, 0, 32 * (uint64_t)i);
    }
    pad(32);
    for (int i = 0; i < N * 4; i++)
        u64((uint64_t)(i / 4));
    om_gguf *g = accepts("thousands of keys and tensors");
    int found = 0;
    for (int i = 0; i < N && g; i++) {
        uint32_t v = 0;
        snprintf(name, sizeof name, "key.%d", i);
        bool good = om_gguf_get_u32(g, name, &v, NULL) == OMNI_OK && v == (uint32_t)i;
        snprintf(name, sizeof name, "tensor.%d", i);
        const om_gguf_tensor *t = om_gguf_find(g, name);
        found += good && t == om_gguf_tensor_at(g, (size_t)i) && *(const uint64_t *)t->data == (uint64_t)i;
    }
    is_int(found, N, "all are found by name");
    om_gguf_close(g);
}

static void test_files(void)
{
    omni_error err;
    om_gguf *g = NULL;
    char dir[] = "/tmp/omni-gguf-XXXXXX", path[64];
    is_int(om_gguf_open(&g, "/nonexistent/m.gguf", &err), OMNI_E_SYSTEM, "no such file");
    has_str(err.text, "/nonexistent/m.gguf", "its path is named");
    if (!mkdtemp(dir))
        abort();
    is_int(om_gguf_open(&g, dir, &err), OMNI_E_INPUT, "a directory");
    has_str(err.text, dir, "its path is named");
    snprintf(path, sizeof path, "%s/empty.gguf", dir);
    fclose(fopen(path, "w"));
    is_int(om_gguf_open(&g, path, &err), OMNI_E_INPUT, "an empty file");
    has_str(err.text, "empty.gguf: byte 0: expected a GGUF file, found an empty one", "and says so");
    ok(g == NULL, "nothing was handed out");
    good_file(3);
    FILE *f = fopen(path, "w");
    ok(f && fwrite(file.p, 1, file.n, f) == file.n && fclose(f) == 0, "a good file on disk");
    ok(om_gguf_open(&g, path, &err) == OMNI_OK && touch(g) > 0, "opens");
    om_gguf_close(g);
    unlink(path);
    rmdir(dir);
}

static void test_real_model(void)
{
    const char *path = getenv("OMNI_TEST_MODEL"), *home = getenv("HOME");
    char buf[512];
    if (!path) {
        snprintf(buf, sizeof buf, "%s/.local/share/omni/models/SmolLM2-135M-Instruct.Q4_1.gguf", home ? home : "");
        path = buf;
    }
    if (access(path, R_OK) != 0) {
        ok(true, "the default model opens # SKIP %s is absent", path);
        return;
    }
    om_gguf *g = NULL;
    omni_error err = {{0}};
    om_gguf_array tokens, merges;
    double t0 = om_clock_s();
    ok(om_gguf_open(&g, path, &err) == OMNI_OK, "the default model opens");
    diag("in %.2f ms %s", (om_clock_s() - t0) * 1e3, err.text);
    if (!g)
        return;
    ok(om_gguf_get_array(g, "tokenizer.ggml.tokens", OM_GGUF_STRING, &tokens, &err) == OMNI_OK && tokens.n > 0 &&
           om_gguf_get_array(g, "tokenizer.ggml.merges", OM_GGUF_STRING, &merges, &err) == OMNI_OK && merges.n > 0,
       "it has tokens and merges");
    const om_gguf_tensor *e = om_gguf_find(g, "token_embd.weight");
    ok(e && e->data && e->dim[1] == tokens.n, "and an embedding for each token");
    om_gguf_close(g);
}

int main(void)
{
    test_good();
    test_long_text();
    test_header();
    test_keys();
    test_array_bounds();
    test_alignment();
    test_dims();
    test_places();
    test_truncated();
    test_flips();
    test_memory();
    test_many();
    test_files();
    test_real_model();
    free(copy);
    om_buf_release(&file);
    return done_testing();
}
