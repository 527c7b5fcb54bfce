/* Any bytes as a GGUF file: opening must refuse or give a file of which every value can be read, and a file that
 * opens must survive being copied by the writer. */
#include "gguf/gguf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink; /* keeps the reads */

static void read_key(const om_gguf *g, size_t i, om_buf *text)
{
    char name[256] = {0};
    om_str k;
    om_gguf_array a;
    uint64_t sum = 0, u;
    float f;
    om_buf_clear(text);
    if (om_gguf_key_text(g, i, &k, text) != OMNI_OK || text->n > 1500 || k.n >= sizeof name)
        abort();
    memcpy(name, k.p, k.n);
    if (!om_gguf_has(g, name))
        abort();
    if (om_gguf_get_u64(g, name, &u, NULL) == OMNI_OK)
        sum += u;
    if (om_gguf_get_f32(g, name, &f, NULL) == OMNI_OK)
        sum += f > 0;
    for (int t = 0; t <= OM_GGUF_F64; t++) {
        if (om_gguf_get_array(g, name, (om_gguf_type)t, &a, NULL) != OMNI_OK)
            continue;
        size_t cursor = 0;
        for (uint64_t j = 0; j < a.n; j++) {
            if (t == OM_GGUF_STRING) {
                om_str s = om_gguf_array_next_str(&a, &cursor);
                sum += s.n ? (unsigned char)s.p[s.n - 1] : 0;
            } else {
                sum += (uint64_t)om_gguf_array_i64(&a, j) + (om_gguf_array_f64(&a, j) > 0);
            }
        }
        if (t == OM_GGUF_STRING && cursor != a.bytes)
            abort();
    }
    sink += sum;
}

static void read_tensor(const om_gguf *g, size_t i)
{
    const om_gguf_tensor *t = om_gguf_tensor_at(g, i);
    const unsigned char *p = t->data;
    if (p)
        sink += (uint64_t)p[0] + p[t->size - 1]; /* both ends; the open has compared them with the file */
    char name[256] = {0};
    memcpy(name, t->name.p, t->name.n);
    if (om_gguf_find(g, name) != t)
        abort();
}

static bool put_all(om_gguf_writer *w, const om_gguf *g, bool *known)
{
    for (size_t i = 0; i < om_gguf_n_keys(g); i++)
        if (om_gguf_put_copy(w, g, i) != OMNI_OK)
            return false;
    for (size_t i = 0; i < om_gguf_n_tensors(g); i++) {
        const om_gguf_tensor *t = om_gguf_tensor_at(g, i);
        char name[256] = {0};
        memcpy(name, t->name.p, t->name.n);
        if (!t->data)
            *known = false; /* the writer cannot size an unknown format */
        else if (om_gguf_put_tensor(w, name, t->type, t->dim, t->n_dims, t->data, NULL) != OMNI_OK)
            return false;
    }
    return true;
}

static void write_again(const om_gguf *g)
{
    om_gguf_writer *w;
    om_gguf *h;
    om_buf b = {0};
    bool known = true;
    if (om_gguf_writer_new(&w, NULL) != OMNI_OK || !put_all(w, g, &known) ||
        om_gguf_write_buf(w, &b, NULL) != OMNI_OK || om_gguf_open_bytes(&h, b.p, b.n, "again", NULL) != OMNI_OK)
        abort();
    if (om_gguf_n_keys(h) != om_gguf_n_keys(g) || (known && om_gguf_n_tensors(h) != om_gguf_n_tensors(g)))
        abort();
    om_gguf_close(h);
    om_buf_release(&b);
    om_gguf_writer_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    om_gguf *g;
    omni_error err = {{0}};
    omni_status s = om_gguf_open_bytes(&g, data, size, "fuzz", &err);
    if (s != OMNI_OK) {
        if (s != OMNI_E_INPUT || !err.text[0] || strchr(err.text, '\n'))
            abort();
        return 0;
    }
    om_buf text = {0};
    for (size_t i = 0; i < om_gguf_n_keys(g); i++)
        read_key(g, i, &text);
    om_buf_release(&text);
    for (size_t i = 0; i < om_gguf_n_tensors(g); i++)
        read_tensor(g, i);
    if (size < 1u << 16)
        write_again(g);
    om_gguf_close(g);
    return 0;
}
