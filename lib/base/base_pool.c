/* base_pool.c - the thread pool.
 *
 * A loop of k pieces is published by storing k in `work`. Taking a piece is a compare-and-swap that subtracts one
 * from a positive count; the loop cannot end before every claimed piece is reported in `done`. Hence
 *  - a worker that was preempted between two loops is never waited for: it simply finds no piece left;
 *  - the job's fields are read after a successful claim only, when they cannot change: they need not be atomic. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall */
#endif
#include "base/base_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#ifdef __linux__
#include <unistd.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* ---- waiting on a 32-bit word ---- */

#ifdef __linux__
static void word_wait(atomic_uint *word, unsigned seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}
static void word_wake(atomic_uint *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}
#else
/* One lock for all pools: this path only runs when somebody is about to sleep. */
static pthread_mutex_t word_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t word_changed = PTHREAD_COND_INITIALIZER;
static void word_wait(atomic_uint *word, unsigned seen)
{
    pthread_mutex_lock(&word_lock);
    if (atomic_load(word) == seen)
        pthread_cond_wait(&word_changed, &word_lock);
    pthread_mutex_unlock(&word_lock);
}
static void word_wake(atomic_uint *word, int n)
{
    (void)word;
    (void)n;
    pthread_mutex_lock(&word_lock);
    pthread_cond_broadcast(&word_changed);
    pthread_mutex_unlock(&word_lock);
}
#endif

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- subnormals: FTZ and DAZ on x86, FZ on aarch64 ---- */

#if defined(__x86_64__)
typedef unsigned fp_state;
#define FP_FLUSH 0x8040u
static inline fp_state fp_get(void)
{
    return __builtin_ia32_stmxcsr();
}
static inline void fp_set(fp_state s)
{
    __builtin_ia32_ldmxcsr(s);
}
#elif defined(__aarch64__)
typedef uint64_t fp_state;
#define FP_FLUSH (1ull << 24)
static inline fp_state fp_get(void)
{
    fp_state s;
    __asm__ volatile("mrs %0, fpcr" : "=r"(s));
    return s;
}
static inline void fp_set(fp_state s)
{
    __asm__ volatile("msr fpcr, %0" ::"r"(s));
}
#else
typedef unsigned fp_state;
#define FP_FLUSH 0u
static inline fp_state fp_get(void)
{
    return 0;
}
static inline void fp_set(fp_state s)
{
    (void)s;
}
#endif

/* ---- the pool ---- */

#define SPIN_IDLE_S 60e-6   /* a worker without work: longer than the gaps inside a forward pass */
#define SPIN_DONE_S 40e-6   /* the caller, for the pieces that others still run */
#define SPIN_CROWDED_S 2e-6 /* both, when there are more threads than processors */
#define STALL_S 1e-3        /* a wait this long means that a worker lost its processor in the middle of a piece */
#define ALONE_MIN_S 10e-3   /* after a stall the caller works alone for a while, longer each time in a row */
#define ALONE_MAX_S 160e-3
#define DONE_WAITER 0x80000000u
#define THREADS_MAX 1024
#define WORKER_STACK (2u << 20)

typedef struct worker {
    om_pool *pool;
    pthread_t thread;
    int index; /* 1.. */
} worker;

struct om_pool {
    _Alignas(64) atomic_uint work; /* pieces that nobody has claimed yet */
    _Alignas(64) atomic_uint done; /* reported pieces of this epoch, | DONE_WAITER when the caller sleeps */
    _Alignas(64) atomic_uint bell; /* idle workers sleep on it; changed by every wake */
    atomic_int sleepers;
    atomic_bool quit;
    _Alignas(64) om_pool_fn fn; /* the job: stable while it has an unreported piece */
    void *arg;
    size_t n, grain;
    uint32_t pieces;
    int n_threads; /* the caller included */
    int n_useful;  /* workers that there are processors for: no more are woken */
    double spin_idle_s, spin_done_s;
    double alone_until_s, alone_s; /* the caller's backoff, see STALL_S */
    worker *workers;
};

static inline bool claim(om_pool *p, uint32_t *left)
{
    *left = atomic_load_explicit(&p->work, memory_order_relaxed);
    while (*left != 0)
        if (atomic_compare_exchange_weak_explicit(&p->work, left, *left - 1, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return true;
    return false;
}

/* Runs pieces until none is unclaimed; reports them in one go, since nobody waits for a single piece. */
static void run_pieces(om_pool *p, int index)
{
    uint32_t left, mine = 0, pieces = 0;
    while (claim(p, &left)) {
        pieces = p->pieces;
        size_t begin = (size_t)(pieces - left) * p->grain, end = p->n;
        if (end - begin > p->grain)
            end = begin + p->grain;
        p->fn(p->arg, begin, end, index);
        mine++;
    }
    if (mine == 0)
        return;
    unsigned was = atomic_fetch_add_explicit(&p->done, mine, memory_order_acq_rel);
    if ((was & DONE_WAITER) && (was & ~DONE_WAITER) + mine == pieces)
        word_wake(&p->done, 1);
}

/* True when work (or the end) came within `seconds`. */
static bool spin_for_work(om_pool *p, double seconds)
{
    double end = 0;
    for (unsigned i = 0;; i++) {
        if (atomic_load_explicit(&p->work, memory_order_relaxed) != 0 ||
            atomic_load_explicit(&p->quit, memory_order_relaxed))
            return true;
        cpu_relax();
        if (i % 32 == 31) {
            double now = om_clock_s();
            if (end == 0)
                end = now + seconds;
            else if (now > end)
                return false;
        }
    }
}

/* The order matters: either the caller sees us in `sleepers` after it published work, or we see the work here. */
static void sleep_for_work(om_pool *p)
{
    atomic_fetch_add(&p->sleepers, 1);
    unsigned seen = atomic_load(&p->bell);
    if (atomic_load(&p->work) == 0 && !atomic_load(&p->quit))
        word_wait(&p->bell, seen);
    atomic_fetch_sub(&p->sleepers, 1);
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    om_pool *p = w->pool;
    fp_set(fp_get() | FP_FLUSH);
    while (!atomic_load_explicit(&p->quit, memory_order_relaxed)) {
        if (spin_for_work(p, p->spin_idle_s))
            run_pieces(p, w->index);
        else
            sleep_for_work(p);
    }
    return NULL;
}

static void ring(om_pool *p, int n)
{
    atomic_fetch_add(&p->bell, 1);
    word_wake(&p->bell, n);
}

static void wake_workers(om_pool *p, uint32_t pieces)
{
    int asleep = atomic_load(&p->sleepers);
    if (asleep == 0)
        return;
    int want = pieces - 1 < (uint32_t)p->n_useful ? (int)pieces - 1 : p->n_useful;
    int awake = p->n_threads - 1 - asleep;
    if (want > awake)
        ring(p, want - awake);
}

/* Waits until all pieces are reported, spinning first. A long wait is remembered: on a busy machine a worker may be
 * preempted in the middle of a piece, and the caller alone is then faster than the two of them. */
static void wait_done(om_pool *p, uint32_t pieces)
{
    double begin = 0, limit = p->spin_done_s;
    for (unsigned i = 0;; i++) {
        if (atomic_load_explicit(&p->done, memory_order_acquire) == pieces)
            return;
        cpu_relax();
        if (i % 32 == 31) {
            double now = om_clock_s();
            if (begin == 0)
                begin = now;
            else if (now - begin > limit)
                break;
        }
    }
    unsigned seen = atomic_fetch_or(&p->done, DONE_WAITER) | DONE_WAITER;
    while ((seen & ~DONE_WAITER) != pieces) {
        word_wait(&p->done, seen);
        seen = atomic_load(&p->done);
    }
    double now = om_clock_s();
    if (now - begin > STALL_S) {
        p->alone_s = p->alone_s == 0 ? ALONE_MIN_S : p->alone_s * 2 < ALONE_MAX_S ? p->alone_s * 2 : ALONE_MAX_S;
        p->alone_until_s = now + p->alone_s;
    }
}

/* The whole loop on the caller, in the same pieces. */
static void run_inline(size_t n, size_t grain, om_pool_fn fn, void *arg)
{
    for (size_t begin = 0; begin < n; begin += grain) {
        size_t end = n - begin > grain ? begin + grain : n;
        fn(arg, begin, end, 0);
        if (end == n)
            break;
    }
}

static bool working_alone(om_pool *p)
{
    if (p->alone_until_s == 0)
        return false;
    if (om_clock_s() < p->alone_until_s)
        return true;
    p->alone_until_s = 0;
    return false;
}

void om_pool_for(om_pool *p, size_t n, size_t grain, om_pool_fn fn, void *arg)
{
    if (n == 0)
        return;
    if (grain == 0)
        grain = 1;
    /* Pieces are counted in 31 bits; no loop of ours comes near, so joining pieces there costs nothing. */
    while (n / grain >= DONE_WAITER / 2)
        grain *= 2;
    fp_state old = fp_get();
    bool flush = (old & FP_FLUSH) != FP_FLUSH;
    if (flush)
        fp_set(old | FP_FLUSH);
    if (n <= grain || p->n_threads == 1 || working_alone(p)) {
        run_inline(n, grain, fn, arg);
    } else {
        uint32_t pieces = (uint32_t)(n / grain + (n % grain != 0));
        p->fn = fn;
        p->arg = arg;
        p->n = n;
        p->grain = grain;
        p->pieces = pieces;
        atomic_store_explicit(&p->done, 0, memory_order_relaxed);
        atomic_store(&p->work, pieces);
        wake_workers(p, pieces);
        run_pieces(p, 0);
        wait_done(p, pieces);
    }
    if (flush)
        fp_set(old);
}

static int start_workers(om_pool *p, int want)
{
    sigset_t all, old;
    pthread_attr_t attr;
    int n = 0;
    if (pthread_attr_init(&attr) != 0)
        return 0;
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    sigfillset(&all); /* inherited by the workers: signals belong to the program's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (; n < want; n++) {
        worker *w = &p->workers[n];
        *w = (worker){.pool = p, .index = n + 1};
        if (pthread_create(&w->thread, &attr, worker_main, w) != 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return n;
}

omni_status om_pool_new(om_pool **out, int threads, omni_error *err)
{
    if (threads < 1 || threads > THREADS_MAX)
        return om_fail(err, OMNI_E_USAGE, "threads: expected 1..%d, found %d", THREADS_MAX, threads);
    om_pool *p = om_alloc_aligned(64, sizeof *p);
    worker *workers = om_alloc_zero((size_t)threads, sizeof *workers);
    if (!p || !workers) {
        om_free(p);
        om_free(workers);
        return om_fail_memory(err, sizeof *p, "a thread pool");
    }
    memset(p, 0, sizeof *p);
    int cpus = om_cpu_count();
    p->workers = workers;
    p->n_useful = (threads < cpus ? threads : cpus) - 1;
    /* One worker is used even on one processor: who asked for two threads may know better than the quota says. */
    if (p->n_useful < 1)
        p->n_useful = 1;
    p->spin_idle_s = threads > cpus ? SPIN_CROWDED_S : SPIN_IDLE_S;
    p->spin_done_s = threads > cpus ? SPIN_CROWDED_S : SPIN_DONE_S;
    p->n_threads = 1 + start_workers(p, threads - 1);
    *out = p;
    return OMNI_OK;
}

void om_pool_free(om_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->quit, true);
    ring(p, p->n_threads);
    for (int i = 0; i < p->n_threads - 1; i++)
        pthread_join(p->workers[i].thread, NULL);
    om_free(p->workers);
    om_free(p);
}

int om_pool_threads(const om_pool *p)
{
    return p->n_threads;
}
