/* cli_model.c - the model search of omni(7). A name is looked for in each folder of the search path as a file of that
 * name, NAME.gguf, the file that share/omni/models.tsv gives for it, and as a model set NAME.omni. */
#include "cli_model.h"

#include "cli_msg.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_FILE "SmolLM2-135M-Instruct.Q4_1.gguf" /* of CLI_DEFAULT_MODEL, should models.tsv be missing */
#define DIRS_MAX 64                                    /* folders of a search path */
#define LINE_MAX_TABLE 4096                            /* of models.tsv and of a model set */

typedef struct search {
    char *dirs[DIRS_MAX];
    size_t n_dirs;
    char *share;          /* folder with models.tsv and fetch, NULL when there is none */
    const char *files[4]; /* names tried in each folder, NULL = none */
    char *from_table, *with_gguf, *with_omni;
} search;

/* malloc'ed text, NULL when out of memory */
static char *format(const char *fmt, ...) CLI_PRINTF(1, 2);
static char *format(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : malloc((size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* Takes ownership of dir; NULL and doubles are dropped. */
static void add_dir(search *s, char *dir)
{
    bool known = !dir || !*dir || s->n_dirs == DIRS_MAX;
    for (size_t i = 0; i < s->n_dirs && !known; i++)
        known = strcmp(s->dirs[i], dir) == 0;
    if (known)
        free(dir);
    else
        s->dirs[s->n_dirs++] = dir;
}

/* share/omni beside the program: installed as PREFIX/bin/NAME, built as build/VARIANT/bin/NAME or build/VARIANT/NAME
 * in the source tree. Without /proc the installed places alone are tried. */
static char *find_share(void)
{
    static const char *const fixed[] = {"/usr/local/share/omni", "/usr/share/omni"};
    static const char *const up[] = {"/..", "", "/../..", "/../../.."};
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    for (size_t i = 0; slash && i < CLI_COUNT_OF(up); i++) {
        *slash = '\0';
        char *dir = format("%s%s/share/omni", exe, up[i]), *table = format("%s%s/share/omni/models.tsv", exe, up[i]);
        char *real = dir && table && is_file(table) ? realpath(dir, NULL) : NULL;
        free(dir);
        free(table);
        if (real)
            return real;
    }
    for (size_t i = 0; i < CLI_COUNT_OF(fixed); i++) {
        char *table = format("%s/models.tsv", fixed[i]);
        bool found = table && is_file(table);
        free(table);
        if (found)
            return strdup(fixed[i]);
    }
    return NULL;
}

static void add_dirs(search *s)
{
    const char *path = getenv("OMNI_MODEL_PATH"), *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    for (const char *p = path ? path : ""; *p;) {
        size_t n = strcspn(p, ":");
        add_dir(s, strndup(p, n));
        p += n + (p[n] == ':');
    }
    if (xdg && xdg[0] == '/') /* the XDG rule: a relative path counts as unset */
        add_dir(s, format("%s/omni/models", xdg));
    else if (home && *home)
        add_dir(s, format("%s/.local/share/omni/models", home));
    add_dir(s, strdup("/usr/local/share/omni/models"));
    add_dir(s, strdup("/usr/share/omni/models"));
    if (s->share)
        add_dir(s, format("%s/models", s->share));
}

/* The file name that models.tsv has for a model: the last part of its fourth column. NULL when it is not listed. */
static char *table_file(const char *share, const char *name)
{
    char line[LINE_MAX_TABLE], *found = NULL, *path = format("%s/models.tsv", share);
    FILE *f = path ? fopen(path, "re") : NULL;
    size_t n = strlen(name);
    while (f && !found && fgets(line, sizeof line, f)) {
        char *p = line;
        if (strncmp(line, name, n) != 0 || line[n] != '\t')
            continue;
        for (int column = 0; p && column < 3; column++) {
            p = strchr(p, '\t');
            p = p ? p + 1 : NULL;
        }
        if (!p)
            continue;
        p[strcspn(p, "\t\n")] = '\0';
        found = strdup(strrchr(p, '/') ? strrchr(p, '/') + 1 : p);
    }
    if (f)
        fclose(f);
    free(path);
    return found;
}

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n > k && strcmp(s + n - k, end) == 0;
}

static void search_init(search *s, const char *name)
{
    size_t n = 0;
    *s = (search){.share = find_share()};
    add_dirs(s);
    s->from_table = s->share ? table_file(s->share, name) : NULL;
    if (!s->from_table && strcmp(name, CLI_DEFAULT_MODEL) == 0)
        s->from_table = strdup(DEFAULT_FILE);
    s->files[n++] = name;
    if (!ends_in(name, ".gguf") && !ends_in(name, ".omni")) {
        s->with_omni = format("%s.omni", name);
        s->with_gguf = format("%s.gguf", name);
        if (s->with_gguf)
            s->files[n++] = s->with_gguf;
        if (s->from_table && *s->from_table)
            s->files[n++] = s->from_table;
        if (s->with_omni)
            s->files[n++] = s->with_omni;
    }
}

static void search_release(search *s)
{
    for (size_t i = 0; i < s->n_dirs; i++)
        free(s->dirs[i]);
    free(s->share);
    free(s->from_table);
    free(s->with_gguf);
    free(s->with_omni);
}

/* First file of that name on the search path, malloc'ed; NULL when there is none. */
static char *on_path(const search *s, const char *file)
{
    for (size_t i = 0; i < s->n_dirs; i++) {
        char *path = format("%s/%s", s->dirs[i], file);
        if (path && is_file(path))
            return path;
        free(path);
    }
    return NULL;
}

/* One "role = file" line of a model set. Returns the value when key is the role asked for, else NULL. */
static char *role_value(char *line, const char *role)
{
    size_t n = strlen(role);
    char *p = line + strspn(line, " \t");
    if (strncmp(p, role, n) != 0)
        return NULL;
    p += n;
    p += strspn(p, " \t");
    if (*p++ != '=')
        return NULL;
    p += strspn(p, " \t");
    char *end = p + strcspn(p, "\r\n");
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    return p;
}

/* The text role's file of a model set: beside the manifest, else on the search path. */
static omni_status read_set(const search *s, const char *manifest, char **path, omni_error *err)
{
    char line[LINE_MAX_TABLE], *value = NULL, *found = NULL;
    FILE *f = fopen(manifest, "re");
    if (!f)
        return cli_set_error(err, OMNI_E_INPUT, "%s: %s", manifest, strerror(errno));
    while (!value && fgets(line, sizeof line, f))
        value = role_value(line, "text");
    fclose(f);
    if (!value || !*value)
        return cli_set_error(err, OMNI_E_INPUT, "%s: expected a line 'text = FILE', found none", manifest);
    const char *slash = strrchr(manifest, '/');
    int dir = slash ? (int)(slash - manifest) + 1 : 0;
    found = *value == '/' ? strdup(value) : format("%.*s%s", dir, manifest, value);
    if (found && !is_file(found) && !strchr(value, '/')) {
        free(found);
        found = on_path(s, value);
    }
    if (!found || !is_file(found)) {
        free(found);
        return cli_set_error(err, OMNI_E_INPUT, "%s: text = %.200s: no such file beside it or on the model path",
                             manifest, value);
    }
    *path = found;
    return OMNI_OK;
}

/* set: what was wrong with a model set, "" = there was none */
static void report_missing(const search *s, const char *name, const char *set)
{
    char list[512] = "";
    size_t n = 0, n_files = 0;
    while (n_files < CLI_COUNT_OF(s->files) && s->files[n_files])
        n_files++;
    for (size_t i = 0; i < n_files; i++) {
        int k = snprintf(list + n, sizeof list - n, "%s%.120s", i ? "," : "", s->files[i]);
        n += k > 0 ? (size_t)k : 0;
    }
    cli_error("model '%.200s' not found", name);
    for (size_t i = 0; i < s->n_dirs; i++)
        cli_error(n_files > 1 ? "  tried %s/{%s}" : "  tried %s/%s", s->dirs[i], list);
    if (*set && !s->from_table) /* else it is a model that was not fetched yet */
        cli_error("  found %s", set);
    if (is_file(name))
        cli_error("  for the file in this folder: -m ./%.200s", name);
    else if (s->from_table && s->share)
        cli_error("  get it with: %s/fetch %s", s->share, name);
    else if (s->from_table)
        cli_error("  get it with: share/omni/fetch %s", name);
    else
        cli_error("  give a GGUF file with -m FILE, or set OMNI_MODEL_PATH");
}

/* The first file that is there, or the file of the first model set whose file is there. */
static omni_status find_name(search *s, const char *name, char **path, omni_error *err)
{
    omni_error set = {{0}}; /* what was wrong with a model set of that name */
    for (size_t d = 0; d < s->n_dirs; d++) {
        for (size_t i = 0; i < CLI_COUNT_OF(s->files) && s->files[i]; i++) {
            char *p = format("%s/%s", s->dirs[d], s->files[i]);
            bool here = p && is_file(p);
            if (here && !ends_in(p, ".omni")) {
                *path = p;
                return OMNI_OK;
            }
            if (here && read_set(s, p, path, &set) == OMNI_OK) {
                free(p);
                return OMNI_OK;
            }
            free(p);
        }
    }
    report_missing(s, name, set.text);
    return cli_set_error(err, OMNI_E_INPUT, "%s", "");
}

omni_status cli_model_find(const char *name, char **path, omni_error *err)
{
    search s;
    char *found = NULL;
    omni_status st = OMNI_OK;
    if (!name)
        name = CLI_DEFAULT_MODEL;
    bool file = strchr(name, '/') || ((ends_in(name, ".gguf") || ends_in(name, ".omni")) && is_file(name));
    search_init(&s, name);
    if (!file)
        st = find_name(&s, name, &found, err);
    else if (ends_in(name, ".omni"))
        st = read_set(&s, name, &found, err);
    else if (!(found = strdup(name)))
        st = cli_set_error(err, OMNI_E_MEMORY, "out of memory for a file name");
    search_release(&s);
    if (st == OMNI_OK && access(found, R_OK) != 0) /* bad input here, as a missing operand is, not a failing system */
        st = cli_set_error(err, OMNI_E_INPUT, "%s: %s", found, strerror(errno));
    if (st != OMNI_OK) {
        free(found);
        return st;
    }
    cli_verbose(1, "model %s", found);
    *path = found;
    return OMNI_OK;
}

omni_status cli_model_open(omni_model **out, const cli_common *c, const omni_model_params *p, omni_error *err)
{
    omni_model_params mp = p ? *p : omni_model_params_default();
    bool bad;
    char *path = NULL;
    mp.threads = (int)c->threads;
    mp.isa = cli_isa(c, &bad);
    if (bad)
        return cli_set_error(err, OMNI_E_USAGE, "OMNI_ISA: expected one of " CLI_ISA_CHOICES);
    omni_status s = cli_model_find(c->model, &path, err);
    if (s == OMNI_OK)
        s = omni_model_open(out, path, &mp, err);
    free(path);
    return s;
}
