/* chat_priv.h - what the files of the template interpreter share. One om_chat_render call is one chat_run: lex and
 * parse into nodes, evaluate, give the output away, drop the arena. Nothing outlives the call and nothing is global.
 *
 * Errors leave by longjmp to om_chat_render, the only setjmp: an expression can fail in a hundred places, and here no
 * frame owns anything (all memory hangs on the chat_run), so there is nothing to unwind. om_chat_fail never returns.
 *
 * The language is Jinja2 as Hugging Face runs it (sandboxed, trim_blocks, lstrip_blocks, break and continue,
 * generation blocks); comments name the Python behaviour where it is not obvious. */
#ifndef OMNI_CHAT_PRIV_H
#define OMNI_CHAT_PRIV_H

#include "chat/chat.h"

#include <setjmp.h>

enum {
    CHAT_SOURCE_MAX = 1 << 20,    /* bytes of template source */
    CHAT_OUTPUT_MAX = 16 << 20,   /* bytes of any one text being built */
    CHAT_MEMORY_MAX = 128 << 20,  /* bytes allocated or written during one render, never given back before its end */
    CHAT_STEP_MAX = 1000 * 1000,  /* nodes evaluated ... */
    CHAT_STEP_PER_MESSAGE = 2000, /* ... and more for each message */
    CHAT_BYTES_PER_STEP = 256,    /* bytes read or compared that cost one step */
    CHAT_DEPTH_PARSE = 300,       /* nested brackets, blocks, unary operators */
    CHAT_DEPTH_EVAL = 512,        /* nested nodes, macro calls included */
    CHAT_DEPTH_VALUE = 64,        /* nested lists and dicts when printed or compared */
    CHAT_RANGE_MAX = 100 * 1000,  /* elements of range(), as in Jinja's sandbox */
    CHAT_PARAM_MAX = 6,           /* parameters of a built-in function */
};

/* Bytes and, for each of them, whether the template wrote it. */
typedef struct chat_str {
    const char *p; /* not NUL-terminated; any bytes */
    size_t n;
    const unsigned char *mask; /* [n], 1 = trusted; NULL = all bytes as `trusted` says */
    bool trusted;
} chat_str;

typedef enum chat_kind {
    CV_UNDEF,
    CV_NONE,
    CV_BOOL,
    CV_INT,
    CV_FLOAT,
    CV_STR,
    CV_LIST,
    CV_DICT,
    CV_SPACE, /* namespace() */
    CV_MACRO,
    CV_FUNC,   /* global function */
    CV_METHOD, /* function bound to the value before the dot */
    CV_LOOP,
} chat_kind;

typedef struct chat_value chat_value;
typedef struct chat_node chat_node;
typedef struct chat_run chat_run;

typedef struct chat_value {
    chat_kind kind;
    bool tainted; /* numbers: made from message bytes, so their digits are not trusted */
    union {
        bool b;
        int64_t i;
        double f;
        chat_str s; /* of CV_UNDEF: the name that was looked up, for messages */
        const struct chat_list *list;
        struct chat_dict *dict; /* CV_DICT never changes once built, CV_SPACE does */
        const struct chat_macro *macro;
        const struct chat_bound *bound;
        const struct chat_loop *loop;
    } u;
} chat_value;

typedef struct chat_list {
    chat_value *v;
    size_t n;
    bool tuple;
} chat_list;

typedef struct chat_pair {
    chat_value key, value;
} chat_pair;

typedef struct chat_dict { /* in order of insertion */
    chat_pair *v;
    size_t n, cap;
} chat_dict;

typedef struct chat_loop {
    const chat_list *list;
    size_t i;
} chat_loop;

typedef struct chat_var {
    chat_str name;
    chat_value value;
} chat_var;

typedef struct chat_scope {
    struct chat_scope *parent;
    chat_var *v;
    size_t n, cap;
    bool captured; /* a macro refers to it: must not be used again for the next turn of a loop */
} chat_scope;

typedef struct chat_macro {
    const chat_node *node;
    chat_scope *scope; /* where it was defined */
} chat_macro;

typedef struct chat_arg {
    chat_str name; /* p == NULL: positional */
    chat_value value;
} chat_arg;

typedef struct chat_args {
    chat_arg *v; /* positional ones first */
    size_t n;
} chat_args;

typedef struct chat_call { /* what a built-in function gets */
    const struct chat_def *def;
    uint32_t at;
    chat_value self;                /* filtered or tested value, or the one before the dot */
    chat_value arg[CHAT_PARAM_MAX]; /* bound to def->params; CV_UNDEF = not given */
    size_t n;                       /* arguments given */
    chat_args all;                  /* as written; the only ones when def->params is NULL */
} chat_call;

typedef chat_value (*chat_fn)(chat_run *c, chat_call *k);

typedef struct chat_def {
    const char *name;
    chat_fn fn;
    const char *params; /* "old! new! count": names in order, ! = required; NULL = any, fn looks at k->all */
    unsigned on;        /* methods: bits 1 << kind they exist for */
} chat_def;

typedef struct chat_bound {
    const chat_def *def;
    chat_value self;
} chat_bound;

/* A text being built. They belong to the run, which keeps finished ones for reuse. */
typedef struct chat_sb {
    om_buf text, mask;
    struct chat_sb *all;  /* every one of the run */
    struct chat_sb *idle; /* next free one */
} chat_sb;

struct chat_run {
    jmp_buf out;
    omni_status status;
    omni_error *err;
    struct chat_chunk *chunks; /* arena, newest first */
    size_t chunk_used, chunk_cap;
    size_t memory; /* against CHAT_MEMORY_MAX */
    uint64_t steps, step_max;
    uint64_t bytes; /* read but not yet charged as a step */
    int depth;
    const char *src; /* newlines are LF, a last one is cut */
    size_t n;
    uint32_t at; /* where evaluation is now, for messages of limits */
    chat_sb *all, *idle, *sink;
    chat_scope *scope;
};

/* ---- chat_memory.c: failing, limits, arena, texts ---- */
_Noreturn void om_chat_fail(chat_run *c, size_t at, const char *fmt, ...) OMNI_PRINTF(3, 4);
_Noreturn void om_chat_fail_status(chat_run *c, omni_status s);
void om_chat_place(const chat_run *c, size_t at, unsigned *line, unsigned *column);
void *om_chat_alloc(chat_run *c, size_t count, size_t size); /* zeroed; never NULL */
void om_chat_work(chat_run *c, size_t bytes);                /* charges reading bytes */
void om_chat_charge(chat_run *c, size_t bytes);              /* charges memory */
void om_chat_clean(chat_run *c);
void om_chat_enter(chat_run *c, size_t at);
static inline void om_chat_leave(chat_run *c)
{
    c->depth--;
}
chat_sb *om_chat_sb_new(chat_run *c);
void om_chat_sb_add(chat_run *c, chat_sb *b, chat_str s);
void om_chat_sb_byte(chat_run *c, chat_sb *b, char byte, bool trusted);
chat_str om_chat_sb_finish(chat_run *c, chat_sb *b); /* b must not be used afterwards */

/* ---- chat_text.c: strings; characters are code points, a byte that is not UTF-8 counts as one ---- */
static inline chat_str om_chat_bytes(const char *p, size_t n) /* trusted */
{
    chat_str s = {p, n, NULL, true};
    return s;
}
chat_str om_chat_lit(const char *z);
static inline bool om_chat_trust_at(chat_str s, size_t i)
{
    return s.mask ? s.mask[i] != 0 : s.trusted;
}
bool om_chat_all_trusted(chat_str s);
bool om_chat_str_is(chat_str s, const char *z);
bool om_chat_str_eq(chat_run *c, chat_str a, chat_str b);
int om_chat_str_cmp(chat_run *c, chat_str a, chat_str b);
chat_str om_chat_sub(chat_str s, size_t from, size_t to);
chat_str om_chat_concat(chat_run *c, chat_str a, chat_str b);
size_t om_chat_next(chat_str s, size_t i, uint32_t *cp); /* bytes of the character at i < n */
size_t om_chat_prev(chat_str s, size_t i, uint32_t *cp); /* bytes of the one that ends at i > 0 */
size_t om_chat_length(chat_run *c, chat_str s);          /* in characters */
size_t om_chat_offset(chat_str s, size_t chars);         /* byte offset of a character */
bool om_chat_is_space(uint32_t cp);                      /* Python's str.isspace */
chat_str om_chat_strip(chat_run *c, chat_str s, const chat_str *set, bool left, bool right); /* set NULL: white space */
size_t om_chat_find(chat_run *c, chat_str s, chat_str what, size_t from); /* byte offset, SIZE_MAX = not there */
size_t om_chat_rfind(chat_run *c, chat_str s, chat_str what, size_t to);  /* last one that ends at or before to */
chat_str om_chat_replace(chat_run *c, chat_str s, chat_str old, chat_str new, int64_t count);
chat_str om_chat_case(chat_run *c, chat_str s, char how); /* 'u'pper, 'l'ower, 't'itle, 'c'apitalize; ASCII letters */
chat_str om_chat_slice_text(chat_run *c, chat_str s, int64_t start, int64_t stop, int64_t step);

/* ---- chat_value.c: values ---- */
chat_value om_chat_undef(chat_str name);
static inline chat_value om_chat_none(void)
{
    chat_value v = {.kind = CV_NONE};
    return v;
}
chat_value om_chat_bool(bool b);
chat_value om_chat_int(int64_t i, bool tainted);
chat_value om_chat_float(double f, bool tainted);
chat_value om_chat_strv(chat_str s);
chat_list *om_chat_list_new(chat_run *c, size_t n, bool tuple);
chat_value om_chat_listv(const chat_list *l);
chat_dict *om_chat_dict_new(chat_run *c, size_t cap);
chat_value om_chat_dictv(chat_dict *d);
const chat_value *om_chat_dict_get(chat_run *c, const chat_dict *d, chat_value key);
void om_chat_dict_set(chat_run *c, chat_dict *d, chat_value key, chat_value value, size_t at);
const char *om_chat_kind_name(const chat_value *v);
bool om_chat_truth(const chat_value *v);
bool om_chat_equal(chat_run *c, const chat_value *a, const chat_value *b, int depth);
int om_chat_order(chat_run *c, const chat_value *a, const chat_value *b,
                  size_t at); /* <0 0 >0; fails for unlike kinds */
bool om_chat_contains(chat_run *c, const chat_value *in, const chat_value *what, size_t at);
const chat_list *om_chat_iterate(chat_run *c, const chat_value *v, size_t at);  /* elements, keys or characters */
bool om_chat_is_number(const chat_value *v);                                    /* bool included, as in Python */
bool om_chat_need_int(chat_run *c, const chat_call *k, size_t i, int64_t *out); /* false: not given or none */
chat_str om_chat_need_str(chat_run *c, const chat_value *v, size_t at, const char *what);
int om_chat_float_text(double f, char buf[40]); /* as Python's repr */

/* ---- chat_print.c: str(), repr(), JSON ---- */
chat_str om_chat_str_of(chat_run *c, const chat_value *v, size_t at);
void om_chat_repr(chat_run *c, chat_sb *b, const chat_value *v, int depth, size_t at);
typedef struct chat_json {
    bool ascii, sort;
    int64_t indent;     /* -1 = on one line */
    chat_str item, key; /* separators */
} chat_json;
void om_chat_to_json(chat_run *c, chat_sb *b, const chat_value *v, const chat_json *j, int depth, size_t at);

/* ---- chat_lex.c ---- */
typedef enum chat_tok_kind {
    CT_EOF,
    CT_DATA,
    CT_VAR_BEGIN,
    CT_VAR_END,
    CT_BLOCK_BEGIN,
    CT_BLOCK_END,
    CT_NAME,
    CT_STRING, /* quotes included */
    CT_INT,
    CT_FLOAT,
    CT_OP,
} chat_tok_kind;

typedef struct chat_tok {
    chat_tok_kind kind;
    unsigned op; /* CT_OP: its character, or first << 8 | second */
    size_t at, n;
} chat_tok;

#define CHAT_OP2(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

typedef struct chat_lex {
    chat_run *c;
    size_t at;
    char tag;        /* 0 outside, '%' or '{' inside a tag */
    int brackets;    /* open inside the tag: a }} that closes two dicts is not its end */
    bool line_start; /* the last tag swallowed a newline, or nothing was read yet */
} chat_lex;

void om_chat_lex_init(chat_lex *l, chat_run *c, const char *source, size_t n);
chat_tok om_chat_lex_next(chat_lex *l);

/* ---- chat_parse.c ---- */
typedef enum chat_node_kind {
    CN_CONST,  /* value */
    CN_NAME,   /* name */
    CN_LIST,   /* kids */
    CN_TUPLE,  /* kids */
    CN_DICT,   /* kids: key, value, key, ... */
    CN_ATTR,   /* a . name */
    CN_INDEX,  /* a [ b ] */
    CN_SLICE,  /* a [ b : c : d ], parts may be NULL */
    CN_CALL,   /* a ( kids ) */
    CN_FILTER, /* a | def ( kids ); a NULL: the text of the block around it */
    CN_TEST,   /* a is def ( kids ) */
    CN_KWARG,  /* name = a, among kids */
    CN_NOT,
    CN_NEG,
    CN_POS,
    CN_BIN,     /* a op b */
    CN_JOIN,    /* kids, with ~ between */
    CN_COMPARE, /* a, kids: CN_OPERAND */
    CN_OPERAND, /* op a */
    CN_AND,
    CN_OR,
    CN_COND, /* a if b else c; c may be NULL */
    /* statements, linked by next */
    CN_OUTPUT,       /* a */
    CN_IF,           /* a: condition, b: body, c: else body or a CN_IF for elif */
    CN_FOR,          /* kids: targets; a: list, b: body, c: else body, d: filter */
    CN_SET,          /* kids: targets; a: value */
    CN_SET_BLOCK,    /* kids: one target; a: filter chain or NULL, b: body */
    CN_MACRO,        /* name, kids: CN_KWARG parameters (a = default or NULL), b: body */
    CN_CALL_BLOCK,   /* a: CN_CALL, c: nameless CN_MACRO of the body */
    CN_FILTER_BLOCK, /* a: filter chain, b: body */
    CN_WITH,         /* kids: CN_KWARG, b: body; no kids: a plain scope */
    CN_BREAK,
    CN_CONTINUE,
    CN_ATTR_TARGET, /* name . value: namespace attribute that set assigns */
} chat_node_kind;

struct chat_node {
    chat_node_kind kind;
    unsigned op;
    uint32_t at, n_kids;
    chat_str name;
    chat_node *a, *b, *c, *d, *kids, *next;
    const chat_def *def;
    chat_value value;
};

chat_node *om_chat_parse(chat_run *c, const char *source, size_t n);

/* ---- chat_eval.c ---- */
void om_chat_exec(chat_run *c, const chat_node *body);
void om_chat_bind(chat_run *c, chat_scope *s, chat_str name, chat_value v);
chat_value om_chat_invoke(chat_run *c, chat_call *k); /* fills k->arg from k->all and calls k->def */
chat_value om_chat_attr(chat_run *c, const chat_value *v, chat_str name, size_t at);
chat_value om_chat_item(chat_run *c, const chat_value *v, const chat_value *key, size_t at);

/* ---- chat_filter.c, chat_test.c, chat_method.c: tables; NULL = unknown ---- */
const chat_def *om_chat_filter(chat_str name);
const chat_def *om_chat_test(chat_str name);
const chat_def *om_chat_global(chat_str name);
const chat_def *om_chat_method(chat_kind kind, chat_str name);
const chat_def *om_chat_lookup(const chat_def *table, size_t n, chat_str name);

#endif
