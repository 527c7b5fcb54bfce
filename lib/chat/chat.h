/* chat.h - a conversation -> one string with a trust mask, by a chat template: a Jinja subset interpreter that runs the
 * template of the GGUF, and built-in templates by name. Message texts are user bytes; template text is trusted; every
 * string of the interpreter carries a trust byte for each byte, so what a user writes can never become a control token.
 * Templates are hostile input: source size, steps, depth and output size are bounded. May include: base. */
#ifndef OMNI_CHAT_H
#define OMNI_CHAT_H

#include "base/base.h"

typedef struct om_chat_text { /* start from {0}; release with om_chat_text_release */
    om_buf text;
    om_buf trusted; /* same length; 1 = written by the template, 0 = from a message */
} om_chat_text;
void om_chat_text_release(om_chat_text *t);

typedef struct om_chat_env {
    const char *bos, *eos; /* texts of the begin and end tokens, "" when there are none */
} om_chat_env;

/* Source of a built-in template by name, NULL when unknown; the i-th name, NULL after the last. */
const char *om_chat_builtin_source(const char *name);
const char *om_chat_builtin_name(size_t i);
/* Renders. Errors name line and column of the template. */
omni_status om_chat_render(const char *source, size_t n, const om_chat_env *env, const omni_message *msgs,
                           size_t n_msgs, bool reply, om_chat_text *out, omni_error *err);

#endif
