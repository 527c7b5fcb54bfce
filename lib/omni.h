/* omni.h - the public interface of libomni, the only installed header.
 *
 * Text, sound and pictures as tokens, and a language model over them, on a plain CPU.
 * The library never prints, exits, changes signals or reads the environment.
 *
 * A whole chat turn:
 *
 *     omni_error err;
 *     omni_model *m; omni_session *s; omni_sampler *sp;
 *     omni_tokens ids = {0};
 *     omni_message msg[] = {{"user", "Why is the sky blue?", 20}};
 *     omni_model_params mp = omni_model_params_default();
 *     omni_session_params sp_ = omni_session_params_default();
 *     omni_sample_params pp = omni_sample_params_default();
 *     omni_generate_params gp = omni_generate_params_default();
 *
 *     omni_model_open(&m, "model.gguf", &mp, &err);
 *     omni_session_new(&s, m, &sp_, &err);
 *     omni_sampler_new(&sp, m, &pp, &err);
 *     omni_chat_encode(m, NULL, msg, 1, OMNI_CHAT_REPLY, &ids, &err);
 *     omni_session_sync(s, ids.ids, ids.n, NULL, &err);
 *     omni_generate(s, sp, &gp, on_piece, NULL, NULL, &err);   // on_piece prints piece->text
 *     omni_tokens_release(&ids);
 *     omni_sampler_free(sp); omni_session_free(s); omni_model_close(m);
 *
 * Where a call takes parameters (const omni_x_params *), NULL means the defaults.
 * Every call that can fail returns omni_status and, when err is not NULL, fills err->text with
 * one line: what, where, expected, found. On failure output parameters are unchanged unless
 * said otherwise. Strings are UTF-8; a (pointer, length) pair need not end in NUL.
 * Threads: a model may be shared by many threads for reading (tokenizing, chat templates);
 * omni_session_* calls on sessions of one model run one at a time, the caller serialises them. */
#ifndef OMNI_H
#define OMNI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OMNI_VERSION "0.1.0"

#if defined(__GNUC__)
#define OMNI_API __attribute__((visibility("default")))
#define OMNI_MUST_CHECK __attribute__((warn_unused_result))
#define OMNI_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define OMNI_API
#define OMNI_MUST_CHECK
#define OMNI_PRINTF(f, a)
#endif

/* ---- status and error text ------------------------------------------------------------ */

typedef enum omni_status {
    OMNI_OK = 0,
    OMNI_E_USAGE = 2,     /* the caller's argument is out of range or contradictory */
    OMNI_E_INPUT = 3,     /* a file, stream, model or text is not what it should be */
    OMNI_E_SYSTEM = 4,    /* the system failed: I/O, permissions, threads */
    OMNI_E_MEMORY = 5,    /* an allocation failed */
    OMNI_E_FULL = 6,      /* the context window (or the caller's buffer) is full */
    OMNI_E_CANCELLED = 7, /* omni_session_cancel was called, or a callback said stop */
} omni_status;

typedef struct omni_error {
    char text[1024]; /* one line without newline, NUL-terminated, empty when there was no error */
} omni_error;

/* The library's version, the same as OMNI_VERSION of the header it was built with. */
OMNI_API const char *omni_version(void);
/* Static lower-case text for a status: "ok", "bad input", ... */
OMNI_API const char *omni_status_text(omni_status s);
/* Name of the best ISA level this CPU and system support: "generic", "avx2", "avx512", "neon". */
OMNI_API const char *omni_isa_best(void);

/* ---- models --------------------------------------------------------------------------- */

typedef struct omni_model omni_model; /* a loaded GGUF: mapped weights, tokenizer, thread pool */

typedef enum omni_activations {
    OMNI_ACT_FAST = 0,  /* activations of quantised matrices rounded to 16 bits a block of 32 */
    OMNI_ACT_FLOAT = 1, /* float32 activations: slower, closest to the reference */
} omni_activations;

typedef struct omni_model_params {
    int threads;                  /* 1..1024; 0 = one for each processor we may run on */
    const char *isa;              /* highest ISA level to use, NULL = the best there is */
    omni_activations activations; /* arithmetic of quantised matrices */
    int vocab_only;               /* 1 = tokenizer, template and card only; weights are not checked or bound */
} omni_model_params;

typedef struct omni_model_info { /* strings live as long as the model; "" when the file says nothing */
    const char *path;
    const char *name;          /* general.name */
    const char *architecture;  /* llama, qwen2, qwen3, gemma3 */
    const char *licence;       /* general.license */
    const char *quantisation;  /* bytes by type, "Q4_1 81% Q8_0 19%" */
    const char *tokenizer;     /* "bpe smollm", "spm" */
    const char *chat_template; /* "chatml (built in)", "from file (jinja)", "none" */
    const char *isa;           /* ISA level in use */
    uint64_t file_bytes, n_params;
    uint64_t vocab_hash; /* FNV-1a 64 over the token texts; omni-stream's vocab= shows its low 32 bits */
    uint32_t n_vocab, n_ctx_train, n_embd, n_layer, n_head, n_head_kv, n_ff;
    int threads;
} omni_model_info;

OMNI_API omni_model_params omni_model_params_default(void);
/* Maps and checks a GGUF file. *out is closed with omni_model_close. E_INPUT names byte offset or tensor. */
OMNI_API OMNI_MUST_CHECK omni_status omni_model_open(omni_model **out, const char *path, const omni_model_params *p,
                                                     omni_error *err);
OMNI_API void omni_model_close(omni_model *m); /* NULL is allowed; sessions must be freed before */
OMNI_API void omni_model_get_info(const omni_model *m, omni_model_info *info);
/* The metadata, key by key: i in 0..count-1. *key and *value live until the next call on this model;
 * arrays are shortened to their first elements. Returns 0 when i is out of range. */
OMNI_API size_t omni_model_meta_count(const omni_model *m);
OMNI_API int omni_model_meta_at(omni_model *m, size_t i, const char **key, const char **value);

/* ---- text <-> token ids --------------------------------------------------------------- */

typedef struct omni_tokens { /* a growing list; start from {0}, end with omni_tokens_release */
    int32_t *ids;
    size_t n, cap;
} omni_tokens;

enum {
    OMNI_TEXT_PLAIN = 0,   /* user text: control tokens spelled in it stay text */
    OMNI_TEXT_SPECIAL = 1, /* recognise control tokens (trusted text only) */
    OMNI_TEXT_BOS = 2,     /* put the model's begin token first where the model wants one */
};

OMNI_API void omni_tokens_release(omni_tokens *t);
OMNI_API OMNI_MUST_CHECK omni_status omni_tokens_push(omni_tokens *t, const int32_t *ids, size_t n);
/* Appends the ids of text. Any bytes are allowed; invalid UTF-8 survives the round trip byte by byte. */
OMNI_API OMNI_MUST_CHECK omni_status omni_text_encode(const omni_model *m, const char *text, size_t len, unsigned flags,
                                                      omni_tokens *out, omni_error *err);
/* Copies the bytes of token id to buf (at most cap) and returns their full number. Control tokens give
 * their name, "<|im_end|>"; an id outside the vocabulary gives 0. */
OMNI_API size_t omni_token_text(const omni_model *m, int32_t id, char *buf, size_t cap);
/* 1 when id ends an answer (eos, eot, ...). */
OMNI_API int omni_token_is_end(const omni_model *m, int32_t id);
/* 1 when id is a control token, which has no text of its own. */
OMNI_API int omni_token_is_control(const omni_model *m, int32_t id);

typedef struct omni_text_decoder { /* streaming ids -> text that never splits a UTF-8 character; start from {0} */
    unsigned char held[4];
    unsigned char n_held, started;
} omni_text_decoder;
#define OMNI_TEXT_DECODER_MAX 1024 /* bytes that one push or finish can return at most */
/* Appends the text of id; returns the bytes written to buf[OMNI_TEXT_DECODER_MAX]. A character that is not
 * complete is held back; bytes that can never become one are passed on as they are. */
OMNI_API size_t omni_text_decoder_push(omni_text_decoder *d, const omni_model *m, int32_t id, char *buf);
/* What is still held, at the end of the text. */
OMNI_API size_t omni_text_decoder_finish(omni_text_decoder *d, char *buf);

/* ---- chat templates ------------------------------------------------------------------- */

typedef struct omni_message {
    const char *role; /* "system", "user", "assistant", "tool" */
    const char *text; /* untrusted: control tokens spelled in it stay text */
    size_t len;
} omni_message;

enum { OMNI_CHAT_REPLY = 1 /* end with the opening of an assistant message */ };

/* Appends the ids of a conversation. tmpl: NULL = the model's own; a built-in name ("chatml", "llama2", "llama3",
 * "gemma", ...: omni_chat_builtin); or, if it contains "{%" or "{{", Jinja source. E_INPUT when the model has no
 * template, or the template fails: line and column are named. */
OMNI_API OMNI_MUST_CHECK omni_status omni_chat_encode(const omni_model *m, const char *tmpl, const omni_message *msgs,
                                                      size_t n, unsigned flags, omni_tokens *out, omni_error *err);
/* Name of the i-th built-in template, NULL after the last. */
OMNI_API const char *omni_chat_builtin(size_t i);

/* ---- sessions: one conversation's KV cache -------------------------------------------- */

typedef struct omni_session omni_session; /* one mutable timeline of tokens over a shared model */

typedef struct omni_session_params {
    uint32_t n_ctx;   /* positions; 0 = min(the model's training context, 8192) */
    uint32_t n_batch; /* tokens a forward pass, 0 = 512; never changes results */
} omni_session_params;

OMNI_API omni_session_params omni_session_params_default(void);
/* Bytes a session will take, before it is made. */
OMNI_API uint64_t omni_session_memory(const omni_model *m, const omni_session_params *p);
OMNI_API OMNI_MUST_CHECK omni_status omni_session_new(omni_session **out, omni_model *m, const omni_session_params *p,
                                                      omni_error *err);
OMNI_API void omni_session_free(omni_session *s); /* NULL is allowed */
OMNI_API uint32_t omni_session_n_ctx(const omni_session *s);
/* The tokens the cache holds now; the pointer lives until the next call on s. */
OMNI_API const int32_t *omni_session_tokens(const omni_session *s, size_t *n);
/* Makes the session hold exactly ids[0..n), n >= 1, reusing the longest common prefix; afterwards the logits of the
 * last position are ready. *reused (may be NULL) = positions not computed again. E_FULL when n > n_ctx,
 * E_INPUT for an id outside the vocabulary; the session is then unchanged. */
OMNI_API OMNI_MUST_CHECK omni_status omni_session_sync(omni_session *s, const int32_t *ids, size_t n, size_t *reused,
                                                       omni_error *err);
/* Appends n >= 1 tokens. */
OMNI_API OMNI_MUST_CHECK omni_status omni_session_eval(omni_session *s, const int32_t *ids, size_t n, omni_error *err);
/* Appends tokens and calls fn with the logits [n_vocab] of each of them in order; fn returns 0 to go on. */
OMNI_API OMNI_MUST_CHECK omni_status omni_session_eval_each(omni_session *s, const int32_t *ids, size_t n,
                                                            int (*fn)(void *user, size_t i, const float *logits),
                                                            void *user, omni_error *err);
/* Logits [n_vocab] after the last token, NULL before the first; valid until the next call on s. */
OMNI_API const float *omni_session_logits(const omni_session *s);
/* Forgets all tokens from position n on. The logits are gone until the next eval (sync recomputes one token). */
OMNI_API void omni_session_truncate(omni_session *s, size_t n);
/* Context shift: forgets positions keep..keep+drop-1 and moves the rest down, keys rotated to their new places. */
OMNI_API OMNI_MUST_CHECK omni_status omni_session_shift(omni_session *s, size_t keep, size_t drop, omni_error *err);
/* Async-signal-safe: the running or next sync, eval or generate of s ends early with OMNI_E_CANCELLED.
 * The tokens computed so far stay; the flag is cleared when it has been reported. */
OMNI_API void omni_session_cancel(omni_session *s);

/* ---- sampling ------------------------------------------------------------------------- */

typedef struct omni_logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY forbids the token */
} omni_logit_bias;

typedef struct omni_sample_params {
    float temperature;    /* 0 = greedy, never consults the rng */
    int32_t top_k;        /* 0 = off */
    float top_p;          /* (0, 1], 1 = off */
    float min_p;          /* [0, 1], 0 = off */
    float repeat_penalty; /* > 0, 1 = off; over the last repeat_last tokens */
    uint32_t repeat_last;
    uint64_t seed;
    const omni_logit_bias *bias; /* copied */
    size_t n_bias;
} omni_sample_params;

typedef struct omni_sampler omni_sampler; /* parameters + rng + the recent tokens */

OMNI_API omni_sample_params omni_sample_params_default(void);
/* E_USAGE names the parameter that is out of range. */
OMNI_API OMNI_MUST_CHECK omni_status omni_sampler_new(omni_sampler **out, const omni_model *m,
                                                      const omni_sample_params *p, omni_error *err);
OMNI_API void omni_sampler_free(omni_sampler *s);
/* Starts again from a seed with an empty history. */
OMNI_API void omni_sampler_reset(omni_sampler *s, uint64_t seed);
/* Records a token for the repetition penalty. */
OMNI_API void omni_sampler_accept(omni_sampler *s, int32_t id);
/* Picks the next token from logits [n_vocab]; does not record it. */
OMNI_API int32_t omni_sampler_pick(omni_sampler *s, const float *logits);

/* ---- generation ----------------------------------------------------------------------- */

typedef struct omni_generate_params {
    int64_t max_tokens;      /* -1 = until the model ends or the context is full */
    const char *const *stop; /* stop strings; the text ends before the first of them */
    size_t n_stop;
    int ignore_end;    /* 1 = end tokens do not end the answer */
    int want_logprobs; /* 1 = fill logprob in each piece (costs a pass over the logits) */
    int shift;         /* 1 = when the context is full, shift it, keeping the first n_keep positions */
    size_t n_keep;
} omni_generate_params;

typedef enum omni_finish {
    OMNI_FINISH_END,    /* the model ended the answer */
    OMNI_FINISH_LENGTH, /* max_tokens reached, or the context is full and shift is off */
    OMNI_FINISH_STOP,   /* a stop string */
    OMNI_FINISH_CANCEL, /* cancelled or the callback said stop */
} omni_finish;

typedef struct omni_piece {
    int32_t id;       /* the token, -1 for text released at the end */
    const char *text; /* whole UTF-8 characters; may be empty while text is held back */
    size_t len;
    float logprob;       /* natural log of its probability before temperature; NaN unless asked for */
    const float *logits; /* [n_vocab] it was picked from; valid during the callback; NULL when id is -1 */
} omni_piece;

typedef struct omni_generate_result {
    omni_finish finish;
    size_t n_tokens;       /* picked tokens, the end token included */
    double first_s, all_s; /* seconds to the first pick and for all */
} omni_generate_result;

OMNI_API omni_generate_params omni_generate_params_default(void);
/* Picks, evaluates and reports tokens until the end. Needs logits: after sync or eval. The end token is evaluated
 * into the session only when it was not the last. cb returns 0 to go on. r may be NULL. */
OMNI_API OMNI_MUST_CHECK omni_status omni_generate(omni_session *s, omni_sampler *sp, const omni_generate_params *p,
                                                   int (*cb)(void *user, const omni_piece *piece), void *user,
                                                   omni_generate_result *r, omni_error *err);
/* The k most probable ids with their natural-log probabilities, best first; returns how many (<= n_vocab). */
OMNI_API size_t omni_logits_top(const float *logits, size_t n_vocab, size_t k, int32_t *ids, float *logprobs);
/* log softmax(logits)[id]. */
OMNI_API float omni_logits_logprob(const float *logits, size_t n_vocab, int32_t id);

/* ---- omni-stream(5) -------------------------------------------------------------------- */

typedef enum omni_record_kind {
    OMNI_RECORD_HEAD,  /* omni 1 vocab=... from=... */
    OMNI_RECORD_ROLE,  /* name */
    OMNI_RECORD_TEXT,  /* text */
    OMNI_RECORD_HEARD, /* text */
    OMNI_RECORD_AUDIO, /* start_ms, name = voice or "-", codes (1..16) */
    OMNI_RECORD_IMAGE, /* rows, cols, codes (rows * cols) */
    OMNI_RECORD_FRAME, /* start_ms */
    OMNI_RECORD_GUARD, /* text = JSON object as written */
    OMNI_RECORD_META,  /* text = JSON object as written */
    OMNI_RECORD_END,   /* end, text = REASON */
    OMNI_RECORD_OTHER, /* text = the whole line, unknown kind: filters pass it on, consumers skip it */
} omni_record_kind;

typedef enum omni_end { OMNI_END_OK, OMNI_END_BLOCKED, OMNI_END_ERROR } omni_end;

typedef struct omni_record { /* pointers belong to the reader and live until its next call */
    omni_record_kind kind;
    const char *text; /* decoded where the format has a JSON string */
    size_t len;
    const char *name; /* role, voice, or from= of the head; NUL-terminated */
    uint32_t vocab;   /* head: vocab= */
    int has_vocab;
    uint64_t start_ms;
    uint32_t rows, cols;
    const uint32_t *codes;
    size_t n_codes;
    omni_end end;
    uint64_t line; /* line number in the input, from 1 */
} omni_record;

#define OMNI_STREAM_LINE_MAX (1u << 20) /* bytes of a line, newline included */

typedef struct omni_reader omni_reader;
/* Reads *up to* cap bytes into buf; returns the number, 0 at the end, -1 on error (errno set). */
typedef ptrdiff_t (*omni_read_fn)(void *user, char *buf, size_t cap);
OMNI_API OMNI_MUST_CHECK omni_status omni_reader_new(omni_reader **out, const char *name, omni_read_fn fn, void *user,
                                                     omni_error *err);
OMNI_API void omni_reader_free(omni_reader *r);
/* *got = 1 and *rec filled, or *got = 0 at the end of the input. After an end record the next must be a head (or the
 * end of the input). Input that stops without an end record is E_INPUT. */
OMNI_API OMNI_MUST_CHECK omni_status omni_reader_next(omni_reader *r, omni_record *rec, int *got, omni_error *err);
/* 1 when the first bytes look like an omni-stream ("omni 1 "). n may be anything; fewer than 7 bytes: 0. */
OMNI_API int omni_stream_probe(const char *bytes, size_t n);
/* Appends one record as a line to a malloc'ed buffer (*buf, *len, *cap; start from NULL, 0, 0; free with free).
 * Long texts are split into several text records so that a line stays within OMNI_STREAM_LINE_MAX;
 * invalid UTF-8 in a text becomes U+FFFD. */
OMNI_API OMNI_MUST_CHECK omni_status omni_record_write(const omni_record *rec, char **buf, size_t *len, size_t *cap,
                                                       omni_error *err);

/* ---- JSON, for programs over the library ----------------------------------------------- */

typedef struct omni_json omni_json; /* a parsed document or a value inside one */
typedef enum omni_json_type {
    OMNI_JSON_NULL,
    OMNI_JSON_BOOL,
    OMNI_JSON_NUMBER,
    OMNI_JSON_STRING,
    OMNI_JSON_ARRAY,
    OMNI_JSON_OBJECT,
} omni_json_type;

/* Strict RFC 8259, depth <= 64, duplicate keys refused. Free the root with omni_json_free. */
OMNI_API OMNI_MUST_CHECK omni_status omni_json_parse(omni_json **out, const char *text, size_t len, omni_error *err);
OMNI_API void omni_json_free(omni_json *root);
OMNI_API omni_json_type omni_json_typeof(const omni_json *v);
OMNI_API size_t omni_json_count(const omni_json *v);                            /* members or elements, else 0 */
OMNI_API const omni_json *omni_json_at(const omni_json *v, size_t i);           /* element or member value */
OMNI_API const char *omni_json_key(const omni_json *v, size_t i, size_t *len);  /* member name */
OMNI_API const omni_json *omni_json_get(const omni_json *obj, const char *key); /* NULL when absent or not an object */
OMNI_API const char *omni_json_string(const omni_json *v,
                                      size_t *len);             /* UTF-8, NUL-terminated; NULL if not a string */
OMNI_API int omni_json_number(const omni_json *v, double *out); /* 0 if not a number */
OMNI_API int omni_json_bool(const omni_json *v, int *out);      /* 0 if not a bool */
/* Appends text as a quoted JSON string; buffer rules as in omni_record_write. */
OMNI_API OMNI_MUST_CHECK omni_status omni_json_quote(const char *text, size_t len, char **buf, size_t *n, size_t *cap);

#ifdef __cplusplus
}
#endif
#endif
