/* The pool alone: callers at once, callers that find it taken, forks among them.  Every job claims pieces and adds them up, so a
 * piece that is lost or done twice shows.  pool_stress CALLS FORKS */
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLERS = 8, PIECES = 5, COUNT = 4 };

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: not %s\n", __LINE__, #condition);                                                \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

typedef struct {
    atomic_int next;
    int done[PIECES]; /* not atomic: each belongs to who claims it, and then to the caller */
} job;

static void claim(void *task, int k)
{
    job *j = task;
    EXPECT(0 <= k && k < COUNT);
    for (int piece; (piece = atomic_fetch_add(&j->next, 1)) < PIECES;) {
        for (volatile int turn = 0; turn < 300; turn++) /* long enough for workers to come */
            ;
        j->done[piece]++;
    }
}

static void call(long calls)
{
    for (long c = 0; c < calls; c++) {
        job j = {.next = 0};
        nllk_pool_run(COUNT, claim, &j);
        for (int k = 0; k < PIECES; k++)
            EXPECT(j.done[k] == 1);
    }
}

static void *call_often(void *calls)
{
    call(*(long *)calls);
    return NULL;
}

static void in_a_child(long calls)
{
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        alarm(60);
        call(calls);
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

/* ---- a worker that has not begun is not waited for ---- */

static atomic_int inside, may_leave;

static void hold(void *task, int k)
{
    (void)task, (void)k;
    atomic_fetch_add(&inside, 1);
    while (!atomic_load(&may_leave))
        ; /* asleep it would draw the worker to its processor, which a worker leaves to the caller */
}

static void *hold_all(void *unused)
{
    nllk_pool_run(COUNT, hold, NULL);
    return unused;
}

static void with_all_workers_held(void)
{
    pthread_t holder;
    EXPECT(pthread_create(&holder, NULL, hold_all, NULL) == 0);
    for (int turn = 0; atomic_load(&inside) < 2 && turn < 5000; turn++)
        usleep(100);
    EXPECT(atomic_load(&inside) >= 1); /* and a worker, unless other processes keep it from its core */
    call(10);
    atomic_store(&may_leave, 1);
    pthread_join(holder, NULL);
}

int main(int argc, char **argv)
{
    EXPECT(argc == 3);
    long calls = atol(argv[1]) / CALLERS;
    const int forks = atoi(argv[2]);
    pthread_t callers[CALLERS];
    alarm(800);
    pthread_atfork(NULL, NULL, nllk_pool_forget); /* as the library does */
    with_all_workers_held();
    for (int k = 0; k < CALLERS; k++)
        EXPECT(pthread_create(&callers[k], NULL, call_often, &calls) == 0);
    for (int k = 0; k < forks; k++)
        in_a_child(200);
    for (int k = 0; k < CALLERS; k++)
        pthread_join(callers[k], NULL);
    printf("%ld\n", calls * CALLERS);
    return 0;
}
