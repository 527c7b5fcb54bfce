/* tiny_vocab.h - vocabularies of the tiny models: control tokens, bytes, and pieces learned from tiny_text by byte pair
 * encoding (Sennrich et al. 2016), the most frequent pair first, ties to the pair that was known first. */
#ifndef OMNI_TINY_VOCAB_H
#define OMNI_TINY_VOCAB_H

#include "base/base.h"
#include "gguf/gguf.h"

#define VOCAB_MAX 512
#define TOKEN_MAX 40 /* bytes of a token, with NUL */
#define SEQ_MAX 4096
#define BREAK (-1) /* between words: no pair spans it */

enum { TOKEN_NORMAL = 1, TOKEN_UNKNOWN = 2, TOKEN_CONTROL = 3, TOKEN_BYTE = 6 }; /* GGUF's numbers */

typedef struct vocab {
    uint32_t n, n_merges;
    char text[VOCAB_MAX][TOKEN_MAX];
    int32_t type[VOCAB_MAX];
    float score[VOCAB_MAX];
    char merge[VOCAB_MAX][2 * TOKEN_MAX];
    int seq[SEQ_MAX]; /* the text as ids while it is learned from */
    size_t n_seq;
    uint32_t count[VOCAB_MAX][VOCAB_MAX]; /* of neighbours a, b in seq */
} vocab;

static int vocab_find(const vocab *v, const char *s)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (strcmp(v->text[i], s) == 0)
            return (int)i;
    return -1;
}

static int vocab_add(vocab *v, const char *s, int32_t type, float score)
{
    size_t len = strlen(s); /* no word of the text is as long as TOKEN_MAX */
    memcpy(v->text[v->n], s, (len < TOKEN_MAX ? len : TOKEN_MAX - 1) + 1);
    v->type[v->n] = type;
    v->score[v->n] = score;
    return (int)v->n++;
}

static void vocab_push(vocab *v, int id)
{
    if (v->n_seq < SEQ_MAX)
        v->seq[v->n_seq++] = id;
}

/* GPT-2's byte alphabet: printable bytes stand for themselves, the others for U+0100 and up in order. */
static uint32_t byte_char(unsigned b)
{
    uint32_t next = 0x100;
    for (unsigned i = 0; i < 256; i++) {
        bool printable = (i >= 0x21 && i <= 0x7e) || (i >= 0xa1 && i <= 0xac) || i >= 0xae;
        if (i == b)
            return printable ? i : next;
        next += !printable;
    }
    return 0;
}

static void byte_token(unsigned b, char s[TOKEN_MAX])
{
    s[om_utf8_put(byte_char(b), s)] = '\0';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A word is letters with the space before them; everything else is a word of its own. */
static bool word_starts(const char *text, size_t i)
{
    if (i == 0)
        return true;
    return is_letter(text[i]) ? !is_letter(text[i - 1]) && text[i - 1] != ' ' : true;
}

static void count_pairs(vocab *v)
{
    memset(v->count, 0, sizeof v->count);
    for (size_t i = 1; i < v->n_seq; i++)
        if (v->seq[i - 1] != BREAK && v->seq[i] != BREAK)
            v->count[v->seq[i - 1]][v->seq[i]]++;
}

static void replace_pair(vocab *v, int a, int b, int id)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_seq; i++) {
        bool hit = v->seq[i] == a && i + 1 < v->n_seq && v->seq[i + 1] == b;
        v->seq[n++] = hit ? id : v->seq[i];
        i += hit;
    }
    v->n_seq = n;
}

/* Adds pieces until the vocabulary has n_vocab tokens. */
static void vocab_learn(vocab *v, uint32_t n_vocab)
{
    while (v->n < n_vocab) {
        uint32_t best = 0, x = 0, y = 0;
        count_pairs(v);
        for (uint32_t a = 0; a < v->n; a++)
            for (uint32_t b = 0; b < v->n; b++)
                if (v->count[a][b] > best)
                    best = v->count[x = a][y = b];
        if (best == 0 || v->n_merges == VOCAB_MAX)
            return; /* the text is used up; the caller compares v->n */
        char s[2 * TOKEN_MAX], *merge = v->merge[v->n_merges++];
        size_t nx = strlen(v->text[x]), ny = strlen(v->text[y]);
        memcpy(s, v->text[x], nx);
        memcpy(s + nx, v->text[y], ny + 1);
        memcpy(merge, v->text[x], nx);
        merge[nx] = ' ';
        memcpy(merge + nx + 1, v->text[y], ny + 1);
        int id = vocab_find(v, s); /* "ab" + "c" may spell what "a" + "bc" did */
        if (id < 0)
            id = vocab_add(v, s, TOKEN_NORMAL, -(float)v->n_merges);
        replace_pair(v, (int)x, (int)y, id);
    }
}

/* Byte-level BPE: the control tokens, 256 bytes in GPT-2's order (printable first), merges. */
static void vocab_bpe(vocab *v, const char *const *controls, const char *text, uint32_t n_vocab)
{
    char s[TOKEN_MAX];
    for (; *controls; controls++)
        vocab_add(v, *controls, TOKEN_CONTROL, 0);
    for (int pass = 0; pass < 2; pass++)
        for (unsigned b = 0; b < 256; b++)
            if ((byte_char(b) >= 0x100) == (pass == 1)) {
                byte_token(b, s);
                vocab_add(v, s, TOKEN_NORMAL, 0);
            }
    for (size_t i = 0; text[i]; i++) {
        if (word_starts(text, i))
            vocab_push(v, BREAK);
        byte_token((unsigned char)text[i], s);
        vocab_push(v, vocab_find(v, s));
    }
    vocab_learn(v, n_vocab);
}

/* SentencePiece: control tokens (of which `unknown` is of type unknown), 256 byte tokens, the characters of the text
 * (ASCII), merges with falling scores. Spaces are U+2581. */
static void vocab_spm(vocab *v, const char *const *controls, const char *text, uint32_t n_vocab)
{
    char s[TOKEN_MAX];
    for (; *controls; controls++)
        vocab_add(v, *controls, strcmp(*controls, "<unk>") == 0 ? TOKEN_UNKNOWN : TOKEN_CONTROL, 0);
    for (unsigned b = 0; b < 256; b++) {
        snprintf(s, sizeof s, "<0x%02X>", b);
        vocab_add(v, s, TOKEN_BYTE, 0);
    }
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '\n') { /* spelled as a byte */
            vocab_push(v, BREAK);
            continue;
        }
        if (word_starts(text, i))
            vocab_push(v, BREAK);
        snprintf(s, sizeof s, "%s", text[i] == ' ' ? "\xe2\x96\x81" : (char[2]){text[i], 0});
        int id = vocab_find(v, s);
        vocab_push(v, id >= 0 ? id : vocab_add(v, s, TOKEN_NORMAL, -1000.0f - (float)v->n));
    }
    vocab_learn(v, n_vocab);
}

static omni_status vocab_put(const vocab *v, bool spm, om_gguf_writer *w)
{
    om_str s[VOCAB_MAX];
    for (uint32_t i = 0; i < v->n; i++)
        s[i] = (om_str){v->text[i], strlen(v->text[i])};
    omni_status st = om_gguf_put_strs(w, "tokenizer.ggml.tokens", s, v->n);
    if (st == OMNI_OK)
        st = om_gguf_put_array(w, "tokenizer.ggml.token_type", OM_GGUF_I32, v->type, v->n);
    if (st == OMNI_OK && spm)
        return om_gguf_put_array(w, "tokenizer.ggml.scores", OM_GGUF_F32, v->score, v->n);
    for (uint32_t i = 0; i < v->n_merges; i++)
        s[i] = (om_str){v->merge[i], strlen(v->merge[i])};
    return st == OMNI_OK ? om_gguf_put_strs(w, "tokenizer.ggml.merges", s, v->n_merges) : st;
}

#endif
