/* cli_help.h - what the option table looks like from outside. Each prints to stdout and returns the exit code. */
#ifndef OMNI_CLI_HELP_H
#define OMNI_CLI_HELP_H

#include "cli_opt.h"

int cli_help_print(const cli_program *p, bool all);
int cli_help_version(const cli_program *p);
/* Tab-separated lines: "program NAME SUMMARY", then "option SHORT LONG ARG KIND CHOICES DEFAULT MAIN SECTION HELP";
 * a field that is empty is "-". */
int cli_help_dump(const cli_program *p);

#endif
