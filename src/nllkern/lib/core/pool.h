/* Threads of the library's own, which a call never waits for unless they have begun. */
#ifndef NLLK_POOL_H
#define NLLK_POOL_H

/* Call work(task, 0) on this thread, and work(task, k) for k below `count` on workers that come in time: those that come
 * before the caller's own work has returned.  What is to be done must therefore be claimed, piece by piece.
 * Returns when all that began have returned. */
void nllk_pool_run(int count, void (*work)(void *task, int k), void *task);

/* In a forked child, which has none of its parent's threads. */
void nllk_pool_forget(void);

#endif
