/* api_text.c - text and token ids of a model: omni.h over lib/tok. */
#include "api/api.h"

#include <string.h>

omni_status omni_text_encode(const omni_model *m, const char *text, size_t len, unsigned flags, omni_tokens *out,
                             omni_error *err)
{
    if (flags & ~(unsigned)(OMNI_TEXT_SPECIAL | OMNI_TEXT_BOS))
        return om_fail(err, OMNI_E_USAGE, "omni_text_encode: unknown flags 0x%x", flags);
    const unsigned char *trusted = flags & OMNI_TEXT_SPECIAL ? om_tok_all_trusted : NULL;
    return om_tok_encode(om_model_tok(m), text, len, trusted, (flags & OMNI_TEXT_BOS) != 0, out, err);
}

size_t omni_token_text(const omni_model *m, int32_t id, char *buf, size_t cap)
{
    return om_tok_bytes(om_model_tok(m), id, false, true, buf, cap);
}

int omni_token_is_end(const omni_model *m, int32_t id)
{
    return om_tok_is_end(om_model_tok(m), id);
}

int omni_token_is_control(const omni_model *m, int32_t id)
{
    return om_tok_is_control(om_model_tok(m), id);
}

size_t omni_text_decoder_push(omni_text_decoder *d, const omni_model *m, int32_t id, char *buf)
{
    return om_tok_stream_push(d, om_model_tok(m), id, buf);
}

size_t omni_text_decoder_finish(omni_text_decoder *d, char *buf)
{
    size_t n = d->n_held;
    memcpy(buf, d->held, n);
    *d = (omni_text_decoder){0};
    return n;
}
