/* What threads need from C: a limit of the calling thread's own, and word of a fork. */
#ifndef NLLK_THREADS_H
#define NLLK_THREADS_H

#include <stdint.h>
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define NLLK_HAVE_FORK 1
#endif

static _Thread_local int nllk_thread_limit = 0; /* set by `with num_threads(k)`; 0: none */

/* GCC's OpenMP hangs in a child that was forked after its parent had used threads, whoever used them, so a forked
 * child works serially. */
static int nllk_is_forked_child = 0;

#ifdef NLLK_HAVE_FORK
static void nllk_after_fork(void) { nllk_is_forked_child = 1; }
static void nllk_watch_forks(void) { pthread_atfork(0, 0, nllk_after_fork); }
#else
static void nllk_watch_forks(void) {}
#endif

#ifdef _OPENMP
#define NLLK_OPENMP _OPENMP /* year and month of the specification */
#else
#define NLLK_OPENMP 0
#endif

#endif
