/* test_base_pool.c - every piece runs exactly once, whatever the number of threads; loops follow each other without
 * mixing. */
#include "base/base_pool.h"
#include "tap.h"

#include <stdatomic.h>

#define N 5000

typedef struct job {
    atomic_int seen[N];
    atomic_int bad_worker;
    int threads;
    size_t grain;
} job;

static void count(void *arg, size_t begin, size_t end, int worker)
{
    job *j = arg;
    if (worker < 0 || worker >= j->threads || end <= begin ||
        (end - begin > j->grain && j->threads > 1 && j->grain < N))
        atomic_store(&j->bad_worker, 1);
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add_explicit(&j->seen[i], 1, memory_order_relaxed);
}

static bool all_once(job *j, size_t n, int times)
{
    for (size_t i = 0; i < N; i++)
        if (atomic_load(&j->seen[i]) != (i < n ? times : 0))
            return false;
    return !atomic_load(&j->bad_worker);
}

static void test_threads(int threads)
{
    omni_error err;
    om_pool *p = NULL;
    static const size_t sizes[] = {0, 1, 2, 7, 64, N}, grains[] = {1, 3, 64, N, SIZE_MAX};
    if (!ok(om_pool_new(&p, threads, &err) == OMNI_OK, "%d threads start", threads))
        return;
    bool good = true;
    for (size_t a = 0; a < 6; a++)
        for (size_t b = 0; b < 5; b++) {
            static job j;
            memset(&j, 0, sizeof j);
            j.threads = om_pool_threads(p);
            j.grain = grains[b];
            for (int rep = 0; rep < 20; rep++)
                om_pool_for(p, sizes[a], grains[b], count, &j);
            good = good && all_once(&j, sizes[a], 20);
        }
    ok(good, "%d threads: every index once a loop, for all sizes and grains", threads);
    om_pool_free(p);
}

typedef struct sum {
    atomic_llong total;
    long long factor;
} sum;

static void add(void *arg, size_t begin, size_t end, int worker)
{
    sum *s = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add_explicit(&s->total, (long long)i * s->factor, memory_order_relaxed);
}

/* Many short loops with different arguments one after the other: a late worker must never work on the wrong one. */
static void test_sequence(int threads)
{
    om_pool *p = NULL;
    if (!ok(om_pool_new(&p, threads, NULL) == OMNI_OK, "%d threads for the sequence", threads))
        return;
    bool good = true;
    for (int rep = 0; rep < 20000; rep++) {
        sum s = {.factor = rep};
        size_t n = (size_t)(rep % 17) + 1;
        atomic_init(&s.total, 0);
        om_pool_for(p, n, 1 + (size_t)(rep % 3), add, &s);
        good = good && atomic_load(&s.total) == (long long)(n * (n - 1) / 2) * rep;
    }
    ok(good, "%d threads: 20000 loops do not mix", threads);
    om_pool_free(p);
}

static void subnormal(void *arg, size_t begin, size_t end, int worker)
{
    volatile float *out = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        volatile float tiny = 1e-38f;
        out[i] = tiny * 0.01f;
    }
}

int main(void)
{
    omni_error err = {0};
    om_pool *p = NULL;
    static const int threads[] = {1, 2, 3, 7, 64};
    for (size_t i = 0; i < 5; i++)
        test_threads(threads[i]);
    test_sequence(2);
    test_sequence(7);
    is_int(om_pool_new(&p, 0, &err), OMNI_E_USAGE, "0 threads are refused");
    has_str(err.text, "expected 1..1024, found 0", "... and the message says why");
    is_int(om_pool_new(&p, 1025, &err), OMNI_E_USAGE, "1025 threads are refused");
    ok(om_pool_new(&p, 1000, &err) == OMNI_OK && om_pool_threads(p) >= 1, "1000 threads or what the system gives");
    om_pool_free(p);
    om_pool_free(NULL);
    ok(om_cpu_count() >= 1, "at least one processor");
    for (uint64_t n = 1; n <= 3; n++) {
        om_alloc_fail_at(n, false);
        omni_status st = om_pool_new(&p, 2, &err);
        om_alloc_fail_at(0, false);
        ok(st == OMNI_E_MEMORY || (st == OMNI_OK && n == 3),
           "allocation %d fails: an error, and none after the second is needed", (int)n);
        if (st == OMNI_OK)
            om_pool_free(p);
    }
    volatile float out[64];
    volatile float tiny = 1e-38f;
    if (om_pool_new(&p, 2, &err) == OMNI_OK) {
        om_pool_for(p, 64, 1, subnormal, (void *)(uintptr_t)out);
        bool zero = true;
        for (int i = 0; i < 64; i++)
            zero = zero && out[i] == 0.0f;
        ok(zero, "subnormals are flushed on every worker");
        ok(tiny * 0.01f != 0.0f, "the caller's floating-point state is restored");
        om_pool_free(p);
    }
    return done_testing();
}
