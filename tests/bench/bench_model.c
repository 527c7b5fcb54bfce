/* bench_model.c - speed of a model through the public interface, as CSV with its conditions on every line.
 *     bench_model [-m FILE] [-t THREADS] [-i ISA] [-r REPETITIONS] [-p PREFILL] [-n DECODE] [-d DEPTH] [-T TEST] [-F]
 *         tests: prefill (tokens in one call), decode (one after the other, empty context), depth (the same behind
 *         DEPTH tokens), first (this program as a child: from exec to the first token of a chat answer, and its peak
 *         memory). -F: float activations.
 *     bench_model [-r REPETITIONS] [-l LABEL] -x COMMAND...
 *         seconds from exec to the first byte of the command's standard output, seconds to its end, its peak memory.
 * Tokens are random, as in llama-bench; nothing is sampled in prefill, decode and depth. */
#include "omni.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct options {
    char model[1024];
    const char *isa, *test, *label;
    int threads, reps, prefill, decode, depth;
    bool float_act, child;
    char **command;
} options;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_model: %s: %s\n", what, why);
    exit(4);
}

static void check(omni_status s, const char *what, const omni_error *err)
{
    if (s != OMNI_OK)
        die(what, err->text[0] ? err->text : omni_status_text(s));
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- conditions ---- */

/* The value of the first line "key : value" of /proc/cpuinfo. */
static void cpuinfo(const char *key, char *out, size_t cap)
{
    char line[8192];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(out, cap, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, cap, "%s", colon[1] == ' ' ? colon + 2 : colon + 1);
        break;
    }
    if (f)
        fclose(f);
}

/* Of the flags those that decide which kernels can run. */
static void cpu_flags(char *out, size_t cap)
{
    static const char *const want[] = {"avx2",        "fma",      "f16c",     "avx512f", "avx512bw", "avx512_vnni",
                                       "avx512_bf16", "avx_vnni", "amx_int8", "asimd",   "asimddp",  "i8mm"};
    char all[8192], word[64];
    cpuinfo("flags", all, sizeof all);
    if (strcmp(all, "unknown") == 0)
        cpuinfo("Features", all, sizeof all); /* arm */
    size_t n = 0;
    out[0] = '\0';
    for (char *p = all; sscanf(p, "%63s", word) == 1; p += strcspn(p, " "), p += strspn(p, " "))
        for (size_t i = 0; i < sizeof want / sizeof *want; i++)
            if (strcmp(word, want[i]) == 0 && n + strlen(word) + 2 < cap)
                n += (size_t)snprintf(out + n, cap - n, "%s%s", n ? " " : "", word);
}

/* FNV-1a 64 over the file. */
static uint64_t file_hash(const char *path)
{
    static unsigned char buf[1 << 16];
    uint64_t h = 0xcbf29ce484222325ull;
    FILE *f = fopen(path, "rb");
    if (!f)
        die(path, strerror(errno));
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        for (size_t i = 0; i < n; i++)
            h = (h ^ buf[i]) * 0x100000001b3ull;
    fclose(f);
    return h;
}

static const char *build_name(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}

static char conditions[1024]; /* the columns after the figures */

static void set_conditions(const options *o, const omni_model_info *info)
{
    char cpu[128], flags[256];
    const char *base = strrchr(info->path, '/');
    cpuinfo("model name", cpu, sizeof cpu);
    cpu_flags(flags, sizeof flags);
    snprintf(conditions, sizeof conditions, "%d,%s,%s,\"%s\",\"%s\",\"%s\",%016llx,\"%s %s\"", info->threads, info->isa,
             o->float_act ? "float" : "fast", cpu, flags, base ? base + 1 : info->path,
             (unsigned long long)file_hash(info->path), omni_version(), build_name());
}

static void print_header(void)
{
    puts("program,test,tokens,depth,rep,value,unit,threads,isa,activations,cpu,flags,file,fnv1a,build");
}

static void row(const options *o, const char *test, int tokens, int depth, int rep, double value, const char *unit)
{
    printf("%s,%s,%d,%d,%d,%.6g,%s,%s\n", o->label, test, tokens, depth, rep, value, unit, conditions);
    fflush(stdout);
}

/* ---- prefill and decode ---- */

static int32_t *random_ids(size_t n, uint32_t n_vocab)
{
    int32_t *ids = malloc((n ? n : 1) * sizeof *ids);
    uint64_t x = 88172645463325252ull; /* xorshift64 (Marsaglia 2003) */
    if (!ids)
        die("token ids", "out of memory");
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        ids[i] = (int32_t)(x % n_vocab);
    }
    return ids;
}

static double time_prefill(omni_session *s, const int32_t *ids, int n)
{
    omni_error err;
    omni_session_truncate(s, 0);
    double t0 = now();
    check(omni_session_eval(s, ids, (size_t)n, &err), "prefill", &err);
    return now() - t0;
}

/* From depth on, which the session holds already. */
static double time_decode(omni_session *s, const int32_t *ids, int n, int depth)
{
    omni_error err;
    omni_session_truncate(s, (size_t)depth);
    double t0 = now();
    for (int i = 0; i < n; i++)
        check(omni_session_eval(s, ids + i, 1, &err), "decode", &err);
    return now() - t0;
}

static bool wants(const options *o, const char *test)
{
    return !o->test || strcmp(o->test, test) == 0;
}

static omni_model *open_model(const options *o)
{
    omni_error err;
    omni_model *m;
    omni_model_params p = omni_model_params_default();
    p.threads = o->threads;
    p.isa = o->isa;
    p.activations = o->float_act ? OMNI_ACT_FLOAT : OMNI_ACT_FAST;
    check(omni_model_open(&m, o->model, &p, &err), "open", &err);
    return m;
}

static omni_session *new_session(omni_model *m, int n_ctx)
{
    omni_error err;
    omni_session *s;
    omni_session_params p = omni_session_params_default();
    p.n_ctx = (uint32_t)n_ctx;
    check(omni_session_new(&s, m, &p, &err), "session", &err);
    return s;
}

static void bench_speed(const options *o, omni_model *m, uint32_t n_vocab)
{
    int behind = o->depth + o->decode, n_ctx = behind > o->prefill ? behind : o->prefill;
    int32_t *ids = random_ids((size_t)n_ctx, n_vocab);
    omni_session *s = new_session(m, n_ctx);
    time_decode(s, ids, 1, 0); /* pages in the weights */
    for (int r = 0; r < o->reps; r++) {
        if (wants(o, "prefill"))
            row(o, "prefill", o->prefill, 0, r, o->prefill / time_prefill(s, ids, o->prefill), "token/s");
        if (wants(o, "decode"))
            row(o, "decode", o->decode, 0, r, o->decode / time_decode(s, ids, o->decode, 0), "token/s");
    }
    if (o->depth > 0 && wants(o, "depth")) {
        time_prefill(s, ids, o->depth);
        for (int r = 0; r < o->reps; r++)
            row(o, "decode", o->decode, o->depth, r, o->decode / time_decode(s, ids + o->depth, o->decode, o->depth),
                "token/s");
    }
    omni_session_free(s);
    free(ids);
}

/* ---- the first token ---- */

static int print_piece(void *user, const omni_piece *piece)
{
    (void)user;
    fwrite(piece->text, 1, piece->len, stdout);
    fputc('\n', stdout); /* a piece may hold its text back; the token is there all the same */
    fflush(stdout);
    return 1;
}

/* In the child: one token of an answer. */
static void answer(const options *o)
{
    static const char question[] = "Why is the sky blue?";
    omni_error err;
    omni_sampler *sp;
    omni_tokens ids = {0};
    omni_message msg = {"user", question, sizeof question - 1};
    omni_sample_params pp = omni_sample_params_default();
    omni_generate_params gp = omni_generate_params_default();
    omni_model *m = open_model(o);
    omni_session *s = new_session(m, 512);
    pp.temperature = 0;
    gp.max_tokens = 1;
    check(omni_sampler_new(&sp, m, &pp, &err), "sampler", &err);
    check(omni_chat_encode(m, NULL, &msg, 1, OMNI_CHAT_REPLY, &ids, &err), "chat", &err);
    check(omni_session_sync(s, ids.ids, ids.n, NULL, &err), "prompt", &err);
    check(omni_generate(s, sp, &gp, print_piece, NULL, NULL, &err), "answer", &err);
    omni_tokens_release(&ids);
    omni_sampler_free(sp);
    omni_session_free(s);
    omni_model_close(m);
}

typedef struct child_times {
    double first, all;
    double rss_mib;
} child_times;

static void exec_command(char **command, int out)
{
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0)
        _exit(126);
    execvp(command[0], command);
    _exit(127);
}

static child_times time_command(char **command)
{
    int fd[2];
    if (pipe(fd) != 0)
        die("pipe", strerror(errno));
    fflush(stdout);
    child_times t = {-1, 0, 0};
    double t0 = now();
    pid_t pid = fork();
    if (pid < 0)
        die("fork", strerror(errno));
    if (pid == 0)
        exec_command(command, fd[1]);
    close(fd[1]);
    char buf[4096];
    for (ssize_t n; (n = read(fd[0], buf, sizeof buf)) != 0;) {
        if (n < 0 && errno != EINTR)
            die("read", strerror(errno));
        if (n > 0 && t.first < 0)
            t.first = now() - t0;
    }
    close(fd[0]);
    struct rusage ru;
    int status;
    while (wait4(pid, &status, 0, &ru) < 0)
        if (errno != EINTR)
            die("wait", strerror(errno));
    t.all = now() - t0;
    t.rss_mib = (double)ru.ru_maxrss / 1024; /* Linux counts KiB */
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || t.first < 0)
        die(command[0], "failed, or printed nothing");
    return t;
}

static void bench_command(const options *o, char **command)
{
    time_command(command); /* the file is in the page cache afterwards */
    for (int r = 0; r < o->reps; r++) {
        child_times t = time_command(command);
        row(o, "first_token", 1, 0, r, t.first, "s");
        row(o, "first_token_exit", 1, 0, r, t.all, "s");
        row(o, "first_token_peak_rss", 1, 0, r, t.rss_mib, "MiB");
    }
}

static void bench_first(const options *o, const char *self)
{
    char threads[16];
    snprintf(threads, sizeof threads, "%d", o->threads);
    char *command[16] = {(char *)(uintptr_t)self, "-c", "-m", (char *)(uintptr_t)o->model, "-t", threads};
    int n = 6;
    if (o->isa) {
        command[n++] = "-i";
        command[n++] = (char *)(uintptr_t)o->isa;
    }
    if (o->float_act)
        command[n++] = "-F";
    bench_command(o, command);
}

/* ---- options ---- */

static int number(const char *s, int min, int max, const char *what)
{
    char *end;
    errno = 0;
    long v = strtol(s, &end, 10);
    if (errno || end == s || *end || v < min || v > max) {
        fprintf(stderr, "bench_model: %s: expected %d..%d, found '%s'\n", what, min, max, s);
        exit(2);
    }
    return (int)v;
}

static void default_model(options *o)
{
    const char *path = getenv("OMNI_TEST_MODEL"), *home = getenv("HOME");
    if (path)
        snprintf(o->model, sizeof o->model, "%s", path);
    else
        snprintf(o->model, sizeof o->model, "%s/.local/share/omni/models/SmolLM2-135M-Instruct.Q4_1.gguf",
                 home ? home : "");
}

static void usage(void)
{
    fputs("usage: bench_model [-m FILE] [-t THREADS] [-i ISA] [-r REPETITIONS] [-p PREFILL] [-n DECODE] [-d DEPTH]\n"
          "                   [-T prefill|decode|depth|first] [-F] [-l LABEL]\n"
          "       bench_model [-r REPETITIONS] [-l LABEL] -x COMMAND...\n",
          stderr);
    exit(2);
}

static void parse(options *o, int argc, char **argv)
{
    for (int c; (c = getopt(argc, argv, "+m:t:i:r:p:n:d:T:l:Fcxh")) != -1;) {
        switch (c) {
        case 'm':
            snprintf(o->model, sizeof o->model, "%s", optarg);
            break;
        case 't':
            o->threads = number(optarg, 0, 1024, "-t");
            break;
        case 'i':
            o->isa = optarg;
            break;
        case 'r':
            o->reps = number(optarg, 1, 1000, "-r");
            break;
        case 'p':
            o->prefill = number(optarg, 1, 1 << 20, "-p");
            break;
        case 'n':
            o->decode = number(optarg, 1, 1 << 20, "-n");
            break;
        case 'd':
            o->depth = number(optarg, 0, 1 << 20, "-d");
            break;
        case 'T':
            o->test = optarg;
            break;
        case 'l':
            o->label = optarg;
            break;
        case 'F':
            o->float_act = true;
            break;
        case 'c':
            o->child = true;
            break;
        case 'x':
            o->command = argv + optind;
            break;
        default:
            usage();
        }
        if (o->command)
            break;
    }
    if (o->command ? !*o->command : optind < argc)
        usage();
}

int main(int argc, char **argv)
{
    options o = {.label = "omni", .reps = 5, .prefill = 512, .decode = 128, .depth = 2048};
    default_model(&o);
    parse(&o, argc, argv);
    if (o.child) {
        answer(&o);
        return 0;
    }
    if (o.command) {
        snprintf(conditions, sizeof conditions, ",,,,,,,");
        print_header();
        bench_command(&o, o.command);
        return 0;
    }
    omni_model *m = open_model(&o);
    omni_model_info info;
    omni_model_get_info(m, &info);
    set_conditions(&o, &info);
    print_header();
    bench_speed(&o, m, info.n_vocab);
    omni_model_close(m);
    if (wants(&o, "first"))
        bench_first(&o, argv[0]);
    return 0;
}
