/* cli.h - what every program here shares: options, messages, files, signals, models.
 * Programs include this and omni.h only. A whole program:
 *
 *     struct opts { cli_common common; int64_t n; };
 *     static const cli_opt table[] = {
 *         {'n', "number", "N", CLI_INT, offsetof(struct opts, n), .imin = 0, .imax = 99, .def = "1", .help = "..."},
 *         CLI_COMMON_OPTS(struct opts, common, "plain text out", "stream out"),
 *     };
 *     static const cli_program program = {.name = "omni-x", ..., .opts = table, .n_opts = CLI_COUNT_OF(table),
 *                                         .common_at = offsetof(struct opts, common)};
 *     int main(int argc, char **argv)
 *     {
 *         struct opts o = {.common = CLI_COMMON_INIT, .n = 1};
 *         cli_args args;
 *         int rc = cli_begin(&program, &o, argc, argv, &args);    // parses; --help and --version end here
 *         if (rc >= 0)
 *             return rc;
 *         cli_out *out = cli_out_open(o.common.output, CLI_OUT_REPLACE);
 *         ...
 *         return cli_end(out, rc);        // flushes, renames, dies by the signal that came
 *     }
 *
 * Exit codes: 0 ok, 1 negative answer, 2 usage, 3 bad input or model, 4 the system failed. */
#ifndef OMNI_CLI_H
#define OMNI_CLI_H

#include "cli_common.h"
#include "cli_in.h"
#include "cli_model.h"
#include "cli_msg.h"
#include "cli_opt.h"
#include "cli_out.h"
#include "cli_signal.h"

#endif
