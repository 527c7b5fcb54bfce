/* omni-run: runs the model. Chooses between one answer, a stream of turns, a REPL, a batch and a model card. */
#include "run.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(m) offsetof(run_options, m)

/* The defaults shown here are those of omni_sample_params_default; tests/cli/run-options.sh compares them. */
static const cli_opt table[] = {
    {'p', "prompt", "TEXT", CLI_STRING, AT(prompt), .help = "the prompt; operands are then files that go with it",
     .section = "Prompt", .main_help = true},
    {0, "system", "TEXT", CLI_STRING, AT(system), .help = "system prompt", .main_help = true},
    {0, "raw", NULL, CLI_FLAG, AT(raw), .help = "no chat template: continue the text", .main_help = true},
    {0, "template", "NAME|FILE", CLI_STRING, AT(tmpl), .def = "the model's",
     .help = "chat template: a built-in name, or a file with Jinja source"},
    {'n', "max-tokens", "N", CLI_INT, AT(max_tokens), .imin = -1, .imax = INT_MAX, .def = "-1",
     .help = "tokens of the answer; -1: until it ends", .section = "Answer", .main_help = true},
    {0, "stop", "TEXT", CLI_LIST, AT(stop), .help = "end the answer before TEXT; may be given several times"},
    {0, "ignore-end", NULL, CLI_FLAG, AT(ignore_end), .help = "go on when the model ends its answer"},
    {0, "ctx", "N", CLI_INT, AT(ctx), .imin = 1, .imax = INT_MAX, .def = "the model's, up to 8192",
     .help = "tokens of context"},
    {0, "shift", NULL, CLI_FLAG, AT(shift),
     .help = "when the context is full, forget its oldest half and go on; the system prompt stays"},
    {0, "no-shift", NULL, CLI_FLAG, AT(no_shift), .help = "end the answer when the context is full (the default)"},
    {0, "temp", "T", CLI_FLOAT, AT(temp), .fmin = 0, .fmax = 100, .def = "0.2",
     .help = "temperature; 0: always the most probable token", .section = "Sampling", .main_help = true},
    {0, "top-k", "K", CLI_INT, AT(top_k), .imin = 0, .imax = INT_MAX, .def = "40",
     .help = "only the K most probable tokens; 0: all"},
    {0, "top-p", "P", CLI_FLOAT, AT(top_p), .fmin = 0, .fmax = 1, .def = "0.9",
     .help = "only the most probable tokens that together have P; 1: all"},
    {0, "min-p", "P", CLI_FLOAT, AT(min_p), .fmin = 0, .fmax = 1, .def = "0.05",
     .help = "only tokens with P times the highest probability; 0: all"},
    {0, "repeat-penalty", "F", CLI_FLOAT, AT(repeat_penalty), .fmin = 0.01, .fmax = 100, .def = "1.1",
     .help = "makes recent tokens less probable; 1: does not"},
    {0, "repeat-last", "N", CLI_INT, AT(repeat_last), .imin = 0, .imax = 65536, .def = "64",
     .help = "recent tokens that --repeat-penalty looks at"},
    {0, "logit-bias", "ID=BIAS", CLI_LIST, AT(bias),
     .help = "add BIAS to the logit of a token; -inf forbids it; may be given several times"},
    {0, "logprobs", "K", CLI_INT, AT(logprobs), .imin = 0, .imax = 100, .optional = "5",
     .help = "print tokens with log probabilities and the K best alternatives", .section = "Other output"},
    {0, "info", NULL, CLI_FLAG, AT(info), .help = "the model's card; with -v all its metadata", .main_help = true},
    {0, "stats", NULL, CLI_FLAG, AT(stats), .help = "speed and memory, on standard error", .main_help = true},
    {0, "batch", "FILE", CLI_STRING, AT(batch), .help = "answer each line of a JSON lines file; with -o resumable",
     .section = "Batch", .main_help = true},
    {0, "shard", "I/N", CLI_STRING, AT(shard), .help = "of a batch, only every N-th line from line I on"},
    {0, "activations", "KIND", CLI_CHOICE, AT(activations), .choices = "fast|float", .def = "fast",
     .help = "fast: 16-bit activations; float: slower and closest to the reference", .section = "Arithmetic"},
    CLI_COMMON_OPTS(run_options, common, "plain text out, whatever came in", "an omni-stream out, whatever came in"),
};

const cli_program run_program = {
    .name = "omni-run",
    .summary = "Run a language model: answer a question, a stream, a file of questions, or talk",
    .usage = "[OPTION]... [PROMPT]...",
    .examples = "  omni-run \"Why is the sky blue?\"\n"
                "  omni-run -p \"What is this about?\" letter.txt\n",
    .licence = "Source: MIT. This program is linked with GNU readline and so falls under\n"
               "GPL version 3 or later <https://gnu.org/licenses/gpl.html> as a binary.\n",
    .opts = table,
    .n_opts = CLI_COUNT_OF(table),
    .common_at = offsetof(run_options, common),
};

static void set_defaults(run_options *o)
{
    omni_sample_params sp = omni_sample_params_default();
    o->temp = (double)sp.temperature;
    o->top_k = sp.top_k;
    o->top_p = (double)sp.top_p;
    o->min_p = (double)sp.min_p;
    o->repeat_penalty = (double)sp.repeat_penalty;
    o->repeat_last = sp.repeat_last;
    o->max_tokens = -1;
    o->logprobs = -1;
}

/* What cannot go together. -1 = all is well. */
static int check_options(const run_options *o, const cli_args *args)
{
    if (o->batch && (args->n || o->prompt))
        return cli_usage(&run_program, "--batch takes its prompts from the file, not from the command line");
    if (o->batch && (o->common.text || o->common.stream || o->logprobs >= 0))
        return cli_usage(&run_program, "--batch writes JSON lines; --text, --stream and --logprobs do not go with it");
    if (o->shard && !o->batch)
        return cli_usage(&run_program, "--shard goes with --batch");
    if (o->info && (args->n || o->prompt || o->batch))
        return cli_usage(&run_program, "--info takes no prompt");
    if (o->raw && (o->system || o->tmpl))
        return cli_usage(&run_program, "--raw uses no chat template; --system and --template do not go with it");
    if (o->common.json && o->common.stream)
        return cli_usage(&run_program, "--json and --stream contradict each other");
    if (o->logprobs >= 0 && o->common.stream)
        return cli_usage(&run_program, "--logprobs and --stream contradict each other");
    if (o->shift && o->no_shift)
        return cli_usage(&run_program, "--shift and --no-shift contradict each other");
    return -1;
}

static bool wants_repl(const run_options *o, const cli_args *args)
{
    return args->n == 0 && !o->prompt && !o->common.output && !o->common.json && !o->common.stream && !o->common.text &&
           o->logprobs < 0 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static int run(run_options *o, const cli_args *args, cli_out **out)
{
    run_settings set;
    omni_logit_bias *bias = NULL;
    omni_error err = {""};
    bool seed_given = cli_given(&run_program, args, "seed") > 0;
    int rc = check_options(o, args);
    if (rc < 0)
        rc = run_settings_from(&set, &bias, o, seed_given);
    if (rc < 0 && o->system && cli_text_check("--system", 0, o->system, strlen(o->system), &err))
        rc = cli_fail(OMNI_E_INPUT, &err);
    if (rc < 0 && o->batch) {
        rc = run_batch(o, &set, seed_given);
    } else if (rc < 0) {
        *out = cli_out_open(o->common.output, CLI_OUT_REPLACE);
        if (!o->info)
            cli_verbose(1, "seed %llu (-s %llu repeats this run)", (unsigned long long)set.sample.seed,
                        (unsigned long long)set.sample.seed);
        if (!*out)
            rc = 4;
        else if (o->info)
            rc = run_info(o, *out);
        else
            rc = wants_repl(o, args) ? run_repl(o, &set, *out) : run_text(o, &set, args, *out);
    }
    free(bias);
    return rc;
}

int main(int argc, char **argv)
{
    run_options o = {.common = CLI_COMMON_INIT};
    cli_args args;
    cli_out *out = NULL;
    set_defaults(&o);
    int rc = cli_begin(&run_program, &o, argc, argv, &args);
    if (rc < 0) {
        rc = run(&o, &args, &out);
        rc = cli_end(out, rc);
    }
    cli_list_release(&o.stop);
    cli_list_release(&o.bias);
    return rc;
}
