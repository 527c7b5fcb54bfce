/* run_batch_line.h - one line of a batch file: JSON from outside -> what to ask and how. Knows no model and no files,
 * so that it can be fuzzed alone. The format is in omni-run(1), BATCH. */
#ifndef OMNI_BIN_RUN_BATCH_LINE_H
#define OMNI_BIN_RUN_BATCH_LINE_H

#include "run.h"

typedef struct run_row { /* start from {0}; release with run_row_release; strings live in doc */
    omni_json *doc;
    run_buf id;         /* the id as JSON, "" when the line has none */
    omni_message *msgs; /* the conversation, or one user message for "prompt" */
    size_t n_msgs;
    bool is_prompt;   /* "prompt" was given, not "messages" */
    bool has_seed;    /* the line sets its own seed */
    run_settings set; /* the defaults with the line's options put over them */
    const char **stop;
    omni_logit_bias *bias;
} run_row;

/* Parses line[0..len), without its newline. out->id is filled on failure too when the line has a usable one, for the
 * error row. E_INPUT says which member is wrong; ranges of sampling parameters are checked by omni_sampler_new.
 * The caller releases *out in every case. */
OMNI_MUST_CHECK omni_status run_row_parse(run_row *out, const char *line, size_t len, const run_settings *defaults,
                                          omni_error *err);
void run_row_release(run_row *row);
/* Appends an id as it stands in output rows: a quoted string or a whole number. E_INPUT for anything else. */
OMNI_MUST_CHECK omni_status run_row_id(const omni_json *v, run_buf *out, omni_error *err);

#endif
