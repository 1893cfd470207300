/* A program without Python: cross-entropy on nllkern's threads, the same on its own, and what goes wrong. */
#include <nllkern/nllkern.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 12000, CLASSES = 10, THREADS = 3 };

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: not %s\n", __LINE__, #condition);                                                \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static float logits[ROWS * CLASSES], grad[ROWS * CLASSES], again[ROWS * CLASSES];
static int64_t target[ROWS];

typedef struct {
    nllk_call *call;
    int which;
} job;

/* Every THREADS-th block. */
static void *some_blocks(void *argument)
{
    const job *j = (const job *)argument;
    const ptrdiff_t size = nllk_block(j->call);
    const ptrdiff_t all = ROWS;
    for (ptrdiff_t begin = j->which * size; begin < all; begin += THREADS * size)
        EXPECT(nllk_run(j->call, begin, begin + size < all ? begin + size : all) == NLLK_OK);
    return NULL;
}

/* nllk_parallel, without threads. */
static void one_after_the_other(void *context, int count, void (*work)(void *task, int k), void *task)
{
    *(int *)context += count;
    for (int k = 0; k < count; k++)
        work(task, k);
}

int main(void)
{
    for (ptrdiff_t i = 0; i < ROWS * CLASSES; i++)
        logits[i] = (float)(i % 17) / 4;
    for (ptrdiff_t i = 0; i < ROWS; i++)
        target[i] = i % CLASSES;

    nllk_options options = NLLK_OPTIONS;
    nllk_results results = NLLK_RESULTS;
    options.want = NLLK_GRADIENT;
    results.grad[0] = grad;
    EXPECT(nllk_cross_entropy_f32(ROWS, CLASSES, logits, target, &options, &results) == NLLK_OK);
    EXPECT(results.value > 0 && results.denominator == ROWS);

    nllk_results own = NLLK_RESULTS;
    nllk_call call;
    pthread_t threads[THREADS];
    job jobs[THREADS];
    own.grad[0] = again;
    EXPECT(nllk_cross_entropy_f32_open(ROWS, CLASSES, logits, target, &options, &own, &call) == NLLK_OK);
    EXPECT(nllk_block(&call) < ROWS);
    for (int k = 0; k < THREADS; k++) {
        jobs[k].call = &call;
        jobs[k].which = k;
        EXPECT(pthread_create(&threads[k], NULL, some_blocks, &jobs[k]) == 0);
    }
    for (int k = 0; k < THREADS; k++)
        pthread_join(threads[k], NULL);
    EXPECT(nllk_close(&call, &own) == NLLK_OK);
    EXPECT(own.value == results.value && memcmp(grad, again, sizeof grad) == 0);

    int set_to_work = 0;
    memset(again, 0, sizeof again);
    options.parallel = one_after_the_other;
    options.context = &set_to_work;
    options.num_threads = 4;
    EXPECT(nllk_cross_entropy_f32(ROWS, CLASSES, logits, target, &options, &own) == NLLK_OK);
    EXPECT(set_to_work == 4 && own.value == results.value && memcmp(grad, again, sizeof grad) == 0);

    const double mean = 0.5, scale = 2, y = 1.5;
    double d_mean, d_scale;
    nllk_options gaussian = NLLK_OPTIONS;
    gaussian.want = NLLK_GRADIENT;
    nllk_results point = NLLK_RESULTS;
    point.grad[0] = &d_mean;
    point.grad[1] = &d_scale;
    EXPECT(nllk_gaussian_nll_f64(1, &mean, &scale, &y, &gaussian, &point) == NLLK_OK);
    EXPECT(fabs(point.value - (0.125 + log(2) + 0.91893853320467274)) < 1e-15);
    EXPECT(fabs(d_mean + 0.25) < 1e-15 && fabs(d_scale - 0.375) < 1e-15);

    gaussian.link[1] = 9;
    d_mean = 7;
    EXPECT(nllk_gaussian_nll_f64(1, &mean, &scale, &y, &gaussian, &point) == NLLK_BAD_LINK);
    EXPECT(d_mean == 7);
    target[3] = CLASSES;
    EXPECT(nllk_cross_entropy_f32(ROWS, CLASSES, logits, target, &options, &own) == NLLK_BAD_INDEX && own.bad == 3);
    EXPECT(strlen(nllk_message(NLLK_BAD_INDEX)) > 10);

    printf("%s %a\n", nllk_version(), results.value);
    return 0;
}
