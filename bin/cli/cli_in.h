/* cli_in.h - operands: files, or "-" for standard input. */
#ifndef OMNI_CLI_IN_H
#define OMNI_CLI_IN_H

#include "omni.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_TEXT_MAX (64u << 20) /* bytes of a prompt or text file that is read as a whole */

typedef struct cli_in cli_in;

/* operand "-" or NULL: standard input (a terminal gets "reading from terminal, end with Ctrl-D"; a closed one is an
 * error). Directories and missing or unreadable files: E_INPUT, "FILE: reason". */
OMNI_MUST_CHECK omni_status cli_in_open(cli_in **out, const char *operand, omni_error *err);
void cli_in_close(cli_in *in);             /* NULL is allowed */
const char *cli_in_name(const cli_in *in); /* the operand, "standard input" for that */
uint64_t cli_in_offset(const cli_in *in);  /* bytes handed out so far */

/* An omni_read_fn (user = the cli_in): returns what is there, up to cap bytes, without waiting for more; 0 at the end;
 * -1 on error, or when a signal came (errno EINTR). */
ptrdiff_t cli_in_read(void *in, char *buf, size_t cap);
/* 1 when the input starts as an omni-stream does. Waits only as long as the bytes so far agree with it; no byte is
 * lost for the reads that follow. -1 on a read error, reported by the next read. */
int cli_in_is_stream(cli_in *in);
/* The next line without its LF into *line (the cli_in's, until the next call; may hold NULs); *got = 0 at the end.
 * More than max bytes: E_INPUT "FILE: line N is longer than M bytes". */
OMNI_MUST_CHECK omni_status cli_in_line(cli_in *in, size_t max, const char **line, size_t *len, int *got,
                                        omni_error *err);
/* All the rest: *text is malloc'ed and ends in NUL (not counted); E_INPUT when there are more than max bytes. */
OMNI_MUST_CHECK omni_status cli_in_all(cli_in *in, size_t max, char **text, size_t *len, omni_error *err);
/* Text is UTF-8 without NULs (which mark UTF-16 and binary files). E_INPUT "NAME: byte N: expected UTF-8 text, found
 * 0xE9"; offset is that of text[0] in the input. */
OMNI_MUST_CHECK omni_status cli_text_check(const char *name, uint64_t offset, const char *text, size_t len,
                                           omni_error *err);
/* Fills err for a read that returned -1: E_SYSTEM "FILE: reason", or E_CANCELLED after a signal. */
omni_status cli_in_fail(const cli_in *in, omni_error *err);

typedef omni_status (*cli_operand_fn)(void *user, cli_in *in, omni_error *err);
/* Runs fn over each operand in order, or over standard input when there is none. A bad operand, or an fn that returns
 * E_INPUT or E_FULL, is reported and the rest still run; any other failure ends the loop. Returns the exit code. */
int cli_operands(int n, char **v, cli_operand_fn fn, void *user);
/* One of them (NULL: standard input). Sets *rc when it failed; false: do not go on with the rest. */
bool cli_operand(const char *operand, cli_operand_fn fn, void *user, int *rc);

/* false: fd 0 was closed when the program started. */
bool cli_have_stdin(void);
void cli_open_std_fds(void); /* cli_begin calls it: fds 0-2 exist from then on */

#endif
