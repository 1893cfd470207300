/* Threads: how many, and OpenMP's. */
#include "call.h"

#include <stdlib.h>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

static _Thread_local int limit = 0; /* of the calling thread; 0: none */
static int default_threads = 0;     /* 0: not set */

/* GCC's OpenMP hangs in a child that was forked after its parent had used threads, whoever used them, so a forked
 * child works serially. */
static int is_forked_child = 0;

#if defined(__unix__) || defined(__APPLE__)
static void after_fork(void) { is_forked_child = 1; }
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(0, 0, after_fork); }
#endif

int nllk_openmp_version(void)
{
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
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
#ifdef _OPENMP
    if (is_forked_child)
        return 1;
    if (asked > 0)
        return asked;
    if (limit > 0)
        return limit;
    return default_threads > 0 ? default_threads : omp_get_max_threads();
#else
    (void)asked;
    return 1;
#endif
}

void nllk_openmp(void *context, int count, void (*work)(void *task, int k), void *task)
{
    (void)context;
#pragma omp parallel for num_threads(count) schedule(static, 1)
    for (int k = 0; k < count; k++)
        work(task, k);
}
