/* base_pool.h - the thread pool: parallel loops whose results never depend on the number of threads.
 * Workers spin briefly, then sleep on a futex (or condition variable), so an idle pool costs nothing
 * and a busy neighbour costs little. Subnormals are flushed on every worker and, during a loop, on the caller. */
#ifndef OMNI_BASE_POOL_H
#define OMNI_BASE_POOL_H

#include "base/base.h"

typedef struct om_pool om_pool;

/* Runs fn(arg, begin, end, worker) over [0, n) in pieces of `grain`, each piece by one worker (0 = the caller,
 * worker < om_pool_threads). Which worker gets a piece is not fixed, so results may depend on begin..end only. */
typedef void (*om_pool_fn)(void *arg, size_t begin, size_t end, int worker);

/* threads >= 1, the caller counts as one: threads - 1 are started. Fewer are used if the system refuses more,
 * as long as one (the caller) remains. Signals are blocked in the workers. */
omni_status om_pool_new(om_pool **out, int threads, omni_error *err);
void om_pool_free(om_pool *p);
int om_pool_threads(const om_pool *p);
void om_pool_for(om_pool *p, size_t n, size_t grain, om_pool_fn fn, void *arg); /* returns when all pieces are done */
int om_cpu_count(void); /* processors this process may run on (affinity, cgroup quota), >= 1 */

#endif
