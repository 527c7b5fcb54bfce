/* api.h - what stands behind the opaque types of omni.h: a model file is a GGUF map, a tokenizer and a decoder.
 * May include: everything. */
#ifndef OMNI_API_H
#define OMNI_API_H

#include "base/base.h"
#include "base/base_pool.h"
#include "gguf/gguf.h"
#include "tok/tok.h"
#include "model/model.h"

struct omni_session {
    omni_model *m;
    om_seq *seq;
};

struct omni_model {
    om_gguf *gguf;
    om_tok *tok;
    om_pool *pool; /* one pool per model handle */
    om_model *net; /* NULL when opened with vocab_only */
    omni_model_info info;
    char *text[8]; /* what info's strings point to, owned */
    size_t n_text;
    om_buf meta_key, meta_value; /* of the last omni_model_meta_at */
};

static inline const om_gguf *om_model_gguf(const omni_model *m)
{
    return m->gguf;
}
static inline const om_tok *om_model_tok(const omni_model *m)
{
    return m->tok;
}

/* Name of the built-in template that fits a vocabulary's control tokens, NULL when none does. */
const char *om_chat_guess(const om_tok *t);

#endif
