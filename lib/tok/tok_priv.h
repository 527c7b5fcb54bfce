/* tok_priv.h - what the files of lib/tok share. May include: base, gguf. */
#ifndef OMNI_TOK_PRIV_H
#define OMNI_TOK_PRIV_H

#include "tok/tok.h"

#include <stdatomic.h>
#include <string.h>

#define OM_TOK_NONE UINT32_MAX
#define OM_TOK_MAX_VOCAB (1u << 24)
/* Decoded bytes of one token: what omni_text_decoder_push may return, less what it may still hold. */
#define OM_TOK_MAX_BYTES (OMNI_TEXT_DECODER_MAX - 4)
/* A piece of text that is longer than this without a boundary is cut before merging, so that memory stays bounded
 * (about 40 bytes a byte). No context window holds such a piece; decoding gives the same bytes all the same. */
#define OM_TOK_MAX_WORD ((size_t)1 << 22)

typedef enum om_tok_rule { OM_TOK_GPT2, OM_TOK_SMOLLM, OM_TOK_LLAMA3, OM_TOK_QWEN2 } om_tok_rule;

enum { /* tokenizer.ggml.token_type, the file's numbers */
       OM_TOK_UNDEFINED,
       OM_TOK_NORMAL,
       OM_TOK_UNKNOWN,
       OM_TOK_CONTROL,
       OM_TOK_USER,
       OM_TOK_UNUSED,
       OM_TOK_BYTE,
       OM_TOK_N_TYPES,
};
#define OM_TOK_TYPE 0x07   /* attr: the type */
#define OM_TOK_END 0x08    /* attr: ends an answer */
#define OM_TOK_MERGED 0x10 /* attr: comes out of a merge: an ordinary token whatever its name */

typedef struct om_tok_merge { /* slot of an open-addressing table, empty when rank1 is 0 */
    uint32_t left, right, rank1 /* rank + 1 */, id;
} om_tok_merge;

struct om_tok {
    om_gguf_array text;  /* the stored token texts, in the map */
    om_gguf_array score; /* SentencePiece: float32 each, in the map, unaligned */
    uint32_t n_vocab;
    uint32_t *off;  /* [n_vocab] where the text starts in text.p; its length is in the 8 bytes before */
    uint8_t *attr;  /* [n_vocab] type | flags */
    uint64_t *slot; /* [slot_mask + 1] text -> id: high half of the hash << 32 | id + 1, 0 = empty */
    uint32_t slot_mask;
    uint32_t max_len;    /* longest stored text, bytes */
    om_tok_merge *merge; /* [merge_mask + 1] (left id, right id) -> rank, id */
    uint32_t merge_mask;
    uint32_t *special; /* [n_special] ids of control, unknown and user-defined tokens, sorted by text */
    uint32_t n_special;
    uint32_t special_from[257]; /* special[special_from[b]..special_from[b+1]) begin with byte b */
    uint32_t byte_id[256];      /* the token of a single byte, OM_TOK_NONE = there is none */
    uint32_t unk;               /* stands for a byte without token; OM_TOK_NONE = the byte is left out */
    int32_t bos, eos;
    bool wants_bos, bpe, ignore_merges, space_prefix;
    bool spm_words; /* no token has U+2581 after another character: merges never cross into a new word */
    bool has_user;  /* there are user-defined tokens, so untrusted text is searched for them */
    om_tok_rule rule;
    char name[64];
    _Atomic uint64_t hash; /* 0 = not computed yet */
};

static inline om_str om_tok_text(const om_tok *t, uint32_t id)
{
    const unsigned char *p = t->text.p + t->off[id];
    /* Lengths of tokens are checked to fit in 32 bits when the table is built. */
    uint32_t n = (uint32_t)p[-8] | (uint32_t)p[-7] << 8 | (uint32_t)p[-6] << 16 | (uint32_t)p[-5] << 24;
    return (om_str){(const char *)p, n};
}
static inline unsigned om_tok_type(const om_tok *t, uint32_t id)
{
    return t->attr[id] & OM_TOK_TYPE;
}
/* May come out of merging plain text. Control, unknown and byte tokens may not: text that spells them is text. User
 * defined tokens need not: they were matched before. */
static inline bool om_tok_mergeable(const om_tok *t, uint32_t id)
{
    unsigned type = om_tok_type(t, id);
    return type == OM_TOK_NORMAL || type == OM_TOK_UNDEFINED || type == OM_TOK_UNUSED;
}

/* Hash of a token text, for the table in memory only. Texts are short: inlined word loads make a vocabulary load a
 * quarter faster than om_hash_bytes does. */
static inline uint64_t om_tok_hash_text(const char *p, size_t n)
{
    uint64_t a = 0, b = 0;
    if (n >= 8) {
        uint64_t h = 0;
        for (size_t i = 8; i + 8 < n; i += 8) {
            memcpy(&a, p + i, 8);
            h = (h ^ a) * 0xa0761d6478bd642full;
            h ^= h >> 29;
        }
        memcpy(&a, p, 8);
        memcpy(&b, p + n - 8, 8);
        b ^= h;
    } else if (n >= 4) {
        uint32_t x, y;
        memcpy(&x, p, 4);
        memcpy(&y, p + n - 4, 4);
        a = x;
        b = y;
    } else if (n > 0) {
        a = (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 | (unsigned char)p[n - 1];
    }
    unsigned __int128 m = (unsigned __int128)(a ^ 0xe7037ed1a0b428dbull) * (b ^ 0x8ebc6af09c88c6e3ull ^ n);
    return ((uint64_t)m ^ (uint64_t)(m >> 64)) * 0x9E3779B97F4A7C15ull;
}
uint32_t om_tok_lookup(const om_tok *t, const char *p, size_t n); /* id of a stored text, OM_TOK_NONE */
uint32_t om_tok_lookup_hashed(const om_tok *t, const char *p, size_t n, uint64_t hash); /* hash = om_tok_hash_text */
void *om_tok_table(size_t n, size_t size);                                              /* zeroed; NULL = no memory */
size_t om_tok_slots(size_t n); /* slots of a table of n entries: a power of two */
static inline uint32_t om_tok_merge_hash(uint32_t left, uint32_t right)
{
    return (uint32_t)((((uint64_t)left << 24 ^ right) * 0x9E3779B97F4A7C15ull) >> 32);
}

/* ---- tok_bpe.c ---- */
omni_status om_tok_bpe_init(om_tok *t, const om_gguf *g, omni_error *err);
size_t om_tok_bpe_bytes(om_str text,
                        char *out); /* stored text -> bytes, at most text.n; text as it is when not byte-level */

/* ---- tok_pre.c ---- */
/* Rule and properties of a tokenizer.ggml.pre name; false when it is unknown or its rule is not one of the four. */
bool om_tok_pre_find(om_str name, om_tok_rule *rule, bool *ignore_merges, bool *wants_bos);
/* Length >= 1 of the first piece of s[0..n), n >= 1. */
size_t om_tok_pre_next(om_tok_rule rule, const char *s, size_t n);

/* ---- tok_spm.c ---- */
omni_status om_tok_spm_init(om_tok *t, const om_gguf *g, omni_error *err);
int om_tok_byte_of(om_str text); /* 0..255 of "<0xXX>", else -1 */

/* ---- tok_merge.c: merges of one word ---- */
typedef struct om_tok_work { /* one encode's memory; start from {0} */
    const om_tok *t;
    char *text; /* SentencePiece: the escaped word */
    size_t text_n, text_cap;
    uint32_t *id;    /* [n_sym] token of each symbol, OM_TOK_NONE = a character without token */
    uint32_t *start; /* [n_sym + 1] SentencePiece: where the symbol starts in text */
    size_t id_cap, start_cap, n_sym;
    uint32_t *next, *prev, *pair_key, *pair_id; /* of long words */
    size_t next_cap, prev_cap, key_cap, pid_cap;
    uint64_t *heap;
    size_t heap_cap, n_heap;
    omni_tokens *out;
    omni_error *err;
} om_tok_work;
void om_tok_work_release(om_tok_work *w);
omni_status om_tok_room(om_tok_work *w, uint32_t **p, size_t *cap, size_t need);
/* Merges the symbols; afterwards id and start hold the n_sym tokens that are left. */
omni_status om_tok_merge_word(om_tok_work *w);
omni_status om_tok_emit(om_tok_work *w, uint32_t id);
omni_status om_tok_emit_byte(om_tok_work *w, unsigned char b); /* its token, else unk, else nothing */

/* Text without special tokens; nothing or a special token is before it. */
omni_status om_tok_bpe_text(om_tok_work *w, const char *s, size_t n);
omni_status om_tok_spm_text(om_tok_work *w, const char *s, size_t n);

#endif
