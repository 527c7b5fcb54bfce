/* run.h - what the files of omni-run share: growing buffers, conversations, the settings of an answer, and the engine
 * (model, session, sampler) that gives one. Includes omni.h and bin/cli only. Each type says who releases it. */
#ifndef OMNI_BIN_RUN_H
#define OMNI_BIN_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"
#include "omni.h"

/* ---- bytes (run_chat.c) ------------------------------------------------------------------ */

typedef struct run_buf { /* start from {0}; p is malloc'ed, fit for omni_json_quote and omni_record_write */
    char *p;
    size_t n, cap;
} run_buf;
void run_buf_release(run_buf *b);
/* Appends n bytes and keeps a NUL after the end. */
OMNI_MUST_CHECK omni_status run_buf_add(run_buf *b, const char *s, size_t n);
OMNI_MUST_CHECK omni_status run_buf_puts(run_buf *b, const char *s);
OMNI_MUST_CHECK omni_status run_buf_printf(run_buf *b, const char *fmt, ...) OMNI_PRINTF(2, 3);
OMNI_MUST_CHECK omni_status run_buf_quote(run_buf *b, const char *s, size_t n); /* as a JSON string */

/* Formats err->text (err may be NULL) and returns st. */
omni_status run_fail(omni_error *err, omni_status st, const char *fmt, ...) OMNI_PRINTF(3, 4);
/* "what: out of memory". */
omni_status run_no_memory(omni_error *err, const char *what);

/* ---- conversations (run_chat.c) ------------------------------------------------------------ */

typedef struct run_chat { /* start from {0}; owns roles and texts */
    omni_message *msgs;
    size_t n, cap;
} run_chat;
void run_chat_release(run_chat *c);
/* Forgets messages n and later. */
void run_chat_cut(run_chat *c, size_t n);
OMNI_MUST_CHECK omni_status run_chat_add(run_chat *c, const char *role, const char *text, size_t len);
/* Sets the system message, the first one; text NULL takes it away. */
OMNI_MUST_CHECK omni_status run_chat_set_system(run_chat *c, const char *text, size_t len);
bool run_chat_has_system(const run_chat *c);
/* Forgets the oldest turn after the system message: a user message and what follows it up to the next user message.
 * The last user message always stays; false when there is nothing to drop. */
bool run_chat_drop_turn(run_chat *c);

/* ---- settings of an answer ------------------------------------------------------------------ */

typedef struct run_settings { /* what the command line sets for all and a batch row may change; points, owns nothing */
    omni_sample_params sample;
    int64_t max_tokens; /* -1 = until the end */
    const char *const *stop;
    size_t n_stop;
} run_settings;

typedef struct run_options { /* filled from the option table in omni-run.c */
    cli_common common;
    const char *prompt, *system, *tmpl, *batch, *shard;
    int64_t max_tokens, top_k, repeat_last, ctx, logprobs; /* logprobs: -1 = off */
    double temp, top_p, min_p, repeat_penalty;
    cli_list stop, bias;
    int activations; /* omni_activations */
    bool raw, ignore_end, shift, no_shift, stats, info;
} run_options;

extern const cli_program run_program; /* the option table, omni-run.c */

/* Fills *out from the options; *bias is malloc'ed (NULL when there is none) and out->sample.bias points to it.
 * The seed is the given one, or drawn. Reports usage errors and returns an exit code, or -1 to go on. */
int run_settings_from(run_settings *out, omni_logit_bias **bias, const run_options *o, bool seed_given);

/* ---- the engine (run_engine.c): a model with one session ------------------------------------- */

typedef struct run_figures { /* sums over the answers so far */
    double load_s, prefill_s, decode_s;
    double first_s;                        /* of the last answer: from its start to its first token */
    uint64_t n_prompt, n_reused, n_output; /* tokens; n_prompt includes the reused ones */
    uint64_t n_decoded;                    /* tokens that decode_s was spent on */
} run_figures;

typedef struct run_engine { /* start from {0}; release with run_engine_release */
    const run_options *opt;
    omni_model *model;
    omni_session *session;
    omni_model_info info;
    char *tmpl; /* what --template gave, NULL = the model's own */
    uint64_t session_bytes;
    run_figures fig;
    bool told_dropped; /* "old turns are dropped" is said once */
} run_engine;

/* Finds and opens the model of -m, reads --template, makes the session. From then on signals cancel it. */
OMNI_MUST_CHECK omni_status run_engine_open(run_engine *e, const run_options *o, omni_error *err);
/* Exchanges the model and its session, for /model; on failure *e stays as it was. */
OMNI_MUST_CHECK omni_status run_engine_swap(run_engine *e, const char *model, omni_error *err);
void run_engine_release(run_engine *e);
/* Whether a signal cancels the session's work; the REPL turns it off while it waits at its prompt. */
void run_engine_hook(run_engine *e, bool on);

/* ---- answers (run_answer.c) ------------------------------------------------------------------- */

typedef struct run_answer {
    omni_finish finish;
    size_t n_prompt, n_output; /* tokens */
} run_answer;

/* Called for every piece; false = stop, the output failed. */
typedef bool (*run_piece_fn)(void *user, const omni_piece *piece);

/* "end", "length", "stop" or "cancel". */
const char *run_finish_name(omni_finish f);
/* The ids of a conversation that ends with the message to answer; with --raw those of the texts alone. */
OMNI_MUST_CHECK omni_status run_encode(run_engine *e, const omni_message *msgs, size_t n, omni_tokens *ids,
                                       omni_error *err);
/* E_INPUT when a prompt of n tokens does not fit the context, with both numbers. */
OMNI_MUST_CHECK omni_status run_fits(run_engine *e, size_t n, omni_error *err);
/* Brings the session to ids and generates. msgs are only looked at for what a context shift has to keep. */
OMNI_MUST_CHECK omni_status run_generate(run_engine *e, omni_sampler *sp, const run_settings *set,
                                         const omni_tokens *ids, const omni_message *msgs, size_t n, run_piece_fn fn,
                                         void *user, run_answer *out, omni_error *err);
/* A turn of a conversation: encodes chat, forgetting its oldest turns while it does not fit, and generates. */
OMNI_MUST_CHECK omni_status run_turn(run_engine *e, omni_sampler *sp, const run_settings *set, run_chat *chat,
                                     run_piece_fn fn, void *user, run_answer *out, omni_error *err);

/* ---- the form of what goes out (run_emit.c) ---------------------------------------------------- */

typedef enum run_form { RUN_PLAIN, RUN_STREAM, RUN_JSON } run_form;

typedef struct run_emit { /* start from {0} with form, out and vocab set; release with run_emit_release */
    run_form form;
    cli_out *out;
    uint32_t vocab; /* for the head of a stream */
    run_buf said;   /* the text of the answer so far */
    run_buf line;   /* scratch */
    bool open;      /* a stream has its head and no end yet */
} run_emit;
void run_emit_release(run_emit *e);
/* Head and role in a stream, nothing in other forms; said starts empty. */
OMNI_MUST_CHECK omni_status run_emit_begin(run_emit *e, omni_error *err);
/* A run_piece_fn, user = the run_emit. */
bool run_emit_piece(void *user, const omni_piece *piece);
OMNI_MUST_CHECK omni_status run_emit_end(run_emit *e, const run_answer *a, omni_error *err);
/* The end of an answer that failed: says so in a stream and in JSON, and gives plain text its last newline. There is a
 * status to report already, and output errors stick to out, so this one returns none. */
void run_emit_broken(run_emit *e, omni_end end, const char *reason);
/* One record or JSON object to the output, flushed. */
OMNI_MUST_CHECK omni_status run_emit_record(run_emit *e, const omni_record *rec, omni_error *err);

/* ---- the ways to run: each returns an exit code ------------------------------------------------- */

/* run_text.c: one prompt from operands, files or standard input, or the turns of a stream. */
int run_text(run_options *o, const run_settings *set, const cli_args *args, cli_out *out);
/* run_stream.c: every stream of in is a turn; prefix (may be NULL) goes before the first user text. */
int run_stream(run_engine *e, omni_sampler *sp, const run_settings *set, cli_in *in, const char *prefix,
               run_emit *emit);
/* Exchanges chat for the messages of the first stream of in. */
OMNI_MUST_CHECK omni_status run_stream_load(cli_in *in, run_chat *chat, omni_error *err);
/* Writes a conversation as one stream. */
OMNI_MUST_CHECK omni_status run_stream_save(cli_out *out, const run_chat *chat, uint32_t vocab, omni_error *err);
/* run_score.c: tokens and their log probabilities instead of text. */
int run_score(run_engine *e, omni_sampler *sp, const run_settings *set, const omni_tokens *ids,
              const omni_message *msgs, size_t n_msgs, cli_out *out);
int run_info(const run_options *o, cli_out *out);                        /* run_info.c */
int run_batch(run_options *o, const run_settings *set, bool seed_given); /* run_batch.c */
int run_repl(run_options *o, const run_settings *set, cli_out *out);     /* run_repl.c */
/* run_stats.c: what --stats and /stats print, on standard error. */
void run_stats_print(const run_engine *e, bool json);

/* Reports st and gives its exit code; silent when it is a signal that ended the work. */
int run_report(omni_status st, const omni_error *err);
double run_seconds(void); /* a monotonic clock */

#endif
