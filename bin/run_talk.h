/* run_talk.h - a conversation at the terminal, without the terminal: turns and /commands. run_repl.c reads the lines.
 */
#ifndef OMNI_BIN_RUN_TALK_H
#define OMNI_BIN_RUN_TALK_H

#include "run.h"

typedef struct run_talk { /* start from {0}; release with run_talk_release */
    run_options *o;       /* /set changes it */
    run_settings set;
    omni_logit_bias *bias;
    run_engine e;
    omni_sampler *sp;
    run_chat chat;
    run_emit emit;
    bool quit;
} run_talk;

OMNI_MUST_CHECK omni_status run_talk_open(run_talk *t, run_options *o, const run_settings *set, cli_out *out,
                                          omni_error *err);
void run_talk_release(run_talk *t);
/* A turn: the answer streams to the output. Ctrl-C ends the answer and keeps what was said. */
void run_talk_say(run_talk *t, const char *text, size_t len);
/* A line that starts with "/"; errors are reported, nothing else happens then. */
void run_talk_command(run_talk *t, const char *line);
/* Names for completion, NULL after the last: "/help", ... and what /set takes. */
const char *run_talk_command_name(size_t i);
const char *run_talk_set_name(size_t i);

#endif
