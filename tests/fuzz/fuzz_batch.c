/* One line of a batch file, as omni-run --batch parses it. What was accepted must be consistent. */
#include "../../bin/run_batch_line.h"

#include <stdlib.h>
#include <string.h>
#include "run.h"

const cli_program run_program; /* the table of options is omni-run.c's; no line of a batch needs it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run_settings defaults = {.sample = omni_sample_params_default(), .max_tokens = -1};
    run_row row;
    omni_error err = {""};
    if (run_row_parse(&row, (const char *)data, size, &defaults, &err)) {
        if (!err.text[0] || strchr(err.text, '\n'))
            abort();
    } else {
        if (row.n_msgs == 0 || row.set.max_tokens < -1)
            abort();
        for (size_t i = 0; i < row.n_msgs; i++)
            if (!row.msgs[i].role || !row.msgs[i].text || row.msgs[i].text[row.msgs[i].len])
                abort();
        for (size_t i = 0; i < row.set.n_stop; i++)
            if (!row.set.stop[i][0])
                abort();
    }
    omni_json *id = NULL;
    if (row.id.n && (omni_json_parse(&id, row.id.p, row.id.n, NULL) || !id))
        abort(); /* the id goes into an output row as it is */
    omni_json_free(id);
    run_row_release(&row);
    return 0;
}
