/* cli_model.h - from -m NAME or FILE to an open model; the search is described in omni(7). */
#ifndef OMNI_CLI_MODEL_H
#define OMNI_CLI_MODEL_H

#include "cli_common.h"
#include "omni.h"

/* File of a model: *path is malloc'ed. name NULL = CLI_DEFAULT_MODEL. E_INPUT when there is none: what was tried and
 * how to get it has then been reported and err->text is empty. */
OMNI_MUST_CHECK omni_status cli_model_find(const char *name, char **path, omni_error *err);
/* Finds and opens by the common options (-m, -t, --isa). p may be NULL; its threads and isa are replaced. */
OMNI_MUST_CHECK omni_status cli_model_open(omni_model **out, const cli_common *c, const omni_model_params *p,
                                           omni_error *err);

#endif
