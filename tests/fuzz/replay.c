/* replay.c - main() of a fuzz target built without libFuzzer: gives it the files of its seed corpus once each, so that
 * what fuzzing found stays fixed. Operands are files and folders; without any it is tests/fuzz/corpus/NAME for a
 * program fuzz_NAME. Prints TAP; the file at hand is named before it is tried, as a crash would say nothing. */
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int n_files;

/* The bytes are copied to a block of their exact size, so that the address sanitizer sees a read past the end. */
static bool replay_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *bytes = malloc(size ? size : 1);
    bool whole = f && bytes && fread(bytes, 1, size, f) == size;
    if (whole) {
        diag("%s", path);
        fflush(stdout);
        LLVMFuzzerTestOneInput(bytes, size);
        n_files++;
    }
    free(bytes);
    if (f)
        fclose(f);
    return whole;
}

static bool replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    if (!S_ISDIR(st.st_mode))
        return replay_file(path, (size_t)st.st_size);
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort);
    bool all = n >= 0;
    for (int i = 0; i < n; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, list[i]->d_name);
        if (list[i]->d_name[0] != '.' && !replay(name)) {
            diag("cannot read %s", name);
            all = false;
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    return all;
}

int main(int argc, char **argv)
{
    const char *name = strstr(argv[0], "fuzz_");
    char corpus[4096];
    for (const char *next = name; next; next = strstr(next + 1, "fuzz_")) /* the last: folders may have the word too */
        name = next;
    snprintf(corpus, sizeof corpus, "tests/fuzz/corpus/%s", name ? name + 5 : "");
    for (int i = 1; i < argc; i++)
        ok(replay(argv[i]), "%s", argv[i]);
    if (argc == 1)
        ok(replay(corpus) && n_files > 0, "%s replayed, %d files", corpus, n_files);
    return done_testing();
}
