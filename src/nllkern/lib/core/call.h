/* One call of a loss, as Python's layer and the C interface both make it.
 *
 * The samples are cut into blocks whose size depends on the call alone, never on the number of threads.  Each block leaves its
 * sums in a place of its own, and they are added in the order of the blocks: the bits are the same for any number of
 * threads, and whoever runs the blocks. */
#ifndef NLLK_CALL_H
#define NLLK_CALL_H

#include "kernels.h"
#include "tables.h"

#include <float.h>
#include <stdatomic.h>

/* What Python reads of the tables. */
NLLK_API extern const nllk_vecfn_info nllk_vecfns[NLLK_VECFN_COUNT];
NLLK_API int nllk_available_levels(const nllk_level **levels);

/* Samples that a kernel runs over, in blocks. */
typedef struct {
    nllk_kernel kernel;
    const void *arguments;
    ptrdiff_t samples, block, blocks, elements;
    size_t scratch;        /* bytes that a thread lends the kernel */
    atomic_ptrdiff_t next; /* the first block that no worker has taken */
    const struct nllk_team *team;
    int interrupted;  /* blocks were left out */
    nllk_sums *parts; /* one a block; NULL: `only` */
    nllk_sums only;
} nllk_batch;

/* Who runs the blocks: at most so many threads (one where more would not pay), set to work by `parallel`; and what
 * worker 0 asks between blocks, to know whether to go on. */
typedef struct nllk_team {
    int threads;
    nllk_parallel parallel;
    void *context;
    nllk_interrupt interrupted;
} nllk_team;

NLLK_API int nllk_batch_open(nllk_batch *b, nllk_kernel kernel, const void *arguments, ptrdiff_t samples,
                             ptrdiff_t sample_size, size_t scratch);
NLLK_API void nllk_batch_run(nllk_batch *b, const nllk_team *team);
void nllk_batch_run_blocks(nllk_batch *b, ptrdiff_t begin, ptrdiff_t end);
/* NLLK_OK or NLLK_INTERRUPTED; it frees what the batch holds either way. */
NLLK_API int nllk_batch_close(nllk_batch *b, nllk_sums *total);

typedef union {
    nllk_rowwise rows;
    nllk_pointwise points;
    nllk_vectors vectors;
} nllk_arguments;

typedef struct {
    int loss, is_double; /* its number in the table */
    int reduction;
    double normalizer; /* of the mean; 0: the weight of what counts */
    int shared_factor; /* of vectors */
    ptrdiff_t samples;
    nllk_arguments a;
    /* What nllk_open_call finds. */
    const nllk_table *table;
    double denominator; /* 0: nothing counts, and all results are 0 */
    ptrdiff_t unit;     /* samples that the kernel counts as one */
    ptrdiff_t bad;      /* the sample whose class index is out of range */
    nllk_batch batch;
} nllk_work;

/* Weights, indices and blocks; nothing is written yet.  After NLLK_OK, nllk_close_call must follow. */
int nllk_open_call(nllk_work *c, const nllk_team *team);
void nllk_run_call(nllk_work *c, const nllk_team *team);
/* The sums, of which the value is reduced; with NULL it only frees what the call holds. */
int nllk_close_call(nllk_work *c, nllk_sums *sums);

/* Bins narrower than some of the numbers' own spacing could not be told apart. */
static inline double nllk_least_width(double low, double high)
{
    const double a = low < 0 ? -low : low, b = high < 0 ? -high : high;
    return 4 * DBL_EPSILON * (a > b ? a : b);
}

/* ---- SIMD levels and threads ---- */

NLLK_API const nllk_table *nllk_table_in_use(int is_double);
NLLK_API int nllk_level_in_use(void);
NLLK_API void nllk_use_level(int level);

/* Threads for a call that asked for so many (0: for none in particular). */
NLLK_API int nllk_thread_count(int asked);
/* The limit of the calling thread's own, 0 for none; returns the one before. */
NLLK_API int nllk_limit_threads(int limit);
/* The way of threading of the calling thread's calls, where the process has chosen none; returns the one before. */
NLLK_API int nllk_prefer_threading(int way);
NLLK_API int nllk_use_pool_only(int want); /* whatever was set; of the calling thread */
/* Year and month of the OpenMP specification, 0 without it. */
NLLK_API int nllk_openmp_version(void);
/* Whether the library was built with threads. */
NLLK_API int nllk_has_threads(void);
/* Have a team work: work(task, k) for k = 0, and for those of 1 to count - 1 that begin while there is work. */
void nllk_run_team(const nllk_team *team, int count, void (*work)(void *task, int k), void *task);

#endif
