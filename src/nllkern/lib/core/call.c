/* Blocks, ordered sums, and what a loss needs around its kernel. */
#include "call.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Elements in a block: at least about 30 us of work, enough to pay for handing it out, and more where BLOCKS are left
 * all the same, since the kernels overlap what rows of one block do: for which LONG_ROWS, however long, serve where
 * FEW_BLOCKS are left.  A long block is a whole number of the kernels' tiles, or of their row blocks. */
enum {
    BLOCK_ELEMENTS = 16384,
    LONG_BLOCK_ELEMENTS = 262144,
    BLOCKS = 128,
    LONG_ROWS = 8,
    FEW_BLOCKS = 32,
    ROW_BLOCK = 32,
    TILE = 128,
    MAX_BLOCKS = 4096,
};

/* Elements below which a batch runs on the calling thread alone: waking the others would cost more. */
enum { SERIAL_ELEMENTS = 32768 };

int nllk_batch_open(nllk_batch *b, nllk_kernel kernel, const void *arguments, ptrdiff_t samples, ptrdiff_t sample_size,
                    size_t scratch)
{
    sample_size = MAX(sample_size, 1);
    const ptrdiff_t all = samples > PTRDIFF_MAX / sample_size ? PTRDIFF_MAX : samples * sample_size;
    const ptrdiff_t elements = MIN(MAX(all / BLOCKS, BLOCK_ELEMENTS), LONG_BLOCK_ELEMENTS);
    const ptrdiff_t long_rows = MIN(LONG_ROWS, samples / FEW_BLOCKS);
    ptrdiff_t block = MAX(MAX(elements / sample_size, long_rows), (samples + MAX_BLOCKS - 1) / MAX_BLOCKS);
    block = MAX(block, 1);
    if (block >= TILE)
        block = (block + TILE - 1) / TILE * TILE;
    else if (block >= ROW_BLOCK)
        block = (block + ROW_BLOCK - 1) / ROW_BLOCK * ROW_BLOCK;
    *b = (nllk_batch){.kernel = kernel,
                      .arguments = arguments,
                      .samples = samples,
                      .block = block,
                      .blocks = (samples + block - 1) / block,
                      .elements = all,
                      .scratch = scratch,
                      .only = {.bad = -1}};
    if (b->blocks > 1) {
        b->parts = calloc((size_t)b->blocks, sizeof *b->parts);
        return b->parts ? NLLK_OK : NLLK_NO_MEMORY;
    }
    return NLLK_OK;
}

static void run_block(nllk_batch *b, ptrdiff_t k, void *scratch)
{
    b->kernel(b->arguments, k * b->block, MIN((k + 1) * b->block, b->samples), scratch,
              b->parts ? &b->parts[k] : &b->only);
}

/* Take blocks until there are none left, or until the caller gives up: then they are all taken. */
static void run_worker(void *task, int worker)
{
    nllk_batch *b = task;
    const nllk_team *team = b->team;
    void *scratch = b->scratch ? malloc(b->scratch) : NULL;
    for (;;) {
        if (worker == 0 && team->interrupted && team->interrupted(team->context)) {
            b->interrupted = 1;
            atomic_store_explicit(&b->next, b->blocks, memory_order_relaxed);
        }
        const ptrdiff_t k = atomic_fetch_add_explicit(&b->next, 1, memory_order_relaxed);
        if (k >= b->blocks)
            break;
        run_block(b, k, scratch);
    }
    free(scratch);
}

/* The same for one caller's own blocks. */
void nllk_batch_run_blocks(nllk_batch *b, ptrdiff_t begin, ptrdiff_t end)
{
    void *scratch = b->scratch ? malloc(b->scratch) : NULL; /* kernels can do without */
    for (ptrdiff_t k = begin; k < end; k++)
        run_block(b, k, scratch);
    free(scratch);
}

void nllk_batch_run(nllk_batch *b, const nllk_team *team)
{
    const int threads = b->elements < SERIAL_ELEMENTS ? 1 : (int)MIN(team->threads, b->blocks);
    b->next = 0;
    b->team = team;
    if (threads > 1)
        nllk_run_team(team, threads, run_worker, b);
    else /* even one thread costs a parallel region its 0.7 us */
        run_worker(b, 0);
}

/* The sums of the blocks, first to last, with what additions lose carried along (Neumaier). */
int nllk_batch_close(nllk_batch *b, nllk_sums *total)
{
    enum { NUMBERS = offsetof(nllk_sums, bad) / sizeof(double) };
    double lost[NUMBERS] = {0}, *into = &total->value;
    if (!b->parts) {
        *total = b->only;
        return b->interrupted ? NLLK_INTERRUPTED : NLLK_OK;
    }
    *total = (nllk_sums){.bad = -1};
    for (ptrdiff_t k = 0; k < b->blocks; k++) {
        const double *part = &b->parts[k].value;
        for (int j = 0; j < NUMBERS; j++) {
            double s = into[j] + part[j];
            if (isfinite(s))
                lost[j] += fabs(into[j]) >= fabs(part[j]) ? (into[j] - s) + part[j] : (part[j] - s) + into[j];
            into[j] = s;
        }
        if (total->bad < 0)
            total->bad = b->parts[k].bad;
    }
    for (int j = 0; j < NUMBERS; j++)
        into[j] += lost[j];
    free(b->parts);
    b->parts = NULL;
    return b->interrupted ? NLLK_INTERRUPTED : NLLK_OK;
}

/* ---- a loss ---- */

/* A gradient of STREAM_BYTES is not in any cache when the caller reads it.  Long rows get scratch, of at most
 * SCRATCH_BYTES: 256 x 128256 doubles take 0.8 of the time that they take without. */
enum { STREAM_BYTES = 64 << 20, SCRATCH_BYTES = 2 << 20 };

/* A batch that shares a factor is cut into parts, each with a sum of its own, so that the order of the additions does
 * not depend on threads: parts of so many samples, unless their sums took more than so many bytes. */
enum { PART_SAMPLES = 256, PARTS_MAX = 1024, PARTS_BYTES = 4 << 20 };

static int kind_of(const nllk_work *c) { return nllk_losses[c->loss].kind; }

static size_t item_size(const nllk_work *c) { return c->is_double ? sizeof(double) : sizeof(float); }

static ptrdiff_t sample_size(const nllk_work *c)
{
    const nllk_vectors *v = &c->a.vectors;
    if (kind_of(c) == NLLK_KIND_POINTWISE)
        return 1;
    if (kind_of(c) == NLLK_KIND_ROWS)
        return c->a.rows.classes;
    return v->dimension * (nllk_losses[c->loss].linked ? v->dimension : 1);
}

static double number_at(const nllk_work *c, const void *x, ptrdiff_t i)
{
    return c->is_double ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

/* Run a survey over the samples: what has to be known before anything is written. */
static int survey(const nllk_work *c, int which, const void *arguments, ptrdiff_t size, const nllk_team *team,
                  nllk_sums *sums)
{
    nllk_batch b;
    int status = nllk_batch_open(&b, c->table->survey[which], arguments, c->samples, size, 0);
    if (status == NLLK_OK) {
        nllk_batch_run(&b, team);
        status = nllk_batch_close(&b, sums);
    }
    return status;
}

/* The weight of the samples that count: of each 1, but where the loss or its weights say otherwise. */
static int find_weight(nllk_work *c, int wanted, const nllk_team *team, double *weight)
{
    nllk_sums sums = {.weight = (double)c->samples, .bad = -1};
    int status = NLLK_OK;
    if (kind_of(c) == NLLK_KIND_ROWS) {
        nllk_rowwise *a = &c->a.rows;
        a->want_weight = wanted && (a->weight || a->has_ignore || (a->index && a->class_weight));
        if (a->index || a->want_weight)
            status = survey(c, 0, a, a->index ? 1 : a->classes, team, &sums);
        wanted = a->want_weight;
    } else {
        const void *given = kind_of(c) == NLLK_KIND_POINTWISE ? c->a.points.weight : c->a.vectors.weight;
        const nllk_pointwise a = {.weight = given};
        wanted = wanted && given;
        if (wanted)
            status = survey(c, 1, &a, 1, team, &sums);
    }
    c->bad = sums.bad;
    *weight = wanted ? sums.weight : (double)c->samples;
    return status == NLLK_OK && c->bad >= 0 ? NLLK_BAD_INDEX : status;
}

/* Whether a sample has a weight, and a class a weight where its samples have it. */
static int anything_counts(const nllk_work *c)
{
    const int rows = kind_of(c) == NLLK_KIND_ROWS;
    const void *weight = rows                              ? c->a.rows.weight
                         : kind_of(c) == NLLK_KIND_VECTORS ? c->a.vectors.weight
                                                           : c->a.points.weight;
    const nllk_rowwise *a = &c->a.rows;
    for (ptrdiff_t i = 0; i < c->samples; i++) {
        if (weight && number_at(c, weight, i) == 0)
            continue;
        if (!rows || !a->index)
            return !rows || !a->has_ignore; /* probabilities may be ignored: then 0 is a sum of nothing */
        const int64_t t = a->index_is_64 ? ((const int64_t *)a->index)[i] : ((const int32_t *)a->index)[i];
        if (!(a->has_ignore && t == a->ignore_index) && !(a->class_weight && number_at(c, a->class_weight, t) == 0))
            return 1;
    }
    return 0;
}

/* Room for a factor that all samples share, prepared, and for the sums of the parts of the batch. */
static int open_parts(nllk_work *c)
{
    nllk_vectors *a = &c->a.vectors;
    const ptrdiff_t size = NLLK_PART_SIZE(a->dimension), shared = NLLK_SHARED_SIZE(a->dimension);
    ptrdiff_t count =
        MIN(MIN((c->samples + PART_SAMPLES - 1) / PART_SAMPLES, PARTS_MAX), MAX(PARTS_BYTES / (8 * size), 1));
    a->part = ((c->samples + count - 1) / count + 15) / 16 * 16;
    a->part_count = (c->samples + a->part - 1) / a->part;
    a->shared = malloc((size_t)(shared + (a->grad[1] ? a->part_count * size : 0)) * sizeof(double));
    if (!a->shared)
        return NLLK_NO_MEMORY;
    a->parts = a->grad[1] ? a->shared + shared : NULL;
    a->step = NLLK_PREPARE;
    c->table->loss[c->loss](a, 0, 1, NULL, &(nllk_sums){0});
    a->step = NLLK_RUN;
    c->unit = a->part;
    return NLLK_OK;
}

int nllk_open_call(nllk_work *c, const nllk_team *team)
{
    const int kind = kind_of(c);
    double weight, *scale = kind == NLLK_KIND_ROWS        ? &c->a.rows.scale
                            : kind == NLLK_KIND_POINTWISE ? &c->a.points.scale
                                                          : &c->a.vectors.scale;
    size_t scratch = 0;
    c->table = nllk_table_in_use(c->is_double);
    c->unit = 1;
    int status = find_weight(c, c->reduction == NLLK_MEAN && c->normalizer == 0, team, &weight);
    if (status != NLLK_OK)
        return status;
    if (!(weight > 0) && weight == weight && c->samples > 0 && anything_counts(c))
        return NLLK_BAD_WEIGHT;
    c->denominator = c->samples == 0 ? 0 : c->reduction != NLLK_MEAN ? 1 : c->normalizer != 0 ? c->normalizer : weight;
    if (c->denominator == 0)
        return nllk_batch_open(&c->batch, NULL, NULL, 0, 1, 0);
    *scale = 1 / c->denominator;
    if (kind == NLLK_KIND_ROWS) {
        nllk_rowwise *a = &c->a.rows;
        const size_t row = (size_t)a->classes * item_size(c);
        if (a->want == WANT_GRAD && a->classes > NLLK_STAGE && row <= SCRATCH_BYTES)
            scratch = row;
        a->stream = (double)row * (double)c->samples >= (double)STREAM_BYTES;
    } else if (kind == NLLK_KIND_VECTORS && c->shared_factor) {
        status = open_parts(c);
    }
    if (status == NLLK_OK)
        status = nllk_batch_open(&c->batch, c->table->loss[c->loss], &c->a, (c->samples + c->unit - 1) / c->unit,
                                 c->unit * sample_size(c), scratch);
    if (status != NLLK_OK && kind == NLLK_KIND_VECTORS && c->shared_factor)
        free(c->a.vectors.shared);
    return status;
}

void nllk_run_call(nllk_work *c, const nllk_team *team) { nllk_batch_run(&c->batch, team); }

static void clear(void *x, ptrdiff_t n, size_t size)
{
    if (x)
        memset(x, 0, (size_t)n * size);
}

/* All results of a call in which nothing counts. */
static void clear_results(nllk_work *c)
{
    const size_t size = item_size(c);
    if (kind_of(c) == NLLK_KIND_ROWS) {
        clear(c->a.rows.loss, c->samples, size);
        clear(c->a.rows.grad, c->samples * c->a.rows.classes, size);
        clear(c->a.rows.hess, c->samples * c->a.rows.classes, size);
        return;
    }
    const int points = kind_of(c) == NLLK_KIND_POINTWISE;
    const ptrdiff_t d = points ? 1 : c->a.vectors.dimension;
    clear(points ? c->a.points.loss : c->a.vectors.loss, c->samples, size);
    for (int k = 0; k < NLLK_MAX_PARAMETERS; k++) {
        ptrdiff_t n = c->samples * d;
        if (!points && k == 1 && nllk_losses[c->loss].linked)
            n = c->shared_factor ? d * d : n * d;
        clear(points ? c->a.points.grad[k] : c->a.vectors.grad[k], n, size);
        clear(points ? c->a.points.hess[k] : c->a.vectors.hess[k], n, size);
    }
}

int nllk_close_call(nllk_work *c, nllk_sums *sums)
{
    nllk_sums unused;
    const int vectors = kind_of(c) == NLLK_KIND_VECTORS;
    const int status = nllk_batch_close(&c->batch, sums ? sums : &unused);
    if (sums && c->denominator == 0) {
        *sums = (nllk_sums){.bad = -1};
        clear_results(c);
    } else if (sums && status == NLLK_OK) {
        sums->value /= c->denominator;
        if (vectors && c->a.vectors.parts) {
            c->a.vectors.step = NLLK_FINISH;
            c->table->loss[c->loss](&c->a, 0, 1, NULL, &unused);
        }
    }
    if (vectors && c->shared_factor)
        free(c->a.vectors.shared);
    return status;
}
