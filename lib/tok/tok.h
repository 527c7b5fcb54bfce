/* tok.h - text <-> ids: byte-level BPE (gpt-2, smollm, llama-bpe, qwen2 pre-tokenizers) and SentencePiece (llama,
 * gemma). Tables are built over the mapped GGUF without an allocation a token. A tokenizer is read-only after it was
 * made and may be used by many threads. May include: base, gguf. */
#ifndef OMNI_TOK_H
#define OMNI_TOK_H

#include "base/base.h"
#include "gguf/gguf.h"

typedef struct om_tok om_tok;

/* g must outlive the tokenizer. E_INPUT when metadata is missing or inconsistent (arrays of unequal length, unknown
 * model or pre-tokenizer, special ids out of range, byte tokens missing). */
omni_status om_tok_new(om_tok **out, const om_gguf *g, omni_error *err);
void om_tok_free(om_tok *t);

uint32_t om_tok_n_vocab(const om_tok *t);
const char *om_tok_name(const om_tok *t); /* "bpe smollm", "spm" */
/* FNV-1a 64 over all token texts in order of ids, as stored, a zero byte after each. Computed on first use, thread
 * safe. */
uint64_t om_tok_hash(const om_tok *t);
int32_t om_tok_bos(const om_tok *t); /* -1 = none */
int32_t om_tok_eos(const om_tok *t);
bool om_tok_wants_bos(const om_tok *t); /* tokenizer.ggml.add_bos_token with the model's default */
bool om_tok_is_end(
    const om_tok *t,
    int32_t id); /* eos, eot, eom and the well-known names (<|im_end|>, <end_of_turn>, <|eot_id|>, ...) */
bool om_tok_is_control(const om_tok *t, int32_t id); /* control or unknown type; no text of its own in an answer */
int32_t om_tok_find(const om_tok *t, const char *text, size_t n); /* id of exactly this token text as stored, -1 */

extern const unsigned char om_tok_all_trusted[1]; /* stands for "every byte is trusted" */
/* Appends ids of text[0..n). trusted: om_tok_all_trusted; NULL = user text, no control token is recognised; otherwise a
 * byte per text byte, nonzero = trusted: a control token is recognised only where all its bytes are trusted. Text
 * around it is one piece for the merges whatever its trust, so the ids equal those of the reference on the same string.
 * bos: put the begin token first if the model wants one. Deterministic; O(n log n). */
omni_status om_tok_encode(const om_tok *t, const char *text, size_t n, const unsigned char *trusted, bool bos,
                          omni_tokens *out, omni_error *err);
/* Bytes of token id into buf (at most cap); returns the full length. first: the first token of a text (SentencePiece
 * drops the leading space it added when the model adds one). Control tokens give their name when `control`, else
 * nothing. */
size_t om_tok_bytes(const om_tok *t, int32_t id, bool first, bool control, char *buf, size_t cap);
/* omni_text_decoder_push without a model. Control tokens add nothing. */
size_t om_tok_stream_push(omni_text_decoder *d, const om_tok *t, int32_t id, char *buf);

#endif
