/* Calls of the C interface that are made from bytes: any loss, any options, good ones and bad ones.
 *
 * No call reads or writes beyond its arrays (they end, or begin, where memory ends), or writes an input.  One that returns
 * an error has written nothing.  One that succeeds has written every result, with the same bits when it is made again with
 * other numbers of threads, or block by block from the last to the first.
 *
 * With libFuzzer the bytes are found by what they make the library do; with -DRANDOM_BYTES they are random, for the seconds and
 * from the seed that the program is given.  tests/support/fuzz.py builds it. */
#include "fuzz_bytes.h"
#include "tables.h"

#include <time.h>

/* ---- one call ---- */

typedef struct {
    const nllk_loss_info *info;
    int loss, is_double;
    ptrdiff_t samples, size, stride; /* stride of logits */
    nllk_options o;
    nllk_results r;
    const void *input[NLLK_MAX_PARAMETERS + 1];
    ptrdiff_t elements[NLLK_MAX_PARAMETERS + 1];
    array *in_place[NLLK_MAX_PARAMETERS]; /* inputs that their gradients overwrite */
    int first_output, asked, give_up;
} call;

static void one_after_the_other(void *context, int count, void (*work)(void *task, int k), void *task)
{
    (void)context;
    for (int k = count - 1; k >= 0; k--)
        work(task, k);
}

static int interrupted(void *context)
{
    call *c = context;
    return ++c->asked == c->give_up;
}

static void choose_options(call *c)
{
    const nllk_loss_info *info = c->info;
    nllk_options *o = &c->o;
    nllk_default_options(o);
    o->want = take(3);
    o->reduction = take(3);
    o->num_threads = take(4);
    o->check = rarely(4);
    o->drop_constants = take(2);
    o->variant = take(info->variants);
    for (int k = 0; k < info->count; k++) {
        const int link = take(NLLK_LINK_COUNT);
        o->link[k] = info->parameter[k].links >> link & 1 ? link : 0;
    }
    for (int k = 0; k < nllk_number_count; k++)
        if (info->numbers >> k & 1 && rarely(3)) {
            const double x = number();
            if (x >= nllk_numbers[k].low && x <= nllk_numbers[k].high)
                memcpy((char *)o + nllk_numbers[k].offset, &x, sizeof x);
        }
    if (info->kind == NLLK_KIND_POINTWISE)
        o->shared = take(1 << (info->count + 1));
    if (info->kind == NLLK_KIND_ROWS) {
        const int takes_index = info->targets & (NLLK_TAKES_INDEX | NLLK_TAKES_REAL);
        const int other = takes_index ? NLLK_TARGET_INT64 + take(2) : NLLK_TARGET_PROBABILITIES;
        o->target = take(2) && info->targets & NLLK_TAKES_PROBABILITIES ? NLLK_TARGET_PROBABILITIES : other;
        o->has_ignore_index = info->has_ignore_index && rarely(4);
        o->ignore_index = take(8) - 2;
        o->shared = rarely(8);
        o->row_stride = rarely(4) ? take(300) - 150 : 0;
    }
    if (info->extra)
        o->extra_value = fabs(number());
    if (o->reduction == NLLK_MEAN && rarely(4))
        o->normalizer = fabs(number());
    o->parallel = rarely(4) ? one_after_the_other : NULL;
    if (rarely(8)) {
        o->interrupted = interrupted;
        c->give_up = 1 + take(4);
    }
    o->context = c;
}

/* One or two members that say what they should not, perhaps. */
static void spoil_options(call *c)
{
    nllk_options *o = &c->o;
    int *const members[] = {&o->want,   &o->reduction, &o->link[0],     &o->link[1],          &o->link[2],
                            &o->target, &o->variant,   &o->num_threads, &o->has_ignore_index, &o->check};
    double *const numbers[] = {
        &o->normalizer, &o->label_smoothing, &o->z_loss, &o->softcap, &o->margin, &o->p, &o->extra_value,
    };
    for (int times = take(3); times > 0; times--)
        switch (take(5)) {
        case 0: *members[take(sizeof members / sizeof *members)] = integer(); break;
        case 1: {
            double *x = numbers[take(sizeof numbers / sizeof *numbers)];
            *x = number();
            break;
        }
        case 2: o->size = rarely(2) ? (size_t)take(300) : o->size; break;
        case 3: /* no more bits than there are inputs say how large these are */
            o->shared = take(2) ? integer() : o->shared;
            break;
        default: o->extra_period = -take(3);
        }
}

/* Elements of input k, as many as the options ask for. */
static ptrdiff_t input_elements(const call *c, int k)
{
    const ptrdiff_t n = c->samples > 0 ? c->samples : 0, size = c->size > 0 ? c->size : 0;
    const int is_matrix = k < c->info->count && c->info->parameter[k].is_matrix;
    const int is_shared = c->o.shared >> (k < 31 ? k : 31) & 1;
    if (c->info->kind == NLLK_KIND_POINTWISE)
        return is_shared ? 1 : n;
    if (c->info->kind == NLLK_KIND_VECTORS)
        return !is_matrix ? size * n : is_shared && size <= 1000 ? size * size : size * size * n;
    return n * size;
}

static void choose_inputs(call *c)
{
    const nllk_loss_info *info = c->info;
    const ptrdiff_t n = c->samples > 0 ? c->samples : 0, size = c->size > 0 ? c->size : 0;
    const int is_huge = size > 1000; /* there are no samples then, but there would be options */
    nllk_options *o = &c->o;
    for (int k = 0; k < info->count + info->has_target; k++) {
        c->elements[k] = input_elements(c, k);
        if (info->kind == NLLK_KIND_ROWS && k == 1 && o->target != NLLK_TARGET_PROBABILITIES &&
            (o->target != NLLK_TARGET_DEFAULT || info->targets != NLLK_TAKES_PROBABILITIES))
            c->input[k] = new_indices(n, c->size, o->target != NLLK_TARGET_INT32)->data;
        else if (info->kind == NLLK_KIND_ROWS && k == 0) {
            const ptrdiff_t step = o->shared ? 0 : o->row_stride ? o->row_stride : size, rows = n > 0 ? n - 1 : 0;
            array *a = new_numbers(n > 0 ? (step < 0 ? -step : step) * rows + size : 0, c->is_double);
            c->input[k] = a->data + (step < 0 ? -step * rows * (c->is_double ? 8 : 4) : 0);
            c->in_place[k] = step == size ? a : NULL;
        } else {
            array *a = new_numbers(c->elements[k], c->is_double);
            c->input[k] = a->data;
            if (k < info->count)
                c->in_place[k] = a;
        }
    }
    if (rarely(4))
        o->sample_weight = new_numbers(n, c->is_double)->data;
    if (!is_huge && ((info->has_class_weight && rarely(3)) || rarely(50)))
        o->class_weight = new_numbers(size, c->is_double)->data;
    if ((info->extra && take(2)) || rarely(50)) {
        o->extra_period = o->extra_period < 0 ? o->extra_period : take(100);
        o->extra = new_numbers(o->extra_period > 0 ? o->extra_period : n, c->is_double)->data;
    }
    if (info->kind == NLLK_KIND_VECTORS && o->shared == 2 && !is_huge && take(2))
        o->factor = (const double *)(const void *)new_numbers(size * size, 1)->data;
    if (rarely(30))
        c->input[take(info->count + info->has_target)] = NULL;
}

/* Places of results; one may be missing, and gradients may be where their inputs are. */
static void choose_outputs(call *c)
{
    const size_t element = c->is_double ? 8 : 4;
    nllk_empty_results(&c->r);
    c->first_output = used;
    for (int k = 0; k < c->info->count; k++) {
        if (c->in_place[k] && c->o.want >= NLLK_GRADIENT && rarely(4))
            c->r.grad[k] = c->in_place[k]->data;
        else {
            c->in_place[k] = NULL;
            c->r.grad[k] = new_array(c->elements[k], element)->data;
        }
        c->r.hess[k] = new_array(c->elements[k], element)->data;
    }
    if (take(2) || c->o.reduction == NLLK_NONE)
        c->r.loss = new_array(c->samples, element)->data;
    if (rarely(30))
        c->r.grad[take(NLLK_MAX_PARAMETERS)] = NULL;
    if (rarely(30))
        c->r.hess[take(NLLK_MAX_PARAMETERS)] = NULL;
    if (rarely(60))
        c->r.size = (size_t)take(300);
}

static void restore_inputs(void)
{
    for (int k = 0; k < used; k++)
        memcpy(arrays[k].data, arrays[k].copy, arrays[k].bytes);
}

static int run(call *c, int in_blocks)
{
    nllk_call opened;
    c->asked = 0;
    if (!in_blocks)
        return nllk_compute(c->loss, c->is_double, c->samples, c->size, c->input, &c->o, &c->r);
    const int status = nllk_open(c->loss, c->is_double, c->samples, c->size, c->input, &c->o, &c->r, &opened);
    if (status != NLLK_OK)
        return status;
    const ptrdiff_t block = nllk_block(&opened), blocks = (c->samples + block - 1) / block;
    EXPECT(nllk_run(&opened, -block, 0) == NLLK_BAD_RANGE);
    for (ptrdiff_t k = blocks - 1; k >= 0; k--)
        EXPECT(nllk_run(&opened, k * block, k + 1 < blocks ? (k + 1) * block : c->samples) == NLLK_OK);
    return nllk_close(&opened, &c->r);
}

/* Whether the call may write the array: its results, and inputs that are written in place. */
static int is_output(const call *c, int k)
{
    for (int j = 0; j < NLLK_MAX_PARAMETERS; j++)
        if (c->in_place[j] == &arrays[k])
            return 1;
    return k >= c->first_output;
}

static void expect_untouched(const call *c, int also_outputs)
{
    for (int k = 0; k < used; k++)
        EXPECT((is_output(c, k) && !also_outputs) || memcmp(arrays[k].data, arrays[k].copy, arrays[k].bytes) == 0);
}

/* Whether a place is one of a result that was asked for; what is in the others does not matter. */
static int is_result(const call *c, const char *data)
{
    for (int k = 0; k < c->info->count; k++) {
        const int alone = !(c->info->kind == NLLK_KIND_POINTWISE && c->o.shared >> k & 1) && !(k == 1 && c->o.factor);
        if ((data == c->r.grad[k] && c->o.want >= NLLK_GRADIENT && alone) ||
            (data == c->r.hess[k] && c->o.want >= NLLK_HESSIAN && alone))
            return 1;
    }
    return data == c->r.loss;
}

static void compare_runs(call *c)
{
    static char first[SLOTS][SLOT];
    nllk_results r = c->r;
    for (int k = 0; k < used; k++)
        memcpy(first[k], arrays[k].data, arrays[k].bytes);
    restore_inputs();
    fill_outputs(c->first_output, 0x5A);
    c->o.num_threads = 1 + take(3);
    EXPECT(run(c, take(2)) == NLLK_OK);
    EXPECT(memcmp(&r.value, &c->r.value, sizeof r.value) == 0);
    EXPECT(memcmp(r.grad_sum, c->r.grad_sum, sizeof r.grad_sum) == 0);
    EXPECT(memcmp(r.hess_sum, c->r.hess_sum, sizeof r.hess_sum) == 0);
    for (int k = 0; k < used; k++)
        if (is_output(c, k) && is_result(c, arrays[k].data))
            EXPECT(memcmp(first[k], arrays[k].data, arrays[k].bytes) == 0);
}

static void compute(void)
{
    call c = {.loss = rarely(200) ? integer() : take(NLLK_LOSS_COUNT), .is_double = take(2)};
    const int known = c.loss >= 0 && c.loss < NLLK_LOSS_COUNT;
    c.info = &nllk_losses[known ? c.loss : 0];
    c.samples = rarely(50) ? -take(3) : take(72);
    if (c.info->kind == NLLK_KIND_POINTWISE)
        c.samples = rarely(8) ? take(SAMPLES) : c.samples;
    else if (c.info->kind == NLLK_KIND_ROWS)
        c.size = rarely(8) ? take(700) : take(72);
    else
        c.size = take(c.samples < 20 ? 40 : 17);
    if (rarely(100))
        c.size = c.samples <= 0 ? integer() : -take(3);
    choose_options(&c);
    if (rarely(4))
        spoil_options(&c);
    choose_inputs(&c);
    choose_outputs(&c);
    fill_outputs(c.first_output, 0xA5);
    for (int k = c.first_output; k < used; k++)
        keep(&arrays[k]);

    const int status = run(&c, rarely(4));
    EXPECT(status >= 0 && status < NLLK_STATUS_COUNT && nllk_message(status)[0]);
    EXPECT(known || status == NLLK_BAD_OPTIONS);
    EXPECT(status != NLLK_BAD_INDEX || (c.r.bad >= 0 && c.r.bad < c.samples));
    EXPECT(status != NLLK_BAD_VALUE || (c.r.argument && c.r.bad >= 0));
    expect_untouched(&c, status != NLLK_OK && status != NLLK_INTERRUPTED);
    c.o.interrupted = NULL;
    if (status == NLLK_OK)
        compare_runs(&c);
}

/* ---- numbers into bins ---- */

static void encode(void)
{
    const int is_double = take(2), own_edges = take(2);
    const ptrdiff_t samples = rarely(20) ? -take(3) : take(200), bins = rarely(20) ? integer() : 1 + take(90);
    double low = number(), high = number();
    if (!own_edges && rarely(2) && low > high) {
        const double x = low;
        low = high;
        high = x;
    }
    const array *numbers = new_numbers(samples, is_double);
    double *edges = NULL;
    if (own_edges && bins >= 0 && bins < 1000) {
        array *a = new_numbers(bins + 1, 1);
        edges = (double *)(void *)a->data;
        for (ptrdiff_t k = 1; k <= bins && take(2); k++)
            edges[k] = edges[k - 1] + fabs(edges[k]);
        keep(a);
    }
    const int inputs = used;
    array *index = new_array(samples, 8);
    memset(index->data, 0xA5, index->bytes);
    keep(index);
    const void *x = rarely(30) ? NULL : numbers->data;
    int64_t *to = rarely(30) ? NULL : (int64_t *)(void *)index->data;
    const int status = is_double ? nllk_encode_f64(samples, x, bins, edges, low, high, to)
                                 : nllk_encode_f32(samples, x, bins, edges, low, high, to);
    EXPECT(status == NLLK_OK || status == NLLK_BAD_SIZE || status == NLLK_NULL_POINTER || status == NLLK_BAD_EDGES);
    for (int k = 0; k < used; k++)
        EXPECT((k >= inputs && status == NLLK_OK) || memcmp(arrays[k].data, arrays[k].copy, arrays[k].bytes) == 0);
    for (ptrdiff_t i = 0; i < samples && status == NLLK_OK; i++) {
        const double v = is_double ? ((const double *)x)[i] : (double)((const float *)x)[i];
        const int64_t k = to[i];
        EXPECT(isnan(v) ? k == -1 : k >= 0 && k < bins);
        if (edges && !isnan(v))
            EXPECT((k == 0 || edges[k] <= v) && (k == bins - 1 || v < edges[k + 1]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!memory)
        reserve();
    next = data;
    end = data + size;
    mixed = 88172645463325252u + (uint64_t)take(65536);
    used = 0;
    at_end = take(2);
    if (rarely(8))
        encode();
    else
        compute();
    return 0;
}

#ifdef RANDOM_BYTES
/* program SECONDS SEED */
int main(int count, char **words)
{
    EXPECT(count == 3);
    const time_t stop = time(NULL) + atoi(words[1]);
    uint64_t state = strtoull(words[2], NULL, 10) * 0x9E3779B97F4A7C15u + 1;
    uint8_t bytes[256];
    long runs = 0;
    for (; runs % 256 || time(NULL) < stop; runs++) {
        mixed = state;
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)(mix() >> 32);
        state = mixed;
        LLVMFuzzerTestOneInput(bytes, sizeof bytes);
    }
    printf("%ld calls\n", runs);
    return 0;
}
#endif
