/* tok_pre.c - pre-tokenizers: how byte-level BPE cuts text into pieces before merging, one scanner a published regex.
 * A byte that is not part of valid UTF-8 counts as one character of no class. Regexes:
 *   gpt-2      's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   smollm     every \p{N} is a piece; gpt-2 on what is between
 *   llama-bpe  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 *              \s*[\r\n]+|\s+(?!\S)|\s+
 *   qwen2      the same with \p{N} in place of \p{N}{1,3} */
#include "tok/tok_priv.h"
#include "tok/tok_unicode.h"

#include <string.h>

typedef enum kind { END, LETTER, NUMBER, SPACE, OTHER } kind;

typedef struct chr {
    kind kind;
    uint32_t cp;
    size_t n; /* bytes, 0 at the end */
} chr;

static chr char_at(const char *s, size_t n)
{
    uint32_t cp = UINT32_MAX;
    if (n == 0)
        return (chr){END, cp, 0};
    int len = om_utf8_next(s, n, &cp);
    if (len <= 0)
        return (chr){OTHER, UINT32_MAX, 1};
    if (cp < 128) { /* the same classes as the tables, without a search */
        unsigned low = cp | 0x20;
        kind k = low >= 'a' && low <= 'z'             ? LETTER
                 : cp >= '0' && cp <= '9'             ? NUMBER
                 : cp == ' ' || (cp >= 9 && cp <= 13) ? SPACE
                                                      : OTHER;
        return (chr){k, cp, 1};
    }
    om_uni c = om_uni_class(cp);
    kind k = c == OM_UNI_LETTER ? LETTER : c == OM_UNI_NUMBER ? NUMBER : c == OM_UNI_SPACE ? SPACE : OTHER;
    return (chr){k, cp, (size_t)len};
}

/* End of the run of characters of one kind that starts at `at`, at most `max` characters. */
static size_t run_end(const char *s, size_t n, size_t at, kind k, size_t max)
{
    for (; max > 0; max--) {
        chr c = char_at(s + at, n - at);
        if (c.kind != k)
            break;
        at += c.n;
    }
    return at;
}

/* Length of a contraction at s[0] = '\'' or 0. Case folding as the regex engines do it: U+017F folds to s. */
static size_t contraction(const char *s, size_t n, bool fold)
{
    if (n < 2)
        return 0;
    if (fold && n >= 3 && memcmp(s + 1, "\xC5\xBF", 2) == 0)
        return 3;
    char a = s[1], b = n > 2 ? s[2] : '\0';
    if (fold && a >= 'A' && a <= 'Z')
        a = (char)(a | 0x20);
    if (fold && b >= 'A' && b <= 'Z')
        b = (char)(b | 0x20);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

typedef struct spaces {   /* a run of white space */
    size_t end, last;     /* its end; where its last character starts */
    size_t after_newline; /* end of the last \r or \n in it, 0 = none */
    kind next;            /* what follows */
} spaces;

static spaces scan_spaces(const char *s, size_t n)
{
    spaces r = {0};
    for (;;) {
        chr c = char_at(s + r.end, n - r.end);
        r.next = c.kind;
        if (c.kind != SPACE)
            return r;
        r.last = r.end;
        r.end += c.n;
        if (c.cp == '\r' || c.cp == '\n')
            r.after_newline = r.end;
    }
}

/* \s+(?!\S)|\s+ : all of it at the end of the text, else all but the last character, else that one. */
static size_t take_spaces(const spaces *r, bool at_end)
{
    return at_end || r->last == 0 ? r->end : r->last;
}

static size_t next_gpt2(const char *s, size_t n, bool digits_apart)
{
    chr c = char_at(s, n);
    size_t len = c.cp == '\'' ? contraction(s, n, false) : 0;
    if (len)
        return len;
    size_t lead = c.cp == ' ' ? 1 : 0;
    chr d = lead ? char_at(s + 1, n - 1) : c;
    if (digits_apart && c.kind == NUMBER)
        return c.n;
    if (d.kind == LETTER || d.kind == OTHER || (d.kind == NUMBER && !digits_apart))
        return run_end(s, n, lead, d.kind, SIZE_MAX);
    spaces r = scan_spaces(s, n);
    return take_spaces(&r, r.next == END || (digits_apart && r.next == NUMBER));
}

static size_t next_llama3(const char *s, size_t n, size_t max_digits)
{
    chr c = char_at(s, n);
    size_t len = c.cp == '\'' ? contraction(s, n, true) : 0;
    if (len)
        return len;
    if (c.kind == LETTER)
        return run_end(s, n, 0, LETTER, SIZE_MAX);
    if (c.kind == NUMBER)
        return run_end(s, n, 0, NUMBER, max_digits);
    if (c.cp != '\r' && c.cp != '\n' && char_at(s + c.n, n - c.n).kind == LETTER)
        return run_end(s, n, c.n, LETTER, SIZE_MAX);
    size_t lead = c.cp == ' ' ? 1 : 0;
    if ((lead ? char_at(s + 1, n - 1) : c).kind == OTHER) {
        len = run_end(s, n, lead, OTHER, SIZE_MAX);
        while (len < n && (s[len] == '\r' || s[len] == '\n'))
            len++;
        return len;
    }
    spaces r = scan_spaces(s, n);
    return r.after_newline ? r.after_newline : take_spaces(&r, r.next == END);
}

size_t om_tok_pre_next(om_tok_rule rule, const char *s, size_t n)
{
    switch (rule) {
    case OM_TOK_GPT2:
        return next_gpt2(s, n, false);
    case OM_TOK_SMOLLM:
        return next_gpt2(s, n, true);
    case OM_TOK_LLAMA3:
        return next_llama3(s, n, 3);
    case OM_TOK_QWEN2:
        break;
    }
    return next_llama3(s, n, 1);
}

/* Names as llama.cpp maps them (src/llama-vocab.cpp, llama_vocab::impl::load), as far as their rule is one of ours. */
static const struct {
    const char *name;
    om_tok_rule rule;
    bool ignore_merges, wants_bos;
} pre_names[] = {
    {"gpt-2", OM_TOK_GPT2, false, false},        {"phi-2", OM_TOK_GPT2, false, false},
    {"jina-es", OM_TOK_GPT2, false, false},      {"jina-de", OM_TOK_GPT2, false, false},
    {"jina-v2-es", OM_TOK_GPT2, false, false},   {"jina-v2-de", OM_TOK_GPT2, false, false},
    {"gigachat", OM_TOK_GPT2, false, false},     {"a.x-4.0", OM_TOK_GPT2, false, false},
    {"mellum", OM_TOK_GPT2, false, false},       {"modern-bert", OM_TOK_GPT2, false, false},
    {"mpt", OM_TOK_GPT2, false, false},          {"olmo", OM_TOK_GPT2, false, false},
    {"jais", OM_TOK_GPT2, false, false},         {"exaone4", OM_TOK_GPT2, false, false},
    {"trillion", OM_TOK_GPT2, false, false},     {"granite-docling", OM_TOK_GPT2, false, false},
    {"smollm", OM_TOK_SMOLLM, false, false},     {"starcoder", OM_TOK_SMOLLM, false, false},
    {"refact", OM_TOK_SMOLLM, false, false},     {"command-r", OM_TOK_SMOLLM, false, false},
    {"codeshell", OM_TOK_SMOLLM, false, false},  {"exaone", OM_TOK_SMOLLM, false, false},
    {"minerva-7b", OM_TOK_SMOLLM, false, false}, {"mellum2", OM_TOK_SMOLLM, false, false},
    {"llama-bpe", OM_TOK_LLAMA3, true, true},    {"llama3", OM_TOK_LLAMA3, true, true},
    {"llama-v3", OM_TOK_LLAMA3, true, true},     {"falcon3", OM_TOK_LLAMA3, true, true},
    {"falcon-h1", OM_TOK_LLAMA3, true, true},    {"pixtral", OM_TOK_LLAMA3, true, true},
    {"midm-2.0", OM_TOK_LLAMA3, true, true},     {"lfm2", OM_TOK_LLAMA3, true, true},
    {"jina-v5-nano", OM_TOK_LLAMA3, true, true}, {"dbrx", OM_TOK_LLAMA3, false, false},
    {"smaug-bpe", OM_TOK_LLAMA3, false, false},  {"chatglm-bpe", OM_TOK_LLAMA3, false, false},
    {"glm4", OM_TOK_LLAMA3, true, false},        {"glm5", OM_TOK_LLAMA3, true, false},
    {"qwen2", OM_TOK_QWEN2, false, false},       {"deepseek-r1-qwen", OM_TOK_QWEN2, false, false},
    {"stablelm2", OM_TOK_QWEN2, false, false},   {"megrez", OM_TOK_QWEN2, false, false},
    {"hunyuan", OM_TOK_QWEN2, false, false},     {"solar-open", OM_TOK_QWEN2, false, false},
    {"grok-2", OM_TOK_QWEN2, false, false},      {"kormo", OM_TOK_QWEN2, false, false},
    {"f2llmv2", OM_TOK_QWEN2, false, false},
};

bool om_tok_pre_find(om_str name, om_tok_rule *rule, bool *ignore_merges, bool *wants_bos)
{
    for (size_t i = 0; i < sizeof pre_names / sizeof *pre_names; i++)
        if (strlen(pre_names[i].name) == name.n && memcmp(pre_names[i].name, name.p, name.n) == 0) {
            *rule = pre_names[i].rule;
            *ignore_merges = pre_names[i].ignore_merges;
            *wants_bos = pre_names[i].wants_bos;
            return true;
        }
    return false;
}
