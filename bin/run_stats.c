#include "run.h"

#include <stdio.h>
#include <sys/resource.h>

static double per_second(uint64_t n, double s)
{
    return s > 0 ? (double)n / s : 0;
}

static uint64_t peak_bytes(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss * 1024 : 0; /* Linux counts KiB */
}

/* Tokens that were really computed: a prefix found in the cache costs nothing. */
static uint64_t prefilled(const run_figures *f)
{
    return f->n_prompt - f->n_reused;
}

static void print_json(const run_engine *e)
{
    const run_figures *f = &e->fig;
    fprintf(stderr,
            "{\"stats\":{\"load_s\":%.6f,\"prompt_tokens\":%llu,\"reused_tokens\":%llu,\"prefill_s\":%.6f,"
            "\"prefill_tok_s\":%.3f,\"output_tokens\":%llu,\"decode_s\":%.6f,\"decode_tok_s\":%.3f,"
            "\"first_token_s\":%.6f,\"peak_bytes\":%llu,\"session_bytes\":%llu,\"threads\":%d,\"isa\":\"%s\"}}\n",
            f->load_s, (unsigned long long)f->n_prompt, (unsigned long long)f->n_reused, f->prefill_s,
            per_second(prefilled(f), f->prefill_s), (unsigned long long)f->n_output, f->decode_s,
            per_second(f->n_decoded, f->decode_s), f->first_s, (unsigned long long)peak_bytes(),
            (unsigned long long)e->session_bytes, e->info.threads, e->info.isa);
}

void run_stats_print(const run_engine *e, bool json)
{
    const run_figures *f = &e->fig;
    cli_progress_clear();
    if (json) {
        print_json(e);
        return;
    }
    fprintf(stderr, "load     %9.3f s\n", f->load_s);
    fprintf(stderr, "prompt   %9llu tokens, %.1f a second", (unsigned long long)f->n_prompt,
            per_second(prefilled(f), f->prefill_s));
    if (f->n_reused)
        fprintf(stderr, " (%llu were in the cache)", (unsigned long long)f->n_reused);
    fprintf(stderr, "\nanswer   %9llu tokens, %.1f a second\n", (unsigned long long)f->n_output,
            per_second(f->n_decoded, f->decode_s));
    fprintf(stderr, "first    %9.3f s to the first token\n", f->first_s);
    fprintf(stderr, "memory   %9.1f MiB at most, %.1f MiB of it for the session\n", (double)peak_bytes() / 1048576.0,
            (double)e->session_bytes / 1048576.0);
    fprintf(stderr, "machine  %9d thread%s, %s\n", e->info.threads, e->info.threads == 1 ? "" : "s", e->info.isa);
}
