/* The one loop of all pointwise losses: tiles, links, the loss's own loop, weights, sums.
 *
 * A loss's own loop sees plain arrays of one tile; what else there is (one number for all samples, the last
 * samples of a batch) is made into such arrays in buffers.  Samples that are not ordinary are put into a list
 * before the tile writes anything, and an ordinary sample stands in their place: no sample's bits depend on its
 * neighbours. */
#include "set_apart.h"

#include <math.h>

/* ---- tiles ---- */

static void read_input(run *r, int k, const REAL *from)
{
    r->input[k] = from;
    if (r->n == r->length) {
        fetch_tile(from + r->length, r->length, 0);
        return;
    }
    copy_padded(from, r->n, r->whole, r->input_buffer[k]);
    r->input[k] = r->input_buffer[k];
}

/* The loss's own option: what is one number for all samples stands in the buffer already. */
static void read_extra(run *r)
{
    const nllk_pointwise *a = r->a;
    const REAL *from = a->extra;
    r->input[EXTRA] = r->input_buffer[EXTRA];
    if (!from)
        return;
    ptrdiff_t k = r->first % a->extra_period;
    if (r->n == r->length && k + r->n <= a->extra_period) {
        r->input[EXTRA] = from + k;
        return;
    }
    for (ptrdiff_t i = 0; i < r->whole; i++) {
        r->input_buffer[EXTRA][i] = from[k];
        k = k + 1 < a->extra_period ? k + 1 : 0;
    }
}

static void read_inputs(run *r)
{
    const nllk_pointwise *a = r->a;
    for (int j = 0; j < r->count; j++)
        if (!is_shared(r, j))
            read_input(r, j, (const REAL *)a->parameter[j] + r->first);
    if (a->target_stride)
        read_input(r, TARGET, (const REAL *)a->target + r->first);
    read_extra(r);
    if (a->weight)
        copy_padded((const REAL *)a->weight + r->first, r->n, r->whole, r->weight);
}

/* Links, and what depends on one parameter alone, of n samples. */
static void prepare_parameter(run *r, int j, ptrdiff_t n)
{
    const pointwise_loss *loss = r->loss;
    const link_row *link = &SYMBOL(links)[r->link[j]];
    if (link->prepare)
        link->prepare(r->input[j], n, r->a->want, loss->logs >> j & 1, &r->linked[j]);
    if (loss->alone == j)
        loss->compute_alone(r->linked[j].value, &r->alone, r->a->want, n);
}

/* The same of a parameter that all samples share. */
static void prepare_shared(run *r, int j)
{
    prepared *p = &r->linked[j];
    alone_arrays *alone = &r->alone;
    prepare_parameter(r, j, LANES);
    repeat_first(p->e, r->length);
    if (r->loss->direct)
        return;
    REAL *const arrays[] = {p->value,     p->inverse, p->log,    p->rate,      p->curve,
                            alone->value, alone->d1,  alone->d2, alone->d2_log};
    for (int k = 0; k < (r->loss->alone == j ? 9 : 5); k++)
        repeat_first(arrays[k], TILE);
}

/* Where the results of the tile go: straight to an array that holds a whole tile, or to a buffer. */
static REAL *destination(const run *r, output *to)
{
    return to->array && r->n == r->length ? to->array + r->first : to->buffer;
}

/* Whether the derivatives by a parameter go through the chain rule in a loop of their own. */
static int has_chain(const run *r, int j)
{
    return r->a->want == WANT_HESS && !r->loss->direct && r->link[j] != LINK_NONE;
}

/* The factors of derivatives, scale times weight.  Returns whether REAL can hold them; if not, they are 1 for now. */
static int find_factors(run *r)
{
    if (!r->a->weight)
        return r->scale_fits;
    if (r->scale_fits && compute_factors(r->weight, r->a->scale, r->whole, r->factor))
        return 1;
    r->factor[0] = 1;
    repeat_first(r->factor, r->whole);
    return 0;
}

static void apply_chain_rule(run *r, int j, REAL *const *to)
{
    const tile *t = &r->at_hand;
    const chain c = {.p = &r->linked[j],
                     .value = t->value,
                     .d1 = t->to[j].d1,
                     .d2 = t->to[j].d2,
                     .d2_log = t->to[j].d2_log,
                     .factor = t->factor,
                     .one_factor = t->one_factor,
                     .grad = to[1 + j],
                     .hess = to[1 + r->count + j]};
    SYMBOL(links)[r->link[j]].chain(&c, r->whole);
}

/* A write waits for its line to come (4 million squared errors, Sapphire Rapids, two threads: 1.3 ms without this,
 * 0.9 with, the time that adding two arrays takes).  The lines to read are asked for at another time: a core waits
 * for few at once. */
NLLK_INLINE void ask_for_next_tile(const run *r)
{
    for (int k = 0; k < r->outputs; k++)
        if (r->out[k].array && r->n == r->length)
            fetch_tile(r->out[k].array + r->first + r->length, r->length, 1);
}

/* The losses of the tile and their derivatives, into to[]. */
static void compute_tile(run *r, REAL *const *to)
{
    tile *t = &r->at_hand;
    const int fits = find_factors(r);
    t->target = r->input[TARGET];
    t->extra = r->input[EXTRA];
    t->value = to[0];
    for (int j = 0; j < r->count; j++) {
        if (!is_shared(r, j))
            prepare_parameter(r, j, r->whole);
        t->raw[j] = r->input[j];
        if (!has_chain(r, j))
            t->to[j] = (derivatives){to[1 + j], to[1 + r->count + j], NULL};
    }
    if (r->loss->logs & LOG_TARGET)
        compute_logs(r->input[TARGET], r->whole, r->log_target);
    if (r->loss->alone == TARGET_ALONE)
        r->loss->compute_alone(r->input[TARGET], &r->alone, r->a->want, r->whole);
    ask_for_next_tile(r);
    r->samples(t, r->whole);
    for (int j = 0; j < r->count; j++)
        if (has_chain(r, j))
            apply_chain_rule(r, j, to);
    if (!fits)
        for (int k = 1; k < r->outputs; k++)
            multiply(r->weight, r->a->scale, to[k], r->whole, to[k]);
}

/* Add an output of the tile to its sum: neither padding nor what was set apart counts. */
static void add_output(run *r, int k, REAL *x)
{
    for (ptrdiff_t i = r->n; i < r->whole; i++)
        x[i] = 0;
    for (int i = 0; i < r->set_apart_count; i++)
        x[r->set_apart[i]] = 0;
    if (k == 0 && r->a->weight)
        add_weighted(r->out[k].lanes, r->weight, x, r->whole);
    else
        add_lanes(r->out[k].lanes, x, r->whole);
}

static void run_tile(run *r)
{
    REAL *to[OUTPUTS] = {NULL};
    read_inputs(r);
    find_apart(r);
    if (r->set_apart_count == r->n)
        return;
    for (int k = 0; k < r->outputs; k++) {
        const int buffered = r->loss->value_bits || (k == 0 && r->a->weight);
        to[k] = buffered ? r->out[k].buffer : destination(r, &r->out[k]);
    }
    compute_tile(r, to);
    if (r->loss->value_bits)
        set_apart_large(r, to[0]);
    for (int k = 0; k < r->outputs; k++) {
        output *out = &r->out[k];
        if (out->summed)
            add_output(r, k, to[k]);
        if (!out->array || to[k] != out->buffer)
            continue;
        if (k == 0 && r->a->weight)
            multiply(r->weight, 1, to[k], r->n, out->array + r->first);
        else
            memcpy(out->array + r->first, to[k], r->n * sizeof(REAL));
    }
}

/* ---- the kernel ---- */

/* Whether REAL can hold a number. */
static int fits(double x) { return !(fabs(x) <= DBL_MAX) || x == 0 || (fabs(x) >= REAL_MIN && fabs(x) <= REAL_MAX); }

/* An input that is one number for all samples. */
static void read_shared(run *r, int k, REAL number)
{
    r->input[k] = r->input_buffer[k];
    r->input_buffer[k][0] = number;
    repeat_first(r->input_buffer[k], LONG_TILE);
}

static range target_range(const pointwise_loss *loss)
{
    const REAL most = real_power_of_2(loss->target_bits), least = real_power_of_2(-loss->target_bits);
    const REAL real = real_power_of_2(loss->real_bits), low = loss->zero_target_apart ? least : R(0.0);
    const int support = loss->target, is_unit = nllk_is_inside(support, 0.5) && !nllk_is_inside(support, 2);
    if (loss->direct)
        return (range){-REAL_INF, REAL_INF};
    if (nllk_is_inside(support, -1))
        return (range){-real, real};
    return (range){nllk_is_inside(support, 0) ? low : least, is_unit ? R(1.0) : most};
}

static void open_parameter(run *r, int j)
{
    const pointwise_loss *loss = r->loss;
    r->link[j] = !(loss->linked >> j & 1) ? LINK_NONE : loss->direct ? LINK_LOGIT : r->a->link[j];
    r->ordinary[j] = SYMBOL(links)[r->link[j]].range(r->link[j] == LINK_NONE ? loss->real_bits : loss->theta_bits);
    if (loss->direct && r->checks)
        r->ordinary[j] = (range){-(REAL)loss->logit_most, (REAL)loss->logit_most};
    const REAL one_rate = SYMBOL(links)[r->link[j]].one_rate;
    if (one_rate != R(0.0) && !loss->direct) {
        r->linked[j].rate[0] = one_rate;
        repeat_first(r->linked[j].rate, TILE);
    }
    if (r->a->parameter_stride[j])
        return;
    r->shared |= 1 << j;
    read_shared(r, j, *(const REAL *)r->a->parameter[j]);
    if (r->checks && outside(r->input[j][0], r->ordinary[j]))
        r->all_apart = 1;
    else
        prepare_shared(r, j);
}

/* What all tiles have in common. */
static void open_tile(run *r)
{
    const nllk_pointwise *a = r->a;
    const int general = a->weight || a->extra;
    tile *t = &r->at_hand;
    t->log_target = r->log_target;
    t->alone = &r->alone;
    t->full = a->full;
    t->one_factor = r->scale_fits ? (REAL)a->scale : R(1.0);
    t->factor = general ? r->factor : NULL;
    if (a->extra && !a->weight) {
        r->factor[0] = t->one_factor;
        repeat_first(r->factor, LONG_TILE);
    }
    for (int j = 0; j < r->count; j++) {
        t->linked[j] = &r->linked[j];
        if (has_chain(r, j))
            t->to[j] = (derivatives){r->derivative[j][0], r->derivative[j][1], r->derivative[j][2]};
    }
    r->samples = r->loss->samples[a->want][general];
}

static void open_run(run *r, const pointwise_loss *loss, const nllk_pointwise *a)
{
    r->loss = loss;
    r->a = a;
    r->count = loss->count;
    r->outputs = 1 + a->want * loss->count;
    r->list.count = 0;
    r->shared = 0;
    r->checks = !loss->direct || (loss->logit_most && (a->extra || !(fabs(a->extra_value) <= 1)));
    r->length = r->checks ? TILE : LONG_TILE;
    r->scale_fits = NLLK_BITS == 64 || fits(a->scale);
    r->all_apart = !a->extra && !fits(a->extra_value);
    r->ordinary[TARGET] = target_range(loss);
    read_shared(r, EXTRA, (REAL)a->extra_value);
    if (!a->target_stride)
        read_shared(r, TARGET, *(const REAL *)a->target);
    if (!a->weight) {
        r->weight[0] = 1;
        repeat_first(r->weight, LONG_TILE);
    }
    for (int j = 0; j < r->count; j++)
        open_parameter(r, j);
    for (int k = 0; k < r->outputs; k++) {
        const int j = (k - 1) % r->count;
        output *out = &r->out[k];
        out->array = k == 0 ? a->loss : k <= r->count ? a->grad[j] : a->hess[j];
        out->summed = k == 0 || is_shared(r, j);
        memset(out->lanes, 0, sizeof out->lanes);
    }
    open_tile(r);
}

void SYMBOL(run_pointwise)(const pointwise_loss *loss, const nllk_pointwise *a, ptrdiff_t begin, ptrdiff_t end,
                           nllk_sums *sums)
{
    run r;
    open_run(&r, loss, a);
    for (r.first = begin; r.first < end; r.first += r.length) {
        r.n = end - r.first < r.length ? end - r.first : r.length;
        r.whole = (r.n + LANES - 1) & ~(ptrdiff_t)(LANES - 1);
        run_tile(&r);
        if (r.list.count > APART_MAX - r.length)
            finish_apart(&r);
    }
    finish_apart(&r);
    for (int k = 0; k < r.outputs; k++) {
        double *sum = k == 0 ? &sums->value : k <= r.count ? &sums->grad[k - 1] : &sums->hess[k - 1 - r.count];
        *sum = r.out[k].summed ? sum_lanes(r.out[k].lanes) : 0;
    }
}
