/* make_tiny - writes the tiny models: make_tiny [--f32] [--all] FOLDER [NAME...]
 * Without names: those that are committed, with --all: every one. --f32: their dequantised twins. */
#include "share/recipes/tiny/tiny.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool wanted(size_t i, bool all, char *const *names, int n)
{
    for (int k = 0; k < n; k++)
        if (strcmp(names[k], tiny_name(i)) == 0)
            return true;
    return n == 0 && (all || tiny_committed(i));
}

static int write_file(const char *folder, size_t i, bool f32)
{
    char path[4096];
    om_buf b = {0};
    omni_error err = {{0}};
    snprintf(path, sizeof path, "%s/tiny-%s%s.gguf", folder, tiny_name(i), f32 ? "-f32" : "");
    if (tiny_build(i, f32, &b, &err) != OMNI_OK) {
        fprintf(stderr, "make_tiny: %s: %s\n", path, err.text);
        return 4;
    }
    FILE *f = fopen(path, "wb");
    bool good = f && fwrite(b.p, 1, b.n, f) == b.n;
    if ((f && fclose(f) != 0) || !good) {
        fprintf(stderr, "make_tiny: cannot write '%s': %s\n", path, strerror(errno));
        return 4;
    }
    printf("%s %zu bytes fnv1a %016llx\n", path, b.n, (unsigned long long)om_hash_fnv1a(OM_HASH_FNV1A_INIT, b.p, b.n));
    om_buf_release(&b);
    return 0;
}

int main(int argc, char **argv)
{
    bool f32 = false, all = false;
    int a = 1, rc = 0;
    for (; a < argc && argv[a][0] == '-'; a++) {
        f32 = f32 || strcmp(argv[a], "--f32") == 0;
        all = all || strcmp(argv[a], "--all") == 0;
    }
    if (a >= argc) {
        fprintf(stderr, "usage: make_tiny [--f32] [--all] FOLDER [NAME...]\n");
        return 2;
    }
    for (size_t i = 0; tiny_name(i) && rc == 0; i++)
        if (wanted(i, all, argv + a + 1, argc - a - 1))
            rc = write_file(argv[a], i, f32);
    return rc;
}
