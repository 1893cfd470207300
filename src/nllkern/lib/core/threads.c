/* Threads: how many, and who sets them to work. */
#include "call.h"
#include "os_threads.h"
#include "pool.h"

#ifdef _OPENMP
#include <omp.h>
#endif

static _Thread_local int limit = 0; /* of the calling thread; 0: none */
static atomic_int default_threads;  /* 0: not set */
static atomic_int threading = NLLK_THREADING_DEFAULT;
static _Thread_local int preferred = NLLK_POOL;
static _Thread_local int pool_only = 0;

/* GCC's OpenMP hangs in a child that was forked after its parent had used threads, whoever used them, so a forked
 * child has the pool. */
static int is_forked_child = 0;

static void after_fork(void)
{
    is_forked_child = 1;
    nllk_pool_forget();
}
__attribute__((constructor)) static void watch_forks(void) { nllk_watch_forks(0, 0, after_fork); }

int nllk_openmp_version(void)
{
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}

int nllk_has_threads(void)
{
#ifdef NLLK_THREADS
    return 1;
#else
    return 0;
#endif
}

int nllk_set_threading(int way)
{
    if (way < NLLK_THREADING_DEFAULT || way > NLLK_OPENMP || (way == NLLK_OPENMP && !nllk_openmp_version()))
        return NLLK_BAD_OPTION;
    threading = way;
    return NLLK_OK;
}

int nllk_get_threading(void)
{
    const int way = threading;
    if (pool_only || is_forked_child || !nllk_openmp_version())
        return NLLK_POOL;
    return way == NLLK_THREADING_DEFAULT ? preferred : way;
}

int nllk_prefer_threading(int way)
{
    const int before = preferred;
    preferred = way;
    return before;
}

int nllk_use_pool_only(int want)
{
    const int before = pool_only;
    pool_only = want;
    return before;
}

int nllk_limit_threads(int threads)
{
    int before = limit;
    limit = threads;
    return before;
}

void nllk_set_num_threads(int count) { default_threads = count; }

int nllk_get_num_threads(void) { return nllk_thread_count(0); }

int nllk_thread_count(int asked)
{
#ifdef NLLK_THREADS
    if (asked > 0)
        return asked;
    if (limit > 0)
        return limit;
    const int count = default_threads;
    if (count > 0)
        return count;
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return nllk_processors();
#endif
#else
    (void)asked;
    return 1;
#endif
}

#ifdef _OPENMP
static void openmp(int count, void (*work)(void *task, int k), void *task)
{
#pragma omp parallel for num_threads(count) schedule(static, 1)
    for (int k = 0; k < count; k++)
        work(task, k);
}
#endif

void nllk_run_team(const nllk_team *team, int count, void (*work)(void *task, int k), void *task)
{
    if (team->parallel)
        team->parallel(team->context, count, work, task);
#ifdef _OPENMP
    else if (nllk_get_threading() == NLLK_OPENMP)
        openmp(count, work, task);
#endif
    else
        nllk_pool_run(count, work, task);
}
