/* The GGUF writer: what is put in is read back, files appear whole or not at all. */
#include "gguf/gguf.h"
#include "tap.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static om_gguf_writer *writer(void)
{
    om_gguf_writer *w = NULL;
    if (om_gguf_writer_new(&w, NULL) != OMNI_OK)
        abort();
    return w;
}

static const float weights[96] = {1, 2, 3, [95] = 4};
static unsigned char blocks[2 * 34];

/* n_dims of both tensors differ on purpose. */
static omni_status fill(om_gguf_writer *w, omni_error *err)
{
    static const uint64_t dim_a[2] = {32, 3}, dim_b[1] = {64}, dim_c[3] = {1, 1, 1};
    static const int32_t ints[3] = {-1, 0, INT32_MAX};
    static const om_str strs[3] = {{"a", 1}, {"", 0}, {"b\0c", 3}};
    omni_status s = om_gguf_put_str(w, "general.name", "N", 1);
    if (s == OMNI_OK)
        s = om_gguf_put_str(w, "empty", NULL, 0);
    if (s == OMNI_OK)
        s = om_gguf_put_u32(w, "u", UINT32_MAX);
    if (s == OMNI_OK)
        s = om_gguf_put_f32(w, "f", -0.25f);
    if (s == OMNI_OK)
        s = om_gguf_put_bool(w, "b", true);
    if (s == OMNI_OK)
        s = om_gguf_put_array(w, "ai", OM_GGUF_I32, ints, 3);
    if (s == OMNI_OK)
        s = om_gguf_put_array(w, "a0", OM_GGUF_F64, NULL, 0);
    if (s == OMNI_OK)
        s = om_gguf_put_strs(w, "as", strs, 3);
    if (s == OMNI_OK)
        s = om_gguf_put_tensor(w, "a", 0, dim_a, 2, weights, err);
    if (s == OMNI_OK)
        s = om_gguf_put_tensor(w, "b", 8, dim_b, 1, blocks, err);
    return s == OMNI_OK ? om_gguf_put_tensor(w, "c", 0, dim_c, 3, weights, err) : s;
}

static void check_filled(const om_gguf *g)
{
    om_str s = {"?", 1};
    uint32_t u = 0;
    float f = 0;
    bool b = false;
    om_gguf_array a;
    ok(om_gguf_version(g) == 3 && om_gguf_n_keys(g) == 8 && om_gguf_n_tensors(g) == 3, "counts");
    ok(om_gguf_get_str(g, "general.name", &s, NULL) == OMNI_OK && s.n == 1 && *s.p == 'N', "string");
    ok(om_gguf_get_str(g, "empty", &s, NULL) == OMNI_OK && s.n == 0, "empty string");
    ok(om_gguf_get_u32(g, "u", &u, NULL) == OMNI_OK && u == UINT32_MAX, "u32");
    ok(om_gguf_get_f32(g, "f", &f, NULL) == OMNI_OK && f == -0.25f, "f32");
    ok(om_gguf_get_bool(g, "b", &b, NULL) == OMNI_OK && b, "bool");
    ok(om_gguf_get_array(g, "ai", OM_GGUF_I32, &a, NULL) == OMNI_OK && a.n == 3 && om_gguf_array_i64(&a, 0) == -1 &&
           om_gguf_array_i64(&a, 2) == INT32_MAX,
       "array of i32");
    ok(om_gguf_get_array(g, "a0", OM_GGUF_F64, &a, NULL) == OMNI_OK && a.n == 0, "empty array");
    size_t cursor = 0;
    ok(om_gguf_get_array(g, "as", OM_GGUF_STRING, &a, NULL) == OMNI_OK && a.n == 3, "array of strings");
    om_gguf_array_next_str(&a, &cursor);
    om_gguf_array_next_str(&a, &cursor);
    s = om_gguf_array_next_str(&a, &cursor);
    ok(s.n == 3 && memcmp(s.p, "b\0c", 3) == 0, "with a NUL inside");
    const om_gguf_tensor *ta = om_gguf_find(g, "a"), *tb = om_gguf_find(g, "b"), *tc = om_gguf_find(g, "c");
    if (!ok(ta && tb && tc, "tensors"))
        return;
    ok(ta->offset % 32 == 0 && tb->offset % 32 == 0 && tc->offset % 32 == 0, "aligned to 32");
    ok(ta->dim[0] == 32 && ta->dim[1] == 3 && ta->size == 384 && !memcmp(ta->data, weights, 384), "data of a");
    ok(tb->type == 8 && tb->size == 68 && !memcmp(tb->data, blocks, 68), "data of b");
    ok(tc->n_dims == 3 && tc->size == 4, "a scalar with three dimensions");
}

static void test_round_trip(om_buf *bytes)
{
    omni_error err = {{0}};
    om_gguf_writer *w = writer();
    for (size_t i = 0; i < sizeof blocks; i++)
        blocks[i] = (unsigned char)(i * 7);
    ok(fill(w, &err) == OMNI_OK, "filled %s", err.text);
    ok(om_gguf_write_buf(w, bytes, &err) == OMNI_OK, "written to memory %s", err.text);
    om_gguf_writer_free(w);
    is_int((int64_t)(bytes->n % 32), 0, "the end is padded, too");
    om_gguf *g = NULL;
    ok(om_gguf_open_bytes(&g, bytes->p, bytes->n, "mem", &err) == OMNI_OK, "read back %s", err.text);
    if (!g)
        return;
    check_filled(g);

    /* A copy key by key and tensor by tensor is the same file. */
    om_buf again = {0};
    w = writer();
    bool good = true;
    for (size_t i = 0; i < om_gguf_n_keys(g); i++)
        good = om_gguf_put_copy(w, g, i) == OMNI_OK && good;
    ok(good, "all keys copied");
    is_int(om_gguf_put_copy(w, g, 0), OMNI_E_USAGE, "a key cannot be copied twice");
    is_int(om_gguf_put_copy(w, g, 99), OMNI_E_USAGE, "nor one that does not exist");
    for (size_t i = 0; i < om_gguf_n_tensors(g); i++) {
        const om_gguf_tensor *t = om_gguf_tensor_at(g, i);
        char name[8] = {0};
        memcpy(name, t->name.p, t->name.n);
        good = om_gguf_put_tensor(w, name, t->type, t->dim, t->n_dims, t->data, &err) == OMNI_OK && good;
    }
    ok(good && om_gguf_write_buf(w, &again, &err) == OMNI_OK, "copied");
    ok(again.n == bytes->n && memcmp(again.p, bytes->p, again.n) == 0, "the copy is the same byte for byte");
    om_buf_release(&again);
    om_gguf_writer_free(w);
    om_gguf_close(g);
}

static void test_refusals(void)
{
    static const uint64_t one[1] = {1}, zero[2] = {4, 0}, huge[2] = {(uint64_t)1 << 40, (uint64_t)1 << 40},
                          odd[1] = {33};
    omni_error err = {{0}};
    om_gguf_writer *w = writer();
    ok(om_gguf_put_u32(w, "k", 1) == OMNI_OK, "a key");
    is_int(om_gguf_put_u32(w, "k", 2), OMNI_E_USAGE, "twice");
    is_int(om_gguf_put_str(w, "k", "x", 1), OMNI_E_USAGE, "twice with another type");
    is_int(om_gguf_put_u32(w, "", 1), OMNI_E_USAGE, "empty key");
    is_int(om_gguf_put_u32(w, "a\nb", 1), OMNI_E_USAGE, "a newline in a key");
    is_int(om_gguf_put_array(w, "n", OM_GGUF_STRING, "", 0), OMNI_E_USAGE, "an array of unknown width");
    is_int(om_gguf_put_array(w, "n", OM_GGUF_ARRAY, "", 0), OMNI_E_USAGE, "an array of arrays");
    is_int(om_gguf_put_tensor(w, "", 0, one, 1, weights, &err), OMNI_E_USAGE, "tensor without a name");
    is_int(om_gguf_put_tensor(w, "t", 77, one, 1, weights, &err), OMNI_E_USAGE, "unknown format");
    has_str(err.text, "tensor 't': unknown number format 77", "named");
    is_int(om_gguf_put_tensor(w, "t", 0, one, 0, weights, &err), OMNI_E_USAGE, "no dimensions");
    is_int(om_gguf_put_tensor(w, "t", 0, one, 5, weights, &err), OMNI_E_USAGE, "five dimensions");
    is_int(om_gguf_put_tensor(w, "t", 0, zero, 2, weights, &err), OMNI_E_USAGE, "a dimension of 0");
    is_int(om_gguf_put_tensor(w, "t", 0, huge, 2, weights, &err), OMNI_E_USAGE, "2^80 weights");
    is_int(om_gguf_put_tensor(w, "t", 8, odd, 1, weights, &err), OMNI_E_USAGE, "half a block");
    has_str(err.text, "33 columns are not a whole number of Q8_0 blocks of 32", "named");
    ok(om_gguf_put_tensor(w, "t", 0, one, 1, weights, &err) == OMNI_OK, "a tensor");
    is_int(om_gguf_put_tensor(w, "t", 0, one, 1, weights, &err), OMNI_E_USAGE, "twice");
    om_buf b = {0};
    om_gguf *g = NULL;
    ok(om_gguf_write_buf(w, &b, &err) == OMNI_OK && om_gguf_open_bytes(&g, b.p, b.n, "mem", &err) == OMNI_OK,
       "what was refused leaves no trace %s", err.text);
    ok(g && om_gguf_n_keys(g) == 1 && om_gguf_n_tensors(g) == 1, "one key, one tensor");
    om_gguf_close(g);
    om_buf_release(&b);
    om_gguf_writer_free(w);
    om_gguf_writer_free(NULL);
}

static void test_alignment(void)
{
    static const uint64_t one[1] = {1};
    omni_error err = {{0}};
    om_buf b = {0};
    om_gguf *g = NULL;
    om_gguf_writer *w = writer();
    is_int(om_gguf_put_u32(w, "general.alignment", 24), OMNI_E_USAGE, "alignment 24");
    is_int(om_gguf_put_str(w, "general.alignment", "32", 2), OMNI_E_USAGE, "alignment as text");
    ok(om_gguf_put_u32(w, "general.alignment", 256) == OMNI_OK, "alignment 256");
    ok(om_gguf_put_tensor(w, "a", 0, one, 1, weights, &err) == OMNI_OK, "one tensor");
    ok(om_gguf_put_tensor(w, "b", 0, one, 1, weights + 1, &err) == OMNI_OK, "and another");
    ok(om_gguf_write_buf(w, &b, &err) == OMNI_OK && om_gguf_open_bytes(&g, b.p, b.n, "mem", &err) == OMNI_OK, "%s",
       err.text);
    ok(g && om_gguf_find(g, "b")->offset % 256 == 0 && *(const float *)om_gguf_find(g, "b")->data == 2, "is followed");
    om_gguf_close(g);
    om_buf_release(&b);
    om_gguf_writer_free(w);
}

static int entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n - 2; /* . and .. */
}

static void test_files(const om_buf *want)
{
    omni_error err = {{0}};
    char dir[] = "/tmp/omni-gguf-XXXXXX", path[64];
    if (!mkdtemp(dir))
        abort();
    snprintf(path, sizeof path, "%s/x.gguf", dir);
    om_gguf_writer *w = writer();
    ok(fill(w, &err) == OMNI_OK, "filled");
    ok(om_gguf_write(w, path, &err) == OMNI_OK, "written to a file %s", err.text);
    is_int(entries(dir), 1, "no other file is left");
    om_gguf *g = NULL;
    ok(om_gguf_open(&g, path, &err) == OMNI_OK && om_gguf_file_size(g) == want->n, "the file opens %s", err.text);
    ok(om_gguf_write(w, path, &err) == OMNI_OK, "and can be replaced while it is open");
    uint32_t u = 0;
    ok(om_gguf_get_u32(g, "u", &u, NULL) == OMNI_OK && u == UINT32_MAX, "without harm to the reader");
    om_gguf_close(g);
    unlink(path);
    ok(mkdir(path, 0700) == 0, "a directory of that name");
    is_int(om_gguf_write(w, path, &err), OMNI_E_SYSTEM, "cannot be replaced");
    has_str(err.text, "cannot rename", "and the message says so");
    is_int(entries(dir), 1, "nothing else is left behind");
    rmdir(path);
    rmdir(dir);
    is_int(om_gguf_write(w, path, &err), OMNI_E_SYSTEM, "no such folder");
    has_str(err.text, "cannot create", "and the message says so");
    om_gguf_writer_free(w);
}

static void test_memory(const om_buf *want)
{
    uint64_t n = 0;
    bool done = false;
    omni_error err;
    while (!done && n < 1000) {
        om_gguf_writer *w = NULL;
        om_buf b = {0};
        om_alloc_fail_at(++n, false);
        omni_status s = om_gguf_writer_new(&w, &err);
        if (s == OMNI_OK)
            s = fill(w, &err);
        if (s == OMNI_OK)
            s = om_gguf_write_buf(w, &b, &err);
        om_alloc_fail_at(0, false);
        if (s != OMNI_OK && s != OMNI_E_MEMORY)
            break;
        if (s == OMNI_E_MEMORY && w && n > 1) { /* the writer is still usable: what failed was not put in */
            om_buf c = {0};
            om_gguf *g = NULL;
            if (om_gguf_write_buf(w, &c, &err) != OMNI_OK || om_gguf_open_bytes(&g, c.p, c.n, "m", &err) != OMNI_OK)
                n = 1000;
            om_gguf_close(g);
            om_buf_release(&c);
        }
        done = s == OMNI_OK && b.n == want->n && memcmp(b.p, want->p, b.n) == 0;
        om_gguf_writer_free(w);
        om_buf_release(&b);
    }
    ok(done && n > 5, "each of %" PRIu64 " failing allocations is reported and does no harm", n - 1);
}

int main(void)
{
    om_buf bytes = {0};
    test_round_trip(&bytes);
    test_refusals();
    test_alignment();
    test_files(&bytes);
    test_memory(&bytes);
    om_buf_release(&bytes);
    return done_testing();
}
