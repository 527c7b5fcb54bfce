/* cli_out.c - standard output or a file written under a temporary name. */
#include "cli_out.h"

#include "cli_msg.h"
#include "cli_signal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cli_out {
    int fd;
    const char *name; /* for messages */
    char *final;      /* NULL = standard output */
    char *tmp;        /* NULL = written directly */
    int slot;         /* of the cleanup list */
    bool tty, failed;
    size_t n;
    char buf[1 << 16];
};

static void report(cli_out *o, int error)
{
    if (!o->failed)
        cli_error("%s: %s", o->name, strerror(error));
    o->failed = true;
}

static int open_retry(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR && !cli_signalled());
    return fd;
}

/* FILE.tmp-PID beside the file, with the mode of the file it replaces. */
static bool open_temporary(cli_out *o, const struct stat *old)
{
    size_t cap = strlen(o->final) + 32;
    o->tmp = malloc(cap);
    if (!o->tmp) {
        errno = ENOMEM;
        return false;
    }
    snprintf(o->tmp, cap, "%s.tmp-%ld", o->final, (long)getpid());
    o->fd = open_retry(o->tmp, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (o->fd < 0 && errno == EEXIST && unlink(o->tmp) == 0) /* left by a killed process that had our number */
        o->fd = open_retry(o->tmp, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (o->fd < 0) {
        int saved = errno;
        free(o->tmp);
        o->tmp = NULL;
        errno = saved;
        return false;
    }
    o->slot = cli_cleanup_add(o->tmp);
    if (old && fchmod(o->fd, old->st_mode & 07777) != 0)
        cli_verbose(1, "%s: cannot keep the mode: %s", o->name, strerror(errno));
    return true;
}

static bool open_file(cli_out *o, const char *path, cli_out_mode mode)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return false;
    }
    /* rename must replace the file a link points to, not the link */
    o->final = exists ? realpath(path, NULL) : strdup(path);
    if (!o->final)
        return false;
    if (mode == CLI_OUT_APPEND)
        o->fd = open_retry(path, O_RDWR | O_CREAT | O_APPEND, 0666);
    else if (exists && !S_ISREG(st.st_mode))
        o->fd = open_retry(path, O_WRONLY, 0);
    else
        return open_temporary(o, exists ? &st : NULL);
    return o->fd >= 0;
}

cli_out *cli_out_open(const char *path, cli_out_mode mode)
{
    bool std = !path || strcmp(path, "-") == 0;
    cli_out *o = calloc(1, sizeof *o);
    if (!o) {
        cli_error("out of memory for the output buffer");
        return NULL;
    }
    o->fd = STDOUT_FILENO;
    o->slot = -1;
    o->name = std ? "standard output" : path;
    if (!std && !open_file(o, path, mode)) {
        report(o, errno);
        free(o->final);
        free(o);
        return NULL;
    }
    o->tty = isatty(o->fd);
    return o;
}

/* Signals do not end a write: what was produced goes out, and a second signal ends a stuck pipe. */
bool cli_out_flush(cli_out *o)
{
    size_t done = 0;
    if (o->n > 0 && o->tty)
        cli_progress_clear();
    while (!o->failed && done < o->n) {
        ssize_t w = write(o->fd, o->buf + done, o->n - done);
        if (w > 0) {
            done += (size_t)w;
        } else if (w < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd pfd = {.fd = o->fd, .events = POLLOUT}; /* someone made our output non-blocking */
            poll(&pfd, 1, -1);
        } else if (w == 0 || errno != EINTR) {
            report(o, w == 0 ? EIO : errno);
        }
    }
    o->n = 0;
    return !o->failed;
}

bool cli_out_write(cli_out *o, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0 && !o->failed) {
        size_t room = sizeof o->buf - o->n, k = n < room ? n : room;
        memcpy(o->buf + o->n, p, k);
        o->n += k;
        p += k;
        n -= k;
        if (o->n == sizeof o->buf)
            cli_out_flush(o);
    }
    return !o->failed;
}

bool cli_out_printf(cli_out *o, const char *fmt, ...)
{
    char small[512], *text = small;
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof small) {
        text = malloc((size_t)n + 1);
        if (text)
            vsnprintf(text, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (n < 0 || !text) {
        report(o, ENOMEM);
        return false;
    }
    bool good = cli_out_write(o, text, (size_t)n);
    if (text != small)
        free(text);
    return good;
}

bool cli_out_failed(const cli_out *o)
{
    return o->failed;
}

bool cli_out_is_tty(const cli_out *o)
{
    return o->tty;
}

int cli_out_fd(const cli_out *o)
{
    return o->fd;
}

/* The file is on the disk before it takes the name, so that a crash leaves the old one or the new one. */
static void finish_file(cli_out *o, bool keep)
{
    if (!o->failed && o->tmp && keep && fsync(o->fd) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EINTR)
        report(o, errno);
    if (close(o->fd) != 0 && errno != EINTR)
        report(o, errno);
    if (o->tmp) {
        if (keep && !o->failed && rename(o->tmp, o->final) != 0)
            report(o, errno);
        if (!keep || o->failed)
            unlink(o->tmp);
        cli_cleanup_remove(o->slot);
    }
}

omni_status cli_out_close(cli_out *o, bool keep)
{
    if (!o)
        return OMNI_OK;
    cli_out_flush(o);
    if (o->final)
        finish_file(o, keep);
    omni_status s = o->failed ? OMNI_E_SYSTEM : OMNI_OK;
    free(o->tmp);
    free(o->final);
    free(o);
    return s;
}

int cli_end(cli_out *o, int rc)
{
    bool complete = rc <= 1 && !cli_signalled();
    bool good = cli_out_close(o, complete) == OMNI_OK;
    cli_progress_clear();
    /* --help and the like went through stdio */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        cli_error("standard output: %s", strerror(errno));
        good = false;
    } else if (good && close(STDOUT_FILENO) != 0 && errno != EINTR) { /* NFS and quotas tell only now */
        cli_error("standard output: %s", strerror(errno));
        good = false;
    }
    cli_signal_die();
    return good || rc > 3 ? rc : 4;
}
