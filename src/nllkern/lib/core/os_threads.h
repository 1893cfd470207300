/* What the library and its extension modules need of the operating system: threads, sleep, locks, a clock.  Nothing else
 * includes headers of POSIX or of Windows. */
#ifndef NLLK_OS_THREADS_H
#define NLLK_OS_THREADS_H

#include <stdatomic.h>
#include <stdint.h>

#include "nllkern/nllkern.h"

/* Start a thread that nobody joins; 0 if there can be none.  Only in a build with threads. */
int nllk_start_thread(void (*run)(void));

/* Sleep while *number is `seen`, for so many nanoseconds at most (0: without end); it may also return early.  Who changes the
 * number wakes sleepers, at least `count` of them if there are as many. */
void nllk_sleep_while(atomic_int *number, int seen, int nanoseconds);
void nllk_wake(atomic_int *number, int count);

/* In a forked child, whose parent's other threads may have been about to sleep. */
void nllk_forget_sleepers(void);

/* A lock for a few instructions, 0 at first. */
NLLK_API void nllk_lock(atomic_int *lock);
NLLK_API void nllk_unlock(atomic_int *lock);

/* Have these called around each fork, each may be NULL; 0, or an error.  Where there is no fork, it does nothing. */
NLLK_API int nllk_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));

/* Nanoseconds since some start. */
NLLK_API int64_t nllk_now(void);

/* Bytes of the machine's memory. */
NLLK_API int64_t nllk_memory(void);

/* Processors that this process may use. */
int nllk_processors(void);

/* The processor that this thread is on, or a negative number where nobody tells. */
int nllk_this_processor(void);

/* One turn of a loop that waits for another thread. */
static inline void nllk_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* `yield` does nothing on most */
#endif
}

#endif
