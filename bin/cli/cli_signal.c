/* cli_signal.c - signals and the files that must not outlive them. */
#include "cli_signal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#define CLEANUP_MAX 8

static volatile sig_atomic_t first_signal;
static _Atomic(const char *) cleanup[CLEANUP_MAX];
static _Atomic(void *) hook_user;
static void (*_Atomic hook_fn)(void *);

static void remove_unfinished(void)
{
    for (int i = 0; i < CLEANUP_MAX; i++) {
        const char *path = atomic_exchange(&cleanup[i], NULL);
        if (path)
            unlink(path);
    }
}

/* The default action again, then the signal again, so that the parent sees how we died. */
static void die_by(int sig)
{
    sigset_t set;
    remove_unfinished();
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    raise(sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void on_signal(int sig)
{
    int saved = errno;
    if (sig == SIGPIPE || first_signal != 0) {
        die_by(sig);
    } else {
        first_signal = sig;
        void (*fn)(void *) = atomic_load(&hook_fn);
        if (fn)
            fn(atomic_load(&hook_user));
    }
    errno = saved;
}

void cli_signal_init(void)
{
    static const int stop[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa = {.sa_handler = on_signal}, old; /* no SA_RESTART: a waiting read must end */
    sigset_t pipe_set;
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof stop / sizeof stop[0]; i++) {
        if (sigaction(stop[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(stop[i], &sa, NULL);
    }
    /* Parents that ignore SIGPIPE (Python, some shells) pass that on; `| head -1` must still end us. */
    sigaction(SIGPIPE, &sa, NULL);
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigprocmask(SIG_UNBLOCK, &pipe_set, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is then an error message, not a core dump */
}

void cli_signal_hook(void (*fn)(void *user), void *user)
{
    atomic_store(&hook_fn, NULL); /* the handler never sees one hook with the other's user */
    atomic_store(&hook_user, user);
    atomic_store(&hook_fn, fn);
}

int cli_signalled(void)
{
    return (int)first_signal;
}

void cli_signal_clear(void)
{
    first_signal = 0;
}

void cli_signal_die(void)
{
    if (first_signal != 0)
        die_by((int)first_signal);
}

int cli_cleanup_add(const char *path)
{
    for (int i = 0; i < CLEANUP_MAX; i++) {
        const char *none = NULL;
        if (atomic_compare_exchange_strong(&cleanup[i], &none, path))
            return i;
    }
    return -1;
}

void cli_cleanup_remove(int slot)
{
    if (slot >= 0 && slot < CLEANUP_MAX)
        atomic_store(&cleanup[slot], NULL);
}
