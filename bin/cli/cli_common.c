/* cli_common.c - meaning of the common options. */
#include "cli_common.h"

#include <stdlib.h>
#include <string.h>

static const char *const isa_names[] = {"auto", "generic", "avx2", "avx512", "neon"}; /* as CLI_ISA_CHOICES */

const char *cli_isa(const cli_common *c, bool *bad)
{
    const char *env = getenv("OMNI_ISA");
    int isa = c->isa;
    if (bad)
        *bad = false;
    if (isa == 0 && env && *env) {
        while (isa < (int)CLI_COUNT_OF(isa_names) && strcmp(env, isa_names[isa]) != 0)
            isa++;
        if (isa == (int)CLI_COUNT_OF(isa_names)) {
            if (bad)
                *bad = true;
            return NULL;
        }
    }
    return isa == 0 ? NULL : isa_names[isa];
}

int cli_exit_code(omni_status s)
{
    switch (s) {
    case OMNI_OK:
        return 0;
    case OMNI_E_USAGE:
        return 2;
    case OMNI_E_INPUT:
    case OMNI_E_FULL:
    case OMNI_E_CANCELLED:
        return 3;
    case OMNI_E_SYSTEM:
    case OMNI_E_MEMORY:
        return 4;
    }
    return 4;
}
