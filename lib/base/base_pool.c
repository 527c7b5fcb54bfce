/* base_pool.c - a persistent pool. A loop is published as a ticket (generation << 32 | next piece); whoever advances the
 * ticket owns that piece. A worker that was preempted and comes late finds a newer generation and can take nothing of it by
 * mistake, so nobody waits for a worker that holds no piece: with a busy neighbour the others simply do more pieces. */
#include "base/base_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define MAX_THREADS 1024
#define SPIN_WORKER 4000 /* pauses before an idle worker sleeps: some 50 us, the gap between two loops of a token */
#define SPIN_CALLER 2000 /* pauses before the caller sleeps for the last piece */
#define SPIN_CROWDED 20  /* the same when there are more threads than processors */

struct om_pool {
    /* The loop; written by the caller before it publishes the ticket. Atomic, because a late worker may read the next
     * loop's fields; it then fails to advance the ticket and drops what it read. */
    _Atomic(om_pool_fn) fn;
    _Atomic(void *) arg;
    atomic_size_t n, grain;
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic uint32_t generation; /* futex of idle workers: high half of the ticket */
    _Atomic uint32_t sleepers;
    _Alignas(64) _Atomic uint32_t left; /* pieces not finished; futex of the caller */
    _Atomic uint32_t caller_sleeps;
    atomic_bool quit;
    int threads;
    int spin_worker, spin_caller;
    pthread_t *id; /* [threads - 1] */
};

typedef struct start {
    om_pool *p;
    int worker;
} start;

/* ---- floating-point state: subnormals are flushed to zero ---- */

#if defined(__x86_64__)
typedef unsigned fp_state;
static fp_state flush_subnormals(void)
{
    unsigned old = _mm_getcsr();
    _mm_setcsr(old | 0x8040); /* FTZ | DAZ */
    return old;
}
static void restore_fp(fp_state s)
{
    _mm_setcsr(s);
}
#elif defined(__aarch64__)
typedef uint64_t fp_state;
static fp_state flush_subnormals(void)
{
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" ::"r"(old | 1ull << 24));
    return old;
}
static void restore_fp(fp_state s)
{
    __asm__ volatile("msr fpcr, %0" ::"r"(s));
}
#else
typedef int fp_state;
static fp_state flush_subnormals(void)
{
    return 0;
}
static void restore_fp(fp_state s)
{
    (void)s;
}
#endif

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- sleeping ---- */

static void sleep_while(_Atomic uint32_t *word, uint32_t value)
{
#if defined(__linux__)
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
    (void)word, (void)value;
    sched_yield();
#endif
}

static void wake_all(_Atomic uint32_t *word)
{
#if defined(__linux__)
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
#else
    (void)word;
#endif
}

/* ---- the loop ---- */

/* Takes and runs pieces of generation g until none is left. */
static void run_pieces(om_pool *p, uint32_t g, int worker)
{
    /* Acquire: whoever reads a newer loop's field also sees that its own loop's ticket is closed. */
    om_pool_fn fn = atomic_load_explicit(&p->fn, memory_order_acquire);
    void *arg = atomic_load_explicit(&p->arg, memory_order_acquire);
    size_t n = atomic_load_explicit(&p->n, memory_order_acquire), grain = atomic_load_explicit(&p->grain, memory_order_acquire);
    uint64_t t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    for (;;) {
        size_t begin = (size_t)(uint32_t)t * grain;
        if (t >> 32 != g || begin >= n)
            return;
        if (!atomic_compare_exchange_weak_explicit(&p->ticket, &t, t + 1, memory_order_acq_rel, memory_order_acquire))
            continue;
        size_t end = n - begin < grain ? n : begin + grain;
        fn(arg, begin, end, worker);
        if (atomic_fetch_sub_explicit(&p->left, 1, memory_order_seq_cst) == 1 &&
            atomic_load_explicit(&p->caller_sleeps, memory_order_seq_cst))
            wake_all(&p->left);
        t = atomic_load_explicit(&p->ticket, memory_order_acquire);
    }
}

/* Waits for a generation other than `seen`. */
static uint32_t next_generation(om_pool *p, uint32_t seen)
{
    uint32_t g;
    for (int i = 0; i < p->spin_worker; i++) {
        g = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (g != seen)
            return g;
        pause_cpu();
    }
    atomic_fetch_add_explicit(&p->sleepers, 1, memory_order_seq_cst);
    while ((g = atomic_load_explicit(&p->generation, memory_order_seq_cst)) == seen)
        sleep_while(&p->generation, seen);
    atomic_fetch_sub_explicit(&p->sleepers, 1, memory_order_relaxed);
    return g;
}

static void *worker_main(void *a)
{
    start s = *(start *)a;
    om_free(a);
    (void)flush_subnormals();
    uint32_t g = 0;
    for (;;) {
        g = next_generation(s.p, g);
        if (atomic_load_explicit(&s.p->quit, memory_order_acquire))
            return NULL;
        run_pieces(s.p, g, s.worker);
    }
}

static void wait_for_pieces(om_pool *p)
{
    for (int i = 0; i < p->spin_caller; i++) {
        if (atomic_load_explicit(&p->left, memory_order_acquire) == 0)
            return;
        pause_cpu();
    }
    atomic_store_explicit(&p->caller_sleeps, 1, memory_order_seq_cst);
    uint32_t left;
    while ((left = atomic_load_explicit(&p->left, memory_order_seq_cst)) != 0)
        sleep_while(&p->left, left);
    atomic_store_explicit(&p->caller_sleeps, 0, memory_order_relaxed);
}

static void publish(om_pool *p)
{
    uint32_t g = atomic_load_explicit(&p->generation, memory_order_relaxed) + 1;
    atomic_store_explicit(&p->ticket, (uint64_t)g << 32, memory_order_release);
    atomic_store_explicit(&p->generation, g, memory_order_seq_cst);
    if (atomic_load_explicit(&p->sleepers, memory_order_seq_cst))
        wake_all(&p->generation);
}

void om_pool_for(om_pool *p, size_t n, size_t grain, om_pool_fn fn, void *arg)
{
    if (n == 0)
        return;
    if (grain == 0)
        grain = 1;
    fp_state fp = flush_subnormals();
    if (p->threads == 1 || n <= grain) {
        fn(arg, 0, n, 0);
        restore_fp(fp);
        return;
    }
    while ((n - 1) / grain >= UINT32_MAX / 2)
        grain *= 2;
    /* Close the old loop first: a late worker must not advance its ticket with the new fields in hand. */
    atomic_store_explicit(&p->ticket, UINT64_MAX, memory_order_release);
    atomic_store_explicit(&p->fn, fn, memory_order_release);
    atomic_store_explicit(&p->arg, arg, memory_order_release);
    atomic_store_explicit(&p->n, n, memory_order_release);
    atomic_store_explicit(&p->grain, grain, memory_order_release);
    atomic_store_explicit(&p->left, (uint32_t)((n - 1) / grain + 1), memory_order_relaxed);
    publish(p);
    run_pieces(p, atomic_load_explicit(&p->generation, memory_order_relaxed), 0);
    wait_for_pieces(p);
    restore_fp(fp);
}

int om_pool_threads(const om_pool *p)
{
    return p->threads;
}

/* ---- life ---- */

static bool start_worker(om_pool *p, int worker)
{
    start *s = om_alloc(sizeof *s);
    if (!s)
        return false;
    *s = (start){p, worker};
    if (pthread_create(&p->id[worker - 1], NULL, worker_main, s) != 0) {
        om_free(s);
        return false;
    }
    return true;
}

omni_status om_pool_new(om_pool **out, int threads, omni_error *err)
{
    if (threads < 1 || threads > MAX_THREADS)
        return om_fail(err, OMNI_E_USAGE, "threads: expected 1..%d, found %d", MAX_THREADS, threads);
    om_pool *p = om_alloc_aligned(64, sizeof *p);
    if (!p)
        return om_fail_memory(err, sizeof *p, "the thread pool");
    *p = (om_pool){.threads = 1};
    bool crowded = threads > om_cpu_count();
    p->spin_worker = crowded ? SPIN_CROWDED : SPIN_WORKER;
    p->spin_caller = crowded ? SPIN_CROWDED : SPIN_CALLER;
    p->id = om_alloc((size_t)threads * sizeof *p->id);
    if (!p->id) {
        om_free(p);
        return om_fail_memory(err, (size_t)threads * sizeof *p->id, "the thread pool");
    }
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals belong to the program's own threads */
    while (p->threads < threads && start_worker(p, p->threads))
        p->threads++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    *out = p;
    return OMNI_OK;
}

void om_pool_free(om_pool *p)
{
    if (!p)
        return;
    atomic_store_explicit(&p->quit, true, memory_order_release);
    atomic_store_explicit(&p->ticket, UINT64_MAX, memory_order_release);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_seq_cst);
    wake_all(&p->generation);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->id[i - 1], NULL);
    om_free(p->id);
    om_free(p);
}

/* Processors of a cgroup v2 quota ("max 100000" or "150000 100000"), 0 when there is none. */
static int cgroup_quota(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    long long quota = 0, period = 0;
    int n = f ? fscanf(f, "%lld %lld", &quota, &period) : 0;
    if (f)
        fclose(f);
    if (n != 2 || quota <= 0 || period <= 0)
        return 0;
    long long cpus = (quota + period - 1) / period;
    return cpus > MAX_THREADS ? MAX_THREADS : (int)cpus;
}

int om_cpu_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__) && defined(CPU_COUNT)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
#endif
    int quota = cgroup_quota();
    if (quota > 0 && quota < n)
        n = quota;
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}
