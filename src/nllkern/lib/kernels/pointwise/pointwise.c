/* The one loop of all pointwise losses: tiles, links, the loss's own loop, weights, sums.
 *
 * A loss's own loop sees plain arrays of one tile; what else there is (one number for all samples, the last samples of a
 * batch) is made into such arrays in buffers.  Samples that are not ordinary are put into a list before the tile writes
 * anything, and an ordinary sample stands in their place: no sample's bits depend on its neighbours. */
#include "apart.h"

#include <math.h>

enum { INPUTS = NLLK_MAX_PARAMETERS + 2, TARGET = NLLK_MAX_PARAMETERS, EXTRA, OUTPUTS = 1 + 2 * NLLK_MAX_PARAMETERS };

/* Ask for what will be written FETCH_TILES tiles from now: hardware fetches ahead what is read, but a write waits for its
 * line to come (4 million squared errors, Sapphire Rapids, two threads: 1.3 ms without, 0.9 with, the time that adding two
 * arrays takes). */
#define FETCH_TILES 4

/* An output: the array that it goes to, or the lanes that sum it. */
typedef struct {
    ALIGNED double lanes[LANES];
    REAL buffer[TILE];
    REAL *array; /* or NULL */
    int summed;
} output;

/* One call of the kernel: output 0 is the loss, then come the gradients, then the second derivatives. */
typedef struct {
    const pointwise_loss *loss;
    const nllk_pointwise *a;
    int count, outputs;
    int link[NLLK_MAX_PARAMETERS];
    int shared;        /* bit j: parameter j is one number for all samples */
    int in_loop;       /* the factors need no more range than REAL has */
    int all_apart;     /* what all samples share is not ordinary */
    range ordinary[INPUTS];
    const REAL *input[INPUTS]; /* of the tile at hand */
    ALIGNED REAL input_buffer[INPUTS][TILE], weight[TILE], factor[TILE];
    prepared linked[NLLK_MAX_PARAMETERS];
    alone_arrays alone;
    ALIGNED REAL log_target[TILE], derivative[NLLK_MAX_PARAMETERS][3][TILE];
    output out[OUTPUTS];
    int set_apart_count; /* samples of the tile that were set apart */
    unsigned char set_apart[TILE];
    apart list;
} run;

/* ---- ordinary samples ---- */

static UBITS any_outside(const REAL *x, range r, ptrdiff_t n)
{
    UBITS found = 0;
    n &= ~(ptrdiff_t)(LANES - 1);
#pragma omp simd reduction(| : found)
    for (ptrdiff_t i = 0; i < n; i++)
        found |= outside(x[i], r);
    return found;
}

static void mark_outside(const REAL *x, range r, ptrdiff_t n, UBITS *mark)
{
    n &= ~(ptrdiff_t)(LANES - 1);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        mark[i] |= outside(x[i], r);
}

static range target_range(const pointwise_loss *loss)
{
    const REAL most = real_power_of_2(loss->target_bits), least = real_power_of_2(-loss->target_bits);
    const REAL real = real_power_of_2(loss->real_bits), low = loss->logs & LOG_TARGET ? least : R(0.0);
    const int support = loss->target, is_unit = nllk_is_inside(support, 0.5) && !nllk_is_inside(support, 2);
    if (nllk_is_inside(support, -1))
        return (range){-real, real};
    return (range){nllk_is_inside(support, 0) ? low : least, is_unit ? R(1.0) : most};
}

/* Put sample i of the tile that begins at `first` into the list. */
static void set_apart(run *r, ptrdiff_t first, ptrdiff_t i)
{
    apart *list = &r->list;
    const ptrdiff_t k = list->count++;
    list->sample[k] = first + i;
    for (int j = 0; j < r->count; j++)
        list->parameter[j][k] = r->input[j][i];
    list->target[k] = r->input[TARGET][i];
    list->extra[k] = r->a->extra ? r->input[EXTRA][i] : r->a->extra_value;
    list->weight[k] = r->a->weight ? ((const REAL *)r->a->weight)[first + i] : 1;
    r->set_apart[r->set_apart_count++] = (unsigned char)i;
}

/* Put an ordinary number in the place of those that were set apart. */
static void replace_set_apart(run *r, int k)
{
    if (r->input[k] != r->input_buffer[k])
        r->input[k] = memcpy(r->input_buffer[k], r->input[k], sizeof r->input_buffer[k]);
    for (int i = 0; i < r->set_apart_count; i++)
        r->input_buffer[k][r->set_apart[i]] = 1;
}

/* Set apart what is not ordinary among the n samples of a tile. */
static void set_apart_outside(run *r, ptrdiff_t first, ptrdiff_t n)
{
    ALIGNED UBITS mark[TILE] = {0};
    for (int j = 0; j < r->count; j++)
        if (!(r->shared >> j & 1))
            mark_outside(r->input[j], r->ordinary[j], TILE, mark);
    mark_outside(r->input[TARGET], r->ordinary[TARGET], TILE, mark);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        UBITS any = 0;
        for (int j = 0; j < LANES; j++)
            any |= mark[i + j];
        for (ptrdiff_t k = i; any && k < i + LANES && k < n; k++)
            if (mark[k])
                set_apart(r, first, k);
    }
    for (int j = 0; j < r->count; j++)
        if (!(r->shared >> j & 1))
            replace_set_apart(r, j);
    replace_set_apart(r, TARGET);
}

static void find_apart(run *r, ptrdiff_t first, ptrdiff_t n)
{
    UBITS found = 0;
    r->set_apart_count = 0;
    if (r->all_apart) {
        for (ptrdiff_t i = 0; i < n; i++)
            set_apart(r, first, i);
        return;
    }
    if (r->loss->direct)
        return;
    for (int j = 0; j < r->count; j++)
        if (!(r->shared >> j & 1))
            found |= any_outside(r->input[j], r->ordinary[j], TILE);
    found |= any_outside(r->input[TARGET], r->ordinary[TARGET], TILE);
    if (found)
        set_apart_outside(r, first, n);
}

/* Compute the samples of the list and write their results. */
static void finish_apart(run *r)
{
    const nllk_pointwise *a = r->a;
    apart *list = &r->list;
    if (!list->count)
        return;
    SYMBOL(compute_apart)(r->loss, a, list);
    for (int k = 0; k < r->outputs; k++) {
        const int j = (k - 1) % r->count;
        const double *from = k == 0 ? list->loss : k <= r->count ? list->grad[j] : list->hess[j];
        output *to = &r->out[k];
        for (ptrdiff_t i = 0; i < list->count; i++) {
            const double weight = list->weight[i], factor = k == 0 ? weight : weight * a->scale;
            const double x = weight == 0 ? 0 : factor * from[i];
            if (to->array)
                to->array[list->sample[i]] = (REAL)x;
            if (to->summed)
                to->lanes[i % LANES] += x;
        }
    }
    list->count = 0;
}

/* ---- tiles ---- */

/* n samples from x on, as they lie or copied and padded. */
static const REAL *tile_input(const REAL *x, ptrdiff_t n, REAL *buffer)
{
    if (n == TILE)
        return x;
    for (ptrdiff_t i = 0; i < TILE; i++)
        buffer[i] = x[i < n ? i : 0];
    return buffer;
}

/* The loss's own option: one number for all samples stands in the buffer already. */
static const REAL *tile_extra(const nllk_pointwise *a, ptrdiff_t begin, ptrdiff_t n, REAL *buffer)
{
    const REAL *from = a->extra;
    if (!from)
        return buffer;
    ptrdiff_t k = begin % a->extra_period;
    if (n == TILE && k + TILE <= a->extra_period)
        return from + k;
    for (ptrdiff_t i = 0; i < TILE; i++) {
        buffer[i] = from[k];
        k = k + 1 < a->extra_period ? k + 1 : 0;
    }
    return buffer;
}

/* Samples past the end do not count. */
static void read_weights(run *r, ptrdiff_t first, ptrdiff_t n)
{
    const REAL *from = (const REAL *)r->a->weight + first;
    for (ptrdiff_t i = 0; i < TILE; i++)
        r->weight[i] = i < n ? from[i] : R(0.0);
}

NLLK_INLINE REAL factor_of(REAL weight, double scale, UBITS *found)
{
    const REAL factor = (REAL)(scale * (double)weight);
    *found |= outside(weight == R(0.0) ? R(1.0) : fabs_(factor), (range){REAL_MIN, REAL_MAX});
    return factor;
}

/* Returns whether they have the range that they need. */
static int compute_factors(run *r)
{
    UBITS found = 0;
    const double scale = r->a->scale;
#pragma omp simd reduction(| : found)
    for (ptrdiff_t i = 0; i < TILE; i++)
        r->factor[i] = factor_of(r->weight[i], scale, &found);
    return !found;
}

/* lanes[j] += the sum of x[j], x[j + LANES] ...; where n is a constant, in registers. */
NLLK_INLINE void add_columns(double *restrict lanes, const REAL *restrict x, ptrdiff_t n)
{
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        double sum = x[j];
        for (ptrdiff_t i = LANES; i < n; i += LANES)
            sum += x[i + j];
        lanes[j] += sum;
    }
}

static void add_lanes(double *lanes, const REAL *x, ptrdiff_t n)
{
    if (n == TILE)
        add_columns(lanes, x, TILE);
    else
        add_columns(lanes, x, n);
}

NLLK_INLINE double weighted(REAL weight, REAL x) { return weight == R(0.0) ? 0 : (double)weight * (double)x; }

static void add_weighted(double *restrict lanes, const REAL *weight, const REAL *x, ptrdiff_t n)
{
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        double sum = 0;
        for (ptrdiff_t i = 0; i < n; i += LANES)
            sum += weighted(weight[i + j], x[i + j]);
        lanes[j] += sum;
    }
}

NLLK_INLINE REAL in_double(REAL weight, double scale, REAL x) { return (REAL)(scale * weighted(weight, x)); }

/* x[i] *= scale weight[i], in double. */
static void scale_in_double(REAL *x, const REAL *weight, double scale)
{
#pragma omp simd
    for (ptrdiff_t i = 0; i < TILE; i++)
        x[i] = in_double(weight[i], scale, x[i]);
}

static void compute_log_target(run *r, ptrdiff_t n)
{
    const REAL *y = r->input[TARGET];
    n &= ~(ptrdiff_t)(LANES - 1);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        r->log_target[i] = log_ordinary_(y[i]);
}

static void repeat_first(REAL *x)
{
    for (ptrdiff_t i = 1; i < TILE; i++)
        x[i] = x[0];
}

/* Links, and what depends on one parameter alone, of n samples. */
static void prepare_parameter(run *r, int j, ptrdiff_t n)
{
    const pointwise_loss *loss = r->loss;
    const link_row *link = &SYMBOL(links)[r->link[j]];
    if (link->prepare)
        link->prepare(r->input[j], n, r->a->want, loss->logs >> j & 1, &r->linked[j]);
    if (loss->alone == j)
        loss->compute_alone(&r->linked[j], &r->alone, r->a->want, n);
}

/* The same of a parameter that all samples share. */
static void prepare_shared(run *r, int j)
{
    prepared *p = &r->linked[j];
    prepare_parameter(r, j, LANES);
    repeat_first(p->e);
    repeat_first(p->value);
    repeat_first(p->inverse);
    repeat_first(p->log);
    repeat_first(p->rate);
    repeat_first(p->curve);
    if (r->loss->alone == j) {
        repeat_first(r->alone.value);
        repeat_first(r->alone.d1);
        repeat_first(r->alone.d2);
        repeat_first(r->alone.d2_log);
    }
}

/* Where the results of n samples from `first` on go: straight to an array that holds a whole tile, or to a buffer. */
static REAL *destination(output *to, ptrdiff_t first, ptrdiff_t n)
{
    if (!to->array || n < TILE)
        return to->buffer;
    fetch_to_write(to->array + first + FETCH_TILES * TILE, TILE);
    return to->array + first;
}

static void read_inputs(run *r, ptrdiff_t first, ptrdiff_t n)
{
    const nllk_pointwise *a = r->a;
    for (int j = 0; j < r->count; j++)
        if (!(r->shared >> j & 1))
            r->input[j] = tile_input((const REAL *)a->parameter[j] + first, n, r->input_buffer[j]);
    if (a->target_stride)
        r->input[TARGET] = tile_input((const REAL *)a->target + first, n, r->input_buffer[TARGET]);
    r->input[EXTRA] = tile_extra(a, first, n, r->input_buffer[EXTRA]);
    if (a->weight)
        read_weights(r, first, n);
}

/* The loss and its derivatives of n samples, whose inputs have been read, into to[]. */
static void compute_tile(run *r, ptrdiff_t n, REAL *value, REAL *const *to)
{
    const pointwise_loss *loss = r->loss;
    const int want = r->a->want, in_loop = r->in_loop && (!r->a->weight || compute_factors(r));
    const REAL *factor = r->a->weight && in_loop ? r->factor : NULL;
    const REAL one_factor = in_loop ? (REAL)r->a->scale : R(1.0);
    tile t = {.target = r->input[TARGET],
              .log_target = r->log_target,
              .extra = r->input[EXTRA],
              .alone = &r->alone,
              .full = r->a->full,
              .value = value,
              .factor = factor,
              .one_factor = one_factor};
    for (int j = 0; j < r->count; j++) {
        if (!(r->shared >> j & 1))
            prepare_parameter(r, j, n);
        t.raw[j] = r->input[j];
        t.linked[j] = &r->linked[j];
        t.to[j] = loss->direct ? (derivatives){to[1 + j], to[1 + r->count + j], NULL}
                               : (derivatives){r->derivative[j][0], r->derivative[j][1], r->derivative[j][2]};
    }
    if (loss->logs & LOG_TARGET)
        compute_log_target(r, n);
    loss->samples[want][factor != NULL](&t, n);
    if (!loss->direct && want >= WANT_GRAD)
        for (int j = 0; j < r->count; j++) {
            const derivatives *d = &t.to[j];
            const chain c = {&r->linked[j], value, d->d1, d->d2, d->d2_log, factor, one_factor, to[1 + j],
                             want >= WANT_HESS ? to[1 + r->count + j] : NULL};
            SYMBOL(links)[r->link[j]].chain(&c, n);
        }
    if (!in_loop)
        for (int k = 1; k < r->outputs; k++)
            scale_in_double(to[k], r->weight, r->a->scale);
}

static void run_tile(run *r, ptrdiff_t first, ptrdiff_t n)
{
    const nllk_pointwise *a = r->a;
    const ptrdiff_t whole = (n + LANES - 1) & ~(ptrdiff_t)(LANES - 1);
    REAL *to[OUTPUTS];
    read_inputs(r, first, n);
    find_apart(r, first, n);
    if (r->set_apart_count == n)
        return;
    for (int k = 0; k < r->outputs; k++)
        to[k] = destination(&r->out[k], first, n);
    REAL *value = a->weight ? r->out[0].buffer : to[0];
    compute_tile(r, whole, value, to);
    for (int k = 0; k < r->outputs; k++) {
        output *out = &r->out[k];
        REAL *x = k == 0 ? value : to[k];
        if (out->summed) {
            for (ptrdiff_t i = n; i < whole; i++)
                x[i] = 0;
            for (int i = 0; i < r->set_apart_count; i++)
                x[r->set_apart[i]] = 0;
            if (k == 0 && a->weight)
                add_weighted(out->lanes, r->weight, value, whole);
            else
                add_lanes(out->lanes, x, whole);
        }
        if (k == 0 && a->weight && out->array)
            for (ptrdiff_t i = 0; i < n; i++)
                out->array[first + i] = (REAL)weighted(r->weight[i], value[i]);
        else if (out->array && n < TILE)
            memcpy(out->array + first, out->buffer, n * sizeof(REAL));
    }
}

/* Whether an option survives the conversion to REAL. */
static int fits(double x) { return !(fabs(x) <= DBL_MAX) || x == 0 || (fabs(x) >= REAL_MIN && fabs(x) <= REAL_MAX); }

/* An input that is one number for all samples. */
static void read_shared(run *r, int k, const void *number)
{
    r->input[k] = r->input_buffer[k];
    r->input_buffer[k][0] = *(const REAL *)number;
    repeat_first(r->input_buffer[k]);
}

static void open_run(run *r, const pointwise_loss *loss, const nllk_pointwise *a)
{
    r->loss = loss;
    r->a = a;
    r->count = loss->count;
    r->outputs = 1 + a->want * loss->count;
    r->list.count = 0;
    r->shared = 0;
    r->in_loop = NLLK_BITS == 64 || fits(a->scale);
    r->all_apart = !a->extra && !fits(a->extra_value);
    r->input_buffer[EXTRA][0] = (REAL)a->extra_value;
    repeat_first(r->input_buffer[EXTRA]);
    r->ordinary[TARGET] = target_range(loss);
    if (!a->target_stride)
        read_shared(r, TARGET, a->target);
    if (!a->weight)
        for (ptrdiff_t i = 0; i < TILE; i++)
            r->weight[i] = 1;
    for (int j = 0; j < r->count; j++) {
        r->link[j] = !(loss->linked >> j & 1) ? LINK_NONE : loss->direct ? LINK_LOGIT : a->link[j];
        const link_row *link = &SYMBOL(links)[r->link[j]];
        r->ordinary[j] = link->range(r->link[j] == LINK_NONE ? loss->real_bits : loss->theta_bits);
        if (a->parameter_stride[j])
            continue;
        r->shared |= 1 << j;
        read_shared(r, j, a->parameter[j]);
        if (!loss->direct && outside(r->input[j][0], r->ordinary[j]))
            r->all_apart = 1;
        else
            prepare_shared(r, j);
    }
    for (int k = 0; k < r->outputs; k++) {
        const int j = (k - 1) % r->count;
        output *out = &r->out[k];
        out->array = k == 0 ? a->loss : k <= r->count ? a->grad[j] : a->hess[j];
        out->summed = k == 0 || r->shared >> j & 1;
        memset(out->lanes, 0, sizeof out->lanes);
    }
}

void SYMBOL(run_pointwise)(const pointwise_loss *loss, const nllk_pointwise *a, ptrdiff_t begin, ptrdiff_t end,
                           nllk_sums *sums)
{
    run r;
    open_run(&r, loss, a);
    for (ptrdiff_t first = begin; first < end; first += TILE) {
        run_tile(&r, first, end - first < TILE ? end - first : TILE);
        if (r.list.count > APART_MAX - TILE)
            finish_apart(&r);
    }
    finish_apart(&r);
    for (int k = 0; k < r.outputs; k++) {
        double *sum = k == 0 ? &sums->value : k <= r.count ? &sums->grad[k - 1] : &sums->hess[k - 1 - r.count];
        *sum = r.out[k].summed ? sum_lanes(r.out[k].lanes) : 0;
    }
}
