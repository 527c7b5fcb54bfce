/* cli_out.h - the product: standard output, or a file that appears under its name only when it is complete.
 * Errors stick: write on, and cli_out_close or cli_end tells. */
#ifndef OMNI_CLI_OUT_H
#define OMNI_CLI_OUT_H

#include "omni.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_out cli_out;

typedef enum cli_out_mode {
    CLI_OUT_REPLACE, /* FILE.tmp-PID in the same folder, renamed at close; devices and fifos are written directly */
    CLI_OUT_APPEND,  /* FILE itself, made when missing, written at its end, kept whatever happens */
} cli_out_mode;

/* path NULL or "-": standard output, where the mode does not matter. Returns NULL after reporting why. */
cli_out *cli_out_open(const char *path, cli_out_mode mode);
/* Both return false once any write failed; writes after that do nothing. */
bool cli_out_write(cli_out *o, const void *bytes, size_t n);
bool cli_out_printf(cli_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Hands what is buffered to the system: after each token or record. */
bool cli_out_flush(cli_out *o);
bool cli_out_failed(const cli_out *o);
bool cli_out_is_tty(const cli_out *o);
int cli_out_fd(const cli_out *o); /* for fsync, ftruncate, read back with CLI_OUT_APPEND (opened read-write) */
/* Flushes and frees o (NULL is allowed). keep = false removes the temporary file, and FILE stays as it was.
 * Returns OMNI_OK or E_SYSTEM, reported as "standard output: No space left on device". */
OMNI_MUST_CHECK omni_status cli_out_close(cli_out *o, bool keep);

/* Last line of main: closes o (NULL is allowed), keeping a file when rc is 0 or 1; checks stdio's stdout too;
 * dies by the signal that came, else returns the exit code: rc, or 4 when rc < 4 and the output failed. */
int cli_end(cli_out *o, int rc);

#endif
