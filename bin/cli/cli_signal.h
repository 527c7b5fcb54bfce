/* cli_signal.h - die by the signal, but tidily. SIGPIPE ends the program at once. The first SIGINT, SIGTERM or SIGHUP
 * sets a flag and calls the hook; reads and writes in progress end early; cli_end then closes what is open, removes
 * unfinished output and dies by that signal. The second one does so at once. A signal that was ignored when the
 * program started (nohup, background jobs) stays ignored, save SIGPIPE. */
#ifndef OMNI_CLI_SIGNAL_H
#define OMNI_CLI_SIGNAL_H

#include <stdbool.h>

void cli_signal_init(void); /* cli_begin calls it */
/* Called in the handler, so async-signal-safe code only; omni_session_cancel is. NULL, NULL = none. */
void cli_signal_hook(void (*fn)(void *user), void *user);
/* The first signal that came, or 0. */
int cli_signalled(void);
/* Forgets it: for the REPL, where Ctrl-C ends the answer and not the program. */
void cli_signal_clear(void);
/* Dies by the signal when one came, else returns. Unfinished output is removed. */
void cli_signal_die(void);

/* Files to unlink when the program ends before they are done. path must live until the slot is released. Returns a slot
 * or -1 when all are taken (the file would stay behind then, nothing worse). */
int cli_cleanup_add(const char *path);
void cli_cleanup_remove(int slot);

#endif
