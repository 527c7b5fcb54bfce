/* tests.h - what several unit tests need besides TAP: JSON-lines files and the optional default model. */
#ifndef OMNI_TESTS_H
#define OMNI_TESTS_H

#include "tap.h"

#include <unistd.h>

typedef struct jsonl {
    FILE *f;
    char *line;
    size_t cap;
} jsonl;
static inline bool jsonl_open(jsonl *j, const char *path)
{
    *j = (jsonl){.f = fopen(path, "r")};
    return j->f != NULL;
}
/* The next line without its newline, NULL at the end; lives until the next call. */
static inline char *jsonl_next(jsonl *j)
{
    ssize_t n = getline(&j->line, &j->cap, j->f);
    if (n <= 0)
        return NULL;
    if (j->line[n - 1] == '\n')
        j->line[n - 1] = '\0';
    return j->line;
}
static inline void jsonl_close(jsonl *j)
{
    if (j->f)
        fclose(j->f);
    free(j->line);
}

/* Path of the default model when it is installed: $OMNI_TEST_MODEL or the user's model folder; else NULL. */
static inline const char *test_big_model(void)
{
    static char path[4096];
    const char *env = getenv("OMNI_TEST_MODEL"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (env)
        return access(env, R_OK) == 0 ? env : NULL;
    if (data && *data)
        snprintf(path, sizeof path, "%s/omni/models/SmolLM2-135M-Instruct.Q4_1.gguf", data);
    else
        snprintf(path, sizeof path, "%s/.local/share/omni/models/SmolLM2-135M-Instruct.Q4_1.gguf", home ? home : "");
    return access(path, R_OK) == 0 ? path : NULL;
}
#endif
