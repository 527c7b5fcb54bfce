/* Making a tokenizer from hostile metadata, special tokens and trust, ends, single tokens to bytes, the streaming
 * decoder, allocation failures. */
#include "test_tok.h"

/* ---- metadata that must be refused ---- */

static vocab *base_bpe(void)
{
    static vocab v;
    v = (vocab){.model = "gpt2", .pre = "gpt-2", .skip_scores = 1};
    add_bpe_bytes(&v);
    add_str(&v, "ab", T_NORMAL);
    add_merge_str(&v, "a b");
    add_str(&v, "<|im_end|>", T_CONTROL);
    return &v;
}

static vocab *base_spm(void)
{
    static vocab v;
    v = (vocab){.model = "llama", .skip_merges = 1};
    add_str(&v, "<unk>", T_UNKNOWN);
    add_str(&v, "<s>", T_CONTROL);
    add_str(&v, "</s>", T_CONTROL);
    add_spm_bytes(&v);
    add_token(&v, "\xE2\x96\x81", 3, T_NORMAL, -3);
    add_token(&v, "a", 1, T_NORMAL, -2);
    add_token(&v,
              "\xE2\x96\x81"
              "a",
              4, T_NORMAL, -1);
    return &v;
}

static void refused(vocab *v, const char *expect, const char *name)
{
    loaded l;
    omni_error e = {0};
    omni_status s = vocab_load(v, &l, &e);
    ok(s == OMNI_E_INPUT && l.t == NULL, "refused: %s (status %d)", name, (int)s);
    has_str(e.text, expect, name);
    loaded_release(&l);
    vocab_release(v);
}

static void test_refused_common(void)
{
    vocab *v = base_bpe();
    v->model = NULL;
    refused(v, "tokenizer.ggml.model", "no tokenizer");
    v = base_bpe();
    v->model = "bert";
    refused(v, "'bert'", "unknown tokenizer");
    v = base_bpe();
    v->pre = NULL;
    refused(v, "tokenizer.ggml.pre", "no pre-tokenizer");
    v = base_bpe();
    v->pre = "default";
    refused(v, "'default' is not supported; known: gpt-2, smollm, llama-bpe, qwen2", "pre-tokenizer of another rule");
    v = base_bpe();
    v->n_types = 3;
    refused(v, "3 entries for 258 tokens", "fewer types than tokens");
    v = base_bpe();
    v->type[9] = 7;
    refused(v, "token 9: expected 0..6, found 7", "token type out of range");
    v = base_bpe();
    v->type[9] = -1;
    refused(v, "found -1", "negative token type");
    v = base_bpe();
    v->type[9] = T_BYTE;
    refused(v, "token 9 is a byte", "byte token of another form");
    v = base_bpe();
    add_str(v, "ab", T_NORMAL);
    refused(v, "tokens 256 and 258 have the same text 'ab'", "two tokens of one text");
    static const char *const keys[] = {"bos", "eos", "eot", "eom", "unknown", "padding", "fim_pad", "fim_mid"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", keys[i]);
        v = base_bpe();
        v->key[0] = key;
        v->value[0] = v->n;
        refused(v, key, keys[i]);
    }
    v = base_bpe();
    char *big = malloc(5000);
    memset(big, 'x', 5000);
    add_token(v, big, 1021, T_NORMAL, 0);
    refused(v, "token 258 has 1021 bytes", "a token longer than the decoder's buffer");
    v = base_bpe();
    add_token(v, big, 5000, T_USER, 0);
    refused(v, "5000 bytes", "a user-defined token that is too long");
    free(big);
}

static void test_refused_kinds(void)
{
    vocab *v = base_bpe();
    v->skip_merges = 1;
    refused(v, "tokenizer.ggml.merges", "no merges");
    static const char *const bad[] = {"ab", "a", "", " b", "a ", " "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        v = base_bpe();
        add_merge_str(v, bad[i]);
        refused(v, "entry 1, '", bad[i]);
    }
    v = base_bpe();
    add_merge_str(v, "q ab");
    refused(v, "its result is not in the vocabulary", "merge without result");
    v = base_bpe();
    add_merge_str(v, "zz a");
    refused(v, "its left part is not in the vocabulary", "merge without left part");
    v = base_bpe();
    add_merge_str(v, "a zz");
    refused(v, "its right part is not in the vocabulary", "merge without right part");
    v = base_bpe();
    for (uint32_t i = 0; i < 256; i++)
        v->type[i] = T_CONTROL;
    refused(v, "no byte has a token", "control tokens do not stand for bytes");
    v = base_spm();
    v->skip_scores = 1;
    refused(v, "tokenizer.ggml.scores", "no scores");
    v = base_spm();
    v->n_scores = 5;
    refused(v, "5 entries for 262 tokens", "fewer scores than tokens");
    v = base_spm();
    v->type[3] = T_BYTE;
    om_free((char *)v->token[3].p);
    v->token[3].p = om_strndup("<0xg0>", 6);
    refused(v, "token 3 is a byte", "byte token of wrong digits");
    vocab none = {.model = "gpt2", .pre = "gpt-2"};
    refused(&none, "0 tokens", "empty vocabulary");
}

/* ---- special tokens and trust ---- */

static void test_special_bpe(void)
{
    vocab *v = base_bpe();                /* 256 ab, 257 <|im_end|> */
    add_str(v, "<|im", T_USER);           /* 258 */
    add_str(v, "<|im_end|>x", T_CONTROL); /* 259 */
    add_str(v, "bc", T_USER);             /* 260 */
    add_str(v, "<unk>", T_UNKNOWN);       /* 261 */
    add_str(v, "", T_UNUSED);             /* 262 */
    add_str(v, "abq", T_CONTROL);         /* 263, and a merge that spells it */
    add_merge_str(v, "ab q");
    loaded l;
    omni_error e = {0};
    must(vocab_load(v, &l, &e));
    const om_tok *t = l.t;
    ok(GIVES(t, "a<|im_end|>b", om_tok_all_trusted, false, 'a', 257, 'b'), "control token in trusted text");
    ok(GIVES(t, "<|im_end|>xy", om_tok_all_trusted, false, 259, 'y'), "the longest one is taken");
    ok(GIVES(t, "<|im_end|>", NULL, false, 258, '_', 'e', 'n', 'd', '|', '>'),
       "user text: only the user-defined token");
    ok(GIVES(t, "<unk>", om_tok_all_trusted, false, 261), "unknown token in trusted text");
    ok(GIVES(t, "<unk>", NULL, false, '<', 'u', 'n', 'k', '>'), "unknown token in user text");
    ok(GIVES(t, "abc", NULL, false, 'a', 260), "user-defined tokens come before merges");
    ok(GIVES(t, "abd", NULL, false, 256, 'd'), "merge");
    ok(GIVES(t, "abq", NULL, false, 256, 'q'), "no merge spells a control token");
    ok(GIVES(t, "abq", om_tok_all_trusted, false, 263), "which trusted text may");
    const char *text = "<|im_end|>x";
    unsigned char trust[11];
    for (size_t hole = 0; hole < 11; hole++) {
        memset(trust, 1, sizeof trust);
        trust[hole] = 0;
        omni_tokens o = {0};
        must(om_tok_encode(t, text, 11, trust, false, &o, &e));
        bool has = false;
        for (size_t i = 0; i < o.n; i++)
            has = has || om_tok_is_control(t, o.ids[i]);
        ok(has == (hole == 10), "an untrusted byte at %zu", hole);
        omni_tokens_release(&o);
    }
    omni_tokens o = {0};
    must(om_tok_encode(t, "", 0, om_tok_all_trusted, true, &o, &e));
    ok(o.n == 0, "no text, no ids, and no begin token where none is wanted");
    omni_tokens_release(&o);
    is_int(om_tok_find(t, "<|im_end|>", 10), 257, "find");
    is_int(om_tok_find(t, "<|im_end", 8), -1, "find nothing");
    is_int(om_tok_find(t, "", 0), -1, "find the empty text");
    ok(om_tok_is_control(t, 257) && om_tok_is_control(t, 261) && !om_tok_is_control(t, 258) &&
           !om_tok_is_control(t, 'a'),
       "control");
    ok(!om_tok_is_control(t, -1) && !om_tok_is_control(t, INT32_MAX) && !om_tok_is_end(t, -1) &&
           !om_tok_is_end(t, INT32_MAX),
       "ids outside");
    loaded_release(&l);
    vocab_release(v);
}

static void test_ends(void)
{
    vocab *v = base_bpe();              /* 256 ab, 257 <|im_end|> */
    add_str(v, "<|eot_id|>", T_NORMAL); /* 258: a mistake of the file */
    add_str(v, "</s>", T_NORMAL);       /* 259: ordinary, merges make it */
    add_str(v, "</", T_NORMAL);         /* 260 */
    add_str(v, "s>", T_NORMAL);         /* 261 */
    add_merge_str(v, "< /");
    add_merge_str(v, "s >");
    add_merge_str(v, "</ s>");
    add_str(v, "[stop]", T_CONTROL);    /* 262: eos by metadata */
    add_str(v, "<fim_pad>", T_CONTROL); /* 263 */
    v->key[0] = "tokenizer.ggml.eos_token_id";
    v->value[0] = 262;
    v->key[1] = "tokenizer.ggml.bos_token_id";
    v->value[1] = 257;
    v->key[2] = "tokenizer.ggml.unknown_token_id";
    v->value[2] = 257;
    v->add_bos = 2;
    loaded l;
    omni_error e = {0};
    must(vocab_load(v, &l, &e));
    int32_t ends[8], n = 0;
    for (int32_t id = 0; id < (int32_t)om_tok_n_vocab(l.t); id++)
        if (om_tok_is_end(l.t, id) && n < 8)
            ends[n++] = id;
    ok(n == 4 && ends[0] == 257 && ends[1] == 258 && ends[2] == 262 && ends[3] == 263,
       "ends: by name, by metadata, and no others");
    ok(om_tok_is_control(l.t, 258), "an end by name is a control token whatever its type");
    ok(!om_tok_is_control(l.t, 259), "a name that merges spell stays ordinary");
    ok(GIVES(l.t, "</s>", om_tok_all_trusted, false, 260, 's', '>'), "and is not matched as a special token");
    ok(GIVES(l.t, "a", NULL, true, 257, 'a'), "begin token");
    ok(GIVES(l.t, "a", NULL, false, 'a'), "no begin token unless asked for");
    is_int(om_tok_eos(l.t), 262, "eos");
    loaded_release(&l);
    vocab_release(v);
}

/* A byte without token: left out, or the unknown token, but never a control token. */
static void test_missing_byte(void)
{
    for (int kind = 0; kind < 3; kind++) {
        vocab *v = base_bpe();
        uint32_t unk = add_str(v, "<unk>", kind == 0 ? T_UNKNOWN : T_CONTROL);
        om_free((char *)v->token['q'].p);
        v->token['q'] = (om_str){om_strndup("", 0), 0};
        if (kind < 2) {
            v->key[0] = "tokenizer.ggml.unknown_token_id";
            v->value[0] = unk;
        }
        loaded l;
        omni_error e = {0};
        must(vocab_load(v, &l, &e));
        bool good = kind == 0 ? GIVES(l.t, "xqy", NULL, false, 'x', (int32_t)unk, 'y')
                              : GIVES(l.t, "xqy", NULL, false, 'x', 'y');
        ok(good, "byte without token, %s",
           kind == 0   ? "unknown token"
           : kind == 1 ? "unknown token is a control token"
                       : "no unknown token");
        loaded_release(&l);
        vocab_release(v);
    }
}

static void test_spm(void)
{
    vocab *v = base_spm(); /* 0..2, bytes 3..258, 259 _, 260 a, 261 _a */
    loaded l;
    omni_error e = {0};
    add_token(v, "<", 1, T_NORMAL, -9);                     /* 262 */
    add_token(v, "s>", 2, T_NORMAL, -8);                    /* 263: with "<" it spells <s> */
    add_token(v, "s", 1, T_NORMAL, -8);                     /* 264 */
    add_token(v, ">", 1, T_NORMAL, -8);                     /* 265 */
    add_token(v, "\xE2\x96\x81\xE2\x96\x81", 6, T_USER, 0); /* 266: spelled as spaces are stored */
    must(vocab_load(v, &l, &e));
    ok(GIVES(l.t, "a a", NULL, true, 1, 261, 261), "prefix, begin token");
    ok(GIVES(l.t, "<s>", NULL, false, 259, 262, 263), "text that spells a control token stays text");
    ok(GIVES(l.t, "<s>a", om_tok_all_trusted, false, 1, 261), "a prefix after a control token");
    ok(GIVES(l.t, "\n", NULL, false, 259, 3 + '\n'), "bytes");
    ok(GIVES(l.t, "a\xE2\x96\x81", NULL, false, 261, 3 + 0xE2, 3 + 0x96, 3 + 0x81), "U+2581 of the text becomes bytes");
    ok(GIVES(l.t, "a  a", NULL, false, 261, 266, 260), "equal scores: the left pair");
    char buf[8];
    is_int(om_tok_bytes(l.t, 261, false, false, buf, 8), 2, "a space");
    ok(om_tok_bytes(l.t, 261, true, false, buf, 8) == 1 && buf[0] == 'a', "the first token loses the prefix");
    ok(om_tok_bytes(l.t, 3 + 0xFF, false, false, buf, 8) == 1 && (unsigned char)buf[0] == 0xFF, "byte token");
    ok(om_tok_bytes(l.t, 1, false, false, buf, 8) == 0, "control token without text");
    ok(om_tok_bytes(l.t, 1, false, true, buf, 2) == 3 && memcmp(buf, "<s", 2) == 0,
       "its name, cut to the buffer, full length returned");
    ok(om_tok_bytes(l.t, -1, false, true, buf, 8) == 0 && om_tok_bytes(l.t, 267, false, true, NULL, 0) == 0,
       "ids outside");
    is_str(om_tok_name(l.t), "spm", "name");
    ok(om_tok_bos(l.t) == 1 && om_tok_eos(l.t) == 2 && om_tok_wants_bos(l.t), "defaults");
    loaded_release(&l);
    v->add_prefix = 1;
    must(vocab_load(v, &l, &e));
    ok(GIVES(l.t, "a a", NULL, false, 260, 261), "no prefix");
    ok(om_tok_bytes(l.t, 261, true, false, buf, 8) == 2, "the first token keeps its space");
    uint64_t h = OM_HASH_FNV1A_INIT;
    for (uint32_t i = 0; i < v->n; i++)
        h = om_hash_fnv1a(om_hash_fnv1a(h, v->token[i].p, v->token[i].n), "\0", 1);
    ok(om_tok_hash(l.t) == h && om_tok_hash(l.t) == h, "hash over all texts");
    loaded_release(&l);
    v->type[3 + 200] = T_UNUSED; /* byte 0xC8 has no token now */
    must(vocab_load(v, &l, &e));
    ok(GIVES(l.t, "\xC8\x80", NULL, false, 0), "unknown character");
    loaded_release(&l);
    vocab_release(v);
}

static void test_ignore_merges(void)
{
    for (int k = 0; k < 2; k++) {
        vocab *v = base_bpe();
        v->pre = k ? "llama-bpe" : "smaug-bpe"; /* the same rule without the flag */
        add_str(v, "xyz", T_NORMAL);            /* 258: no merges lead to it */
        loaded l;
        omni_error e = {0};
        must(vocab_load(v, &l, &e));
        bool good = k ? GIVES(l.t, "xyz", NULL, false, 258) : GIVES(l.t, "xyz", NULL, false, 'x', 'y', 'z');
        ok(good, "a whole word in the vocabulary, %s", v->pre);
        loaded_release(&l);
        vocab_release(v);
    }
}

/* ---- streaming ---- */

static void test_stream(const char *name, const vocab *v)
{
    loaded l;
    omni_error e = {0};
    om_buf text = {0}, all = {0};
    om_rng r;
    size_t bad_bytes = 0, bad_utf8 = 0, too_long = 0;
    om_rng_seed(&r, 5);
    must(vocab_load(v, &l, &e));
    for (int i = 0; i < 2000; i++) {
        bool valid = i % 2 == 0;
        omni_tokens o = {0};
        omni_text_decoder d = {0};
        char buf[OMNI_TEXT_DECODER_MAX];
        random_text(&text, &r, 1 + om_rng_u32(&r) % 20, valid);
        must(om_tok_encode(l.t, text.p, text.n, NULL, false, &o, &e));
        om_buf_clear(&all);
        for (size_t k = 0; k < o.n; k++) {
            size_t n = om_tok_stream_push(&d, l.t, o.ids[k], buf);
            must(om_buf_add(&all, buf, n));
            bad_utf8 += valid && !om_utf8_valid(buf, n, NULL);
            too_long += n > OMNI_TEXT_DECODER_MAX || d.n_held > 3;
        }
        bad_utf8 += valid && d.n_held;
        must(om_buf_add(&all, d.held, d.n_held));
        bad_bytes += all.n != text.n || (text.n && memcmp(all.p, text.p, text.n) != 0);
        omni_tokens_release(&o);
    }
    tap_ok(bad_bytes == 0, TAP_WHERE, "%s: the pieces are the text", name);
    tap_ok(bad_utf8 == 0, TAP_WHERE, "%s: each piece of valid text is valid", name);
    tap_ok(too_long == 0, TAP_WHERE, "%s: at most three bytes are held", name);
    om_buf_release(&text);
    om_buf_release(&all);
    loaded_release(&l);
}

static void test_stream_bytes(void)
{
    vocab *v = base_bpe();
    loaded l;
    omni_error e = {0};
    omni_text_decoder d = {0};
    char buf[OMNI_TEXT_DECODER_MAX];
    must(vocab_load(v, &l, &e));
    is_int(om_tok_stream_push(&d, l.t, 0xE2, buf), 0, "first byte of three is held");
    is_int(om_tok_stream_push(&d, l.t, 257, buf), 0, "a control token adds nothing");
    is_int(om_tok_stream_push(&d, l.t, 0x82, buf), 0, "second byte");
    ok(om_tok_stream_push(&d, l.t, 'a', buf) == 3 && memcmp(buf,
                                                            "\xE2\x82"
                                                            "a",
                                                            3) == 0,
       "what cannot become a character is passed on");
    ok(om_tok_stream_push(&d, l.t, 0xFF, buf) == 1 && d.n_held == 0, "a byte that is never valid is passed on at once");
    is_int(om_tok_stream_push(&d, l.t, -1, buf), 0, "an id outside the vocabulary");
    loaded_release(&l);
    vocab_release(v);
}

/* ---- allocation failures ---- */

static void test_no_memory(const char *name, const vocab *v)
{
    loaded l;
    omni_error e = {0};
    char text[300];
    omni_tokens o = {0};
    size_t failed = 0;
    must(vocab_load(v, &l, &e));
    memset(text, 'a', sizeof text); /* long enough for the heap */
    must(om_tok_encode(l.t, "ab", 2, NULL, false, &o, &e));
    size_t before = o.n;
    for (uint64_t k = 1; k < 100; k++) {
        omni_tokens fresh = {0};
        om_tok *t = NULL;
        om_alloc_fail_at(k, true);
        omni_status s = om_tok_new(&t, l.g, &e);
        if (s == OMNI_OK)
            s = om_tok_encode(t, text, sizeof text, om_tok_all_trusted, true, &fresh, &e);
        om_alloc_fail_at(0, false);
        bool clean = s == OMNI_OK || (s == OMNI_E_MEMORY && fresh.n == 0 && strstr(e.text, "memory"));
        om_tok_free(t);
        omni_tokens_release(&fresh);
        if (!clean)
            ok(false, "%s: allocation %d: status %d, '%s'", name, (int)k, (int)s, e.text);
        if (s == OMNI_OK)
            break;
        failed++;
    }
    ok(failed >= 5 && failed < 90, "%s: %zu allocations failed, each reported", name, failed);
    om_alloc_fail_at(1, true);
    omni_status s = om_tok_encode(l.t, text, sizeof text, NULL, false, &o, &e);
    om_alloc_fail_at(0, false);
    ok(s == OMNI_E_MEMORY && o.n == before, "%s: the list is as it was after a failure", name);
    omni_tokens_release(&o);
    loaded_release(&l);
}

int main(void)
{
    test_refused_common();
    test_refused_kinds();
    test_special_bpe();
    test_ends();
    test_missing_byte();
    test_spm();
    test_ignore_merges();
    test_stream_bytes();
    vocab *v = base_bpe();
    test_stream("bpe", v);
    test_no_memory("bpe", v);
    vocab_release(v);
    v = base_spm();
    test_stream("spm", v);
    test_no_memory("spm", v);
    vocab_release(v);
    return done_testing();
}
