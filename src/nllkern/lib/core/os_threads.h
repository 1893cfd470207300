/* What the pool needs of the operating system: threads, sleep, and a clock. */
#ifndef NLLK_OS_THREADS_H
#define NLLK_OS_THREADS_H

#include <stdatomic.h>
#include <stdint.h>

/* Start a thread that nobody joins; 0 if there can be none. */
int nllk_start_thread(void (*run)(void));

/* Sleep while *number is `seen`, for so many nanoseconds at most (0: without end); it may also return early.  Who changes the
 * number wakes sleepers, at least `count` of them if there are as many. */
void nllk_sleep_while(atomic_int *number, int seen, int nanoseconds);
void nllk_wake(atomic_int *number, int count);

/* In a forked child, whose parent's other threads may have held locks. */
void nllk_forget_sleepers(void);

/* Nanoseconds since some start. */
int64_t nllk_now(void);

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
