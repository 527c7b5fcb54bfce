/* Templates and messages from the fuzzer: "source \x1e message \x1e message ..."; the first byte of a message chooses
 * its role, the first byte of all whether an answer is to be opened. */
#include "chat/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES_MAX = 8, SEPARATOR = 0x1e };

static const char *const role[] = {"system", "user", "assistant", "tool"};

static size_t split_messages(const char *p, const char *end, omni_message *msgs)
{
    size_t n = 0;
    while (p && p < end && n < MESSAGES_MAX) {
        const char *stop = memchr(p, SEPARATOR, (size_t)(end - p));
        size_t len = (size_t)((stop ? stop : end) - p);
        if (len > 0) {
            msgs[n].role = role[(unsigned char)p[0] % 4];
            msgs[n].text = p + 1;
            msgs[n++].len = len - 1;
        }
        p = stop ? stop + 1 : NULL;
    }
    return n;
}

/* Bytes over 127 that the template does not have, and cannot write as an escape, can only be a message's. */
static void check_trust(const om_chat_text *out, const char *source, size_t n)
{
    bool can_write = memchr(source, '\\', n) != NULL;
    for (size_t i = 0; i < n && !can_write; i++)
        can_write = (source[i] & 0x80) != 0;
    if (out->text.n != out->trusted.n)
        abort();
    for (size_t i = 0; i < out->text.n; i++)
        if ((unsigned char)out->trusted.p[i] > 1 || (out->trusted.p[i] && (out->text.p[i] & 0x80) && !can_write))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    omni_message msgs[MESSAGES_MAX];
    om_chat_env env = {"<s>", "</s>"};
    om_chat_text out = {0};
    omni_error err;
    if (size == 0)
        return 0;
    const char *source = (const char *)data + 1, *end = (const char *)data + size;
    const char *stop = memchr(source, SEPARATOR, size - 1);
    size_t n = (size_t)((stop ? stop : end) - source), n_msgs = split_messages(stop ? stop + 1 : NULL, end, msgs);
    omni_status s = om_chat_render(source, n, &env, msgs, n_msgs, data[0] & 1, &out, &err);
    if (s == OMNI_OK)
        check_trust(&out, source, n);
    else if (out.text.n || out.trusted.n || !err.text[0] || strchr(err.text, '\n'))
        abort();
    om_chat_text_release(&out);
    return 0;
}
