// reference - what llama.cpp computes on a model: one JSON line a prompt, for tests/golden/tiny-*.jsonl.
// Built against llama.cpp (see README.md); no part of the project's build.
//     reference LABEL MODEL.gguf N_GREEDY < prompts     prompts: one JSON-free text a line, "\n" spelled \n
// Keys and values are kept in float32 and flash attention is off, so with a model of F32 weights all arithmetic is
// float32, except that llama.cpp looks up GELU in a table of half-precision values (gemma3).
#include "llama.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

static std::string unescape(const std::string &s)
{
    std::string out;
    for (size_t i = 0; i < s.size(); i++)
        if (s[i] == '\\' && i + 1 < s.size() && s[i + 1] == 'n')
            out += '\n', i++;
        else
            out += s[i];
    return out;
}

static std::string quote(const std::string &s) // the prompts are ASCII
{
    std::string out = "\"";
    for (char c : s)
        out += c == '\n' ? "\\n" : c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    return out + "\"";
}

static double nll(const float *l, int n, int id)
{
    double top = l[0], sum = 0;
    for (int i = 0; i < n; i++)
        top = std::max(top, (double)l[i]);
    for (int i = 0; i < n; i++)
        sum += std::exp(l[i] - top);
    return top + std::log(sum) - l[id];
}

template <class T> static void list(const char *key, const std::vector<T> &v, const char *fmt)
{
    printf(", \"%s\": [", key);
    for (size_t i = 0; i < v.size(); i++)
        printf(i ? ", " : ""), printf(fmt, v[i]);
    printf("]");
}

static void evaluate(llama_context *ctx, const std::vector<llama_token> &ids, int pos, bool all)
{
    llama_batch b = llama_batch_init((int)ids.size(), 0, 1);
    for (size_t i = 0; i < ids.size(); i++) {
        b.token[i] = ids[i];
        b.pos[i] = pos + (int)i;
        b.n_seq_id[i] = 1;
        b.seq_id[i][0] = 0;
        b.logits[i] = all || i + 1 == ids.size();
    }
    b.n_tokens = (int)ids.size();
    if (llama_decode(ctx, b) != 0) {
        fprintf(stderr, "reference: decode failed\n");
        exit(1);
    }
    llama_batch_free(b);
}

static void prompt(llama_context *ctx, const llama_vocab *vocab, const std::string &label, const std::string &text,
                   int n_greedy)
{
    const int n_vocab = llama_vocab_n_tokens(vocab);
    std::vector<llama_token> ids(text.size() + 8);
    ids.resize((size_t)llama_tokenize(vocab, text.data(), (int)text.size(), ids.data(), (int)ids.size(), true, true));
    llama_memory_clear(llama_get_memory(ctx), true);
    evaluate(ctx, ids, 0, true);
    std::vector<double> losses, margins;
    for (size_t i = 0; i + 1 < ids.size(); i++)
        losses.push_back(nll(llama_get_logits_ith(ctx, (int)i), n_vocab, ids[i + 1]));
    const float *l = llama_get_logits_ith(ctx, (int)ids.size() - 1);
    std::vector<double> last(l, l + n_vocab);
    std::vector<llama_token> greedy;
    for (int step = 0; step < n_greedy; step++) {
        l = llama_get_logits_ith(ctx, -1);
        int best = (int)(std::max_element(l, l + n_vocab) - l);
        float second = -INFINITY;
        for (int i = 0; i < n_vocab; i++)
            if (i != best)
                second = std::max(second, l[i]);
        greedy.push_back(best);
        margins.push_back((double)l[best] - (double)second);
        evaluate(ctx, {best}, (int)ids.size() + step, true);
    }
    printf("{\"file\": %s, \"text\": %s", quote(label).c_str(), quote(text).c_str());
    list("ids", ids, "%d");
    list("nll", losses, "%.7g");
    list("last_logits", last, "%.7g");
    list("greedy_ids", greedy, "%d");
    list("greedy_margin", margins, "%.4g");
    printf("}\n");
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    llama_log_set([](ggml_log_level level, const char *text, void *) { if (level >= GGML_LOG_LEVEL_WARN) fputs(text, stderr); }, nullptr);
    llama_model *model = llama_model_load_from_file(argv[2], llama_model_default_params());
    if (!model)
        return 3;
    llama_context_params p = llama_context_default_params();
    p.n_ctx = p.n_batch = p.n_ubatch = 1024;
    p.type_k = p.type_v = getenv("KV16") ? GGML_TYPE_F16 : GGML_TYPE_F32;
    p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    p.n_threads = p.n_threads_batch = 1;
    llama_context *ctx = llama_init_from_model(model, p);
    std::string line;
    while (ctx && std::getline(std::cin, line))
        prompt(ctx, llama_model_get_vocab(model), argv[1], unescape(line), atoi(argv[3]));
    return ctx ? 0 : 3;
}
