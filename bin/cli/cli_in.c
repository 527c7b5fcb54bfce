/* cli_in.c - operands and standard input, read a piece at a time. */
#include "cli_in.h"

#include "cli_common.h"
#include "cli_msg.h"
#include "cli_signal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cli_in {
    int fd;
    const char *name;
    int error; /* errno of the read that failed, kept for the message */
    bool ended;
    size_t pos, len; /* buf[pos..len) is read but not handed out */
    uint64_t offset, lines;
    char *line;
    size_t line_cap;
    char buf[1 << 16];
};

static bool stdin_was_closed;

void cli_open_std_fds(void)
{
    /* A closed fd 0-2 would be taken by the next file we open, and messages would be written into it. The stand-ins
     * are opened the wrong way round on purpose: writing to a closed stdout must fail, as it did before. */
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF)
            continue;
        if (fd == 0)
            stdin_was_closed = true;
        int got = open("/dev/null", fd == 1 ? O_RDONLY : O_RDWR);
        if (got >= 0 && got != fd)
            close(got);
    }
}

bool cli_have_stdin(void)
{
    return !stdin_was_closed;
}

static omni_status open_fail(const char *name, int error, omni_error *err)
{
    bool system = error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO || error == EINTR;
    return cli_set_error(err, system ? OMNI_E_SYSTEM : OMNI_E_INPUT, "%s: %s", name, strerror(error));
}

static omni_status open_path(const char *path, int *fd, omni_error *err)
{
    struct stat st;
    do
        *fd = open(path, O_RDONLY | O_CLOEXEC);
    while (*fd < 0 && errno == EINTR && !cli_signalled()); /* a fifo waits for its writer */
    if (*fd < 0 && cli_signalled())
        return cli_set_error(err, OMNI_E_CANCELLED, "%s: interrupted", path);
    if (*fd < 0)
        return open_fail(path, errno, err);
    if (fstat(*fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(*fd);
        return open_fail(path, EISDIR, err);
    }
    return OMNI_OK;
}

omni_status cli_in_open(cli_in **out, const char *operand, omni_error *err)
{
    bool std = !operand || strcmp(operand, "-") == 0;
    int fd = STDIN_FILENO;
    if (std && stdin_was_closed)
        return cli_set_error(err, OMNI_E_INPUT, "standard input: closed");
    if (!std) {
        omni_status s = open_path(operand, &fd, err);
        if (s != OMNI_OK)
            return s;
    } else if (isatty(fd)) {
        cli_note("reading from terminal, end with Ctrl-D");
    }
    cli_in *in = calloc(1, sizeof *in);
    if (!in) {
        if (!std)
            close(fd);
        return cli_set_error(err, OMNI_E_MEMORY, "out of memory for an input buffer");
    }
    in->fd = fd;
    in->name = std ? "standard input" : operand;
    *out = in;
    return OMNI_OK;
}

void cli_in_close(cli_in *in)
{
    if (!in)
        return;
    if (in->fd != STDIN_FILENO)
        close(in->fd);
    free(in->line);
    free(in);
}

const char *cli_in_name(const cli_in *in)
{
    return in->name;
}

uint64_t cli_in_offset(const cli_in *in)
{
    return in->offset;
}

/* One read(2) to p; waits through EINTR unless a signal asks us to stop. Ends and errors stick. */
static ptrdiff_t read_once(cli_in *in, char *p, size_t cap)
{
    while (!in->ended && in->error == 0) {
        if (cli_signalled()) {
            errno = EINTR;
            return -1;
        }
        ssize_t r = read(in->fd, p, cap);
        if (r > 0)
            return r;
        if (r == 0) {
            in->ended = true;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd pfd = {.fd = in->fd, .events = POLLIN}; /* someone made our input non-blocking */
            poll(&pfd, 1, -1);
        } else if (errno != EINTR) {
            in->error = errno;
        }
    }
    errno = in->error;
    return in->error ? -1 : 0;
}

/* Makes buf[pos..len) not empty; 1 done, 0 at the end, -1 on error. */
static int fill(cli_in *in)
{
    if (in->pos < in->len)
        return 1;
    ptrdiff_t r = read_once(in, in->buf, sizeof in->buf);
    in->pos = 0;
    in->len = r > 0 ? (size_t)r : 0;
    return r > 0 ? 1 : (int)r;
}

ptrdiff_t cli_in_read(void *user, char *buf, size_t cap)
{
    cli_in *in = user;
    if (cap == 0)
        return 0;
    int r = fill(in);
    if (r <= 0)
        return r;
    size_t n = in->len - in->pos;
    n = n < cap ? n : cap;
    memcpy(buf, in->buf + in->pos, n);
    in->pos += n;
    in->offset += n;
    return (ptrdiff_t)n;
}

int cli_in_is_stream(cli_in *in)
{
    static const char magic[] = "omni 1 ";
    const size_t want = sizeof magic - 1;
    for (;;) {
        size_t n = in->len - in->pos;
        size_t k = n < want ? n : want;
        if (k > 0 && memcmp(in->buf + in->pos, magic, k) != 0)
            return 0;
        if (n >= want)
            return omni_stream_probe(in->buf + in->pos, n);
        memmove(in->buf, in->buf + in->pos, n);
        in->pos = 0;
        in->len = n;
        ptrdiff_t r = read_once(in, in->buf + n, sizeof in->buf - n);
        if (r <= 0)
            return (int)r;
        in->len += (size_t)r;
    }
}

static omni_status line_grow(cli_in *in, size_t need, omni_error *err)
{
    if (need <= in->line_cap)
        return OMNI_OK;
    size_t cap = in->line_cap ? in->line_cap : 4096;
    while (cap < need)
        cap *= 2; /* need <= max + one buffer: cannot overflow */
    char *p = realloc(in->line, cap);
    if (!p)
        return cli_set_error(err, OMNI_E_MEMORY, "%s: out of memory for a line of %zu bytes", in->name, need);
    in->line = p;
    in->line_cap = cap;
    return OMNI_OK;
}

omni_status cli_in_line(cli_in *in, size_t max, const char **line, size_t *len, int *got, omni_error *err)
{
    size_t n = 0;
    bool some = false;
    in->lines++;
    for (;;) {
        int r = fill(in);
        if (r < 0)
            return cli_in_fail(in, err);
        if (r == 0)
            break;
        some = true;
        char *p = in->buf + in->pos, *lf = memchr(p, '\n', in->len - in->pos);
        size_t k = lf ? (size_t)(lf - p) : in->len - in->pos;
        if (k > max - n)
            return cli_set_error(err, OMNI_E_INPUT, "%s: line %llu is longer than %zu bytes", in->name,
                                 (unsigned long long)in->lines, max);
        omni_status s = line_grow(in, n + k + 1, err);
        if (s != OMNI_OK)
            return s;
        memcpy(in->line + n, p, k);
        n += k;
        in->pos += k + (lf != NULL);
        in->offset += k + (lf != NULL);
        if (lf)
            break;
    }
    *got = some;
    if (some) {
        in->line[n] = '\0';
        *line = in->line;
        *len = n;
    }
    return OMNI_OK;
}

omni_status cli_in_all(cli_in *in, size_t max, char **text, size_t *len, omni_error *err)
{
    size_t n = 0, cap = 4096;
    char *p = malloc(cap + 1);
    while (p) {
        ptrdiff_t r = cli_in_read(in, p + n, cap - n);
        if (r <= 0) {
            if (r < 0) {
                free(p);
                return cli_in_fail(in, err);
            }
            p[n] = '\0';
            *text = p;
            *len = n;
            return OMNI_OK;
        }
        n += (size_t)r;
        if (n > max) {
            free(p);
            return cli_set_error(err, OMNI_E_INPUT, "%s: longer than %zu bytes, the limit for a text", in->name, max);
        }
        if (n == cap) {
            char *bigger = realloc(p, 2 * cap + 1); /* cap <= 2 * max */
            if (!bigger)
                free(p);
            p = bigger;
            cap *= 2;
        }
    }
    return cli_set_error(err, OMNI_E_MEMORY, "%s: out of memory after %zu bytes", in->name, n);
}

omni_status cli_in_fail(const cli_in *in, omni_error *err)
{
    if (in->error == 0)
        return cli_set_error(err, OMNI_E_CANCELLED, "%s: interrupted", in->name);
    return open_fail(in->name, in->error, err);
}

/* Length of the UTF-8 character at s[0..n), 0 when it is none: overlong forms, surrogates and values beyond 0x10FFFF
 * are not (RFC 3629, section 4). */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : s[0] >= 0xE0 && s[0] < 0xF0 ? 3 : 4;
    if ((s[0] >= 0x80 && s[0] < 0xC2) || s[0] > 0xF4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return len;
}

omni_status cli_text_check(const char *name, uint64_t offset, const char *text, size_t len, omni_error *err)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < len;) {
        size_t k = p[i] == 0 ? 0 : utf8_len(p + i, len - i);
        if (k == 0)
            return cli_set_error(err, OMNI_E_INPUT, "%s: byte %llu: expected UTF-8 text, found 0x%02X", name,
                                 (unsigned long long)(offset + i), p[i]);
        i += k;
    }
    return OMNI_OK;
}

bool cli_operand(const char *operand, cli_operand_fn fn, void *user, int *rc)
{
    omni_error err = {{0}};
    cli_in *in = NULL;
    omni_status s = cli_in_open(&in, operand, &err);
    if (s == OMNI_OK)
        s = fn(user, in, &err);
    cli_in_close(in);
    if (s == OMNI_E_CANCELLED && cli_signalled())
        *rc = 3; /* the program dies by the signal, which says enough */
    else if (s != OMNI_OK)
        *rc = cli_fail(s, &err);
    return (s == OMNI_OK || s == OMNI_E_INPUT || s == OMNI_E_FULL) && !cli_signalled();
}

int cli_operands(int n, char **v, cli_operand_fn fn, void *user)
{
    int rc = 0;
    bool on = true;
    if (n == 0)
        cli_operand(NULL, fn, user, &rc);
    for (int i = 0; i < n && on; i++)
        on = cli_operand(v[i], fn, user, &rc);
    return rc;
}
