/* cli_msg.h - messages on standard error: "NAME: text", one line each, control characters made visible,
 * or one JSON object a line under --json. Progress only where standard error is a terminal. */
#ifndef OMNI_CLI_MSG_H
#define OMNI_CLI_MSG_H

#include "omni.h"

#include <stdbool.h>
#include <stddef.h>

#define CLI_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* What cli_begin sets from the common options; quiet and verbose may be changed later (REPL). */
void cli_msg_setup(const char *program, bool json, bool quiet, int verbose, int color);

void cli_error(const char *fmt, ...) CLI_PRINTF(1, 2);              /* always shown */
void cli_warn(const char *fmt, ...) CLI_PRINTF(1, 2);               /* "NAME: warning: text"; not with -q */
void cli_note(const char *fmt, ...) CLI_PRINTF(1, 2);               /* not with -q */
void cli_verbose(int level, const char *fmt, ...) CLI_PRINTF(2, 3); /* with -v given level times */
/* Reports err->text ("" = it was reported already) and returns cli_exit_code(s). */
int cli_fail(omni_status s, const omni_error *err);

/* Fills err (may be NULL) and returns s, as the library's own functions do. */
omni_status cli_set_error(omni_error *err, omni_status s, const char *fmt, ...) CLI_PRINTF(3, 4);

/* One line that is drawn again and again and erased before anything else is written to a terminal;
 * nothing at all when standard error is not a terminal, TERM is dumb, or -q or --json was given. */
void cli_progress(const char *fmt, ...) CLI_PRINTF(1, 2);
void cli_progress_clear(void);

/* Colour on this fd: --color, then NO_COLOR (when not empty), then: a terminal that is not dumb. */
bool cli_color_on(int fd);

#endif
