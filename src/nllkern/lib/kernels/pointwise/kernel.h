/* The loops and the kernel of one pointwise loss.  Included once by a file that has included the loss's formula and
 * defines
 *
 *   LOSS     its name
 *   COUNT    how many parameters it has
 *   LINKED   the bit set of those that have a link
 *   DIRECT   1 if none has a link other than logit
 *   TARGET   the support of its target
 *   LIMIT_AT_ZERO  the bit set of the parameters that may be 0
 *
 * The header of the formula may define
 *
 *   LOGS               the bit set of the logarithms that it reads (default: of all linked parameters)
 *   ALONE              the parameter of NAME_alone(theta), or TARGET_ALONE
 *   HAS_SCALED         that there is NAME_scaled
 *   ZERO_TARGET_APART  1 if a target of 0 is not ordinary (default: if LOGS has LOG_TARGET)
 *   THETA_BITS, REAL_BITS, TARGET_BITS   narrower ranges of ordinary numbers (formula.h)
 *   LOGIT_MOST         of a loss with an extra input: logits beyond it are not ordinary where that is given
 *   VALUE_BITS         of a formula that may overflow: a loss beyond 2^VALUE_BITS is not ordinary either */
#include "pointwise.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define FORMULA LOSS
#ifndef LOGS
#define LOGS LINKED
#endif
#ifndef ZERO_TARGET_APART
#define ZERO_TARGET_APART ((LOGS & LOG_TARGET) != 0)
#endif
#ifndef THETA_BITS
#define THETA_BITS ORDINARY_THETA_BITS
#endif
#ifndef REAL_BITS
#define REAL_BITS ORDINARY_REAL_BITS
#endif
#ifndef LOGIT_MOST
#define LOGIT_MOST 0
#endif
#ifndef VALUE_BITS
#define VALUE_BITS 0
#endif
#ifndef TARGET_BITS
#define TARGET_BITS ORDINARY_TARGET_BITS
#endif

/* Parameters are written out, not looped over: what does not apply is gone before the compiler looks for vectors. */
_Static_assert(NLLK_MAX_PARAMETERS == 3, "parameters are written out");

NLLK_INLINE parameter read_parameter(int j, const tile *t, ptrdiff_t i)
{
    if (j >= COUNT)
        return (parameter){.raw = 0};
    parameter p = {.raw = t->raw[j][i]};
    if (LINKED >> j & 1)
        p.e = t->linked[j]->e[i];
    if (LINKED >> j & 1 && !DIRECT) { /* all that logit prepares is e */
        p.value = t->linked[j]->value[i];
        p.inverse = t->linked[j]->inverse[i];
        p.log = LOGS >> j & 1 ? t->linked[j]->log[i] : REAL_NAN;
    }
    return p;
}

/* Derivatives: for the chain rule of second derivatives, or, where there is none, the results. */
NLLK_INLINE void write_derivatives(int j, int want, int general, const tile *t, const result *r, ptrdiff_t i)
{
    if (j >= COUNT || want < WANT_GRAD)
        return;
    const int is_linked = LINKED >> j & 1, is_result = DIRECT || !is_linked || want == WANT_GRAD;
    REAL d1 = r->d1[j], d2 = is_linked && DIRECT ? r->d2_log[j] : r->d2[j];
    if (is_linked && !DIRECT && is_result)
        d1 *= t->linked[j]->rate[i];
    if (is_result) {
        const REAL factor = general ? t->factor[i] : t->one_factor;
        d2 = r->value == r->value ? d2 : REAL_NAN;
        d1 = general && factor == R(0.0) ? R(0.0) : factor * d1;
        d2 = general && factor == R(0.0) ? R(0.0) : factor * d2;
    }
    t->to[j].d1[i] = d1;
    if (want < WANT_HESS)
        return;
    t->to[j].d2[i] = d2;
    if (!is_result)
        t->to[j].d2_log[i] = r->d2_log[j];
}

NLLK_INLINE void run_sample(int want, int general, const tile *t, ptrdiff_t i)
{
    sample s = {.p = {read_parameter(0, t, i), read_parameter(1, t, i), read_parameter(2, t, i)},
                .target = t->target[i],
                .log_target = LOGS & LOG_TARGET ? t->log_target[i] : REAL_NAN,
                .extra = general ? t->extra[i] : t->extra[0],
                .full = t->full};
#ifdef ALONE
    s.alone = (alone_terms){t->alone->value[i], t->alone->d1[i], t->alone->d2[i], t->alone->d2_log[i]};
#endif
    result r;
    FORMULA(&s, &r);
    t->value[i] = r.value;
    write_derivatives(0, want, general, t, &r, i);
    write_derivatives(1, want, general, t, &r, i);
    write_derivatives(2, want, general, t, &r, i);
}

/* Outputs may be the inputs themselves: sample i is read before it is written, which is all that `simd` asks for. */
NLLK_INLINE void run_samples(int want, int general, const tile *t, ptrdiff_t n)
{
    const tile local = *t;
    n &= ~(ptrdiff_t)(LANES - 1); /* tells the compiler that there is no remainder */
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        run_sample(want, general, &local, i);
}

static void value_plain(const tile *t, ptrdiff_t n) { run_samples(WANT_VALUE, 0, t, n); }
static void grad_plain(const tile *t, ptrdiff_t n) { run_samples(WANT_GRAD, 0, t, n); }
static void hess_plain(const tile *t, ptrdiff_t n) { run_samples(WANT_HESS, 0, t, n); }
static void value_general(const tile *t, ptrdiff_t n) { run_samples(WANT_VALUE, 1, t, n); }
static void grad_general(const tile *t, ptrdiff_t n) { run_samples(WANT_GRAD, 1, t, n); }
static void hess_general(const tile *t, ptrdiff_t n) { run_samples(WANT_HESS, 1, t, n); }

#ifdef ALONE
NLLK_INLINE void alone_sample(int want, const REAL *x, alone_arrays *to, ptrdiff_t i)
{
    const alone_terms terms = PASTE(LOSS, _alone)(x[i]);
    to->value[i] = terms.value;
    if (want >= WANT_GRAD)
        to->d1[i] = terms.d1;
    if (want < WANT_HESS)
        return;
    to->d2[i] = terms.d2;
    to->d2_log[i] = terms.d2_log;
}

NLLK_INLINE void alone_samples(int want, const REAL *x, alone_arrays *to, ptrdiff_t n)
{
    n &= ~(ptrdiff_t)(LANES - 1);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        alone_sample(want, x, to, i);
}

static void compute_alone(const REAL *x, alone_arrays *to, int want, ptrdiff_t n)
{
    switch (ALONE == TARGET_ALONE ? WANT_VALUE : want) {
    case WANT_VALUE: alone_samples(WANT_VALUE, x, to, n); break;
    case WANT_GRAD: alone_samples(WANT_GRAD, x, to, n); break;
    default: alone_samples(WANT_HESS, x, to, n);
    }
}
#endif

#if NLLK_BITS == 64 && defined(HAS_SCALED)
NLLK_INLINE scaled_parameter read_apart(int j, const scaled_samples *x, ptrdiff_t i)
{
    if (j >= COUNT)
        return (scaled_parameter){.raw = 0};
    return LINKED >> j & 1 ? read_scaled_parameter(&x->p[j], x->raw[j][i], i) : (scaled_parameter){.raw = x->raw[j][i]};
}

NLLK_INLINE void write_apart(int j, int want, const scaled_samples *x, const scaled_parameter *p,
                             const scaled_result *r, ptrdiff_t i)
{
    if (j >= COUNT || want < WANT_GRAD)
        return;
    const int is_linked = LINKED >> j & 1;
    x->grad[j][i] = is_linked ? scaled_first(p, r->d1[j]) : scaled_to_double(r->d1[j]);
    if (want >= WANT_HESS)
        x->hess[j][i] = is_linked ? scaled_second(p, r->d1[j], r->d2[j], r->d2_log[j]) : scaled_to_double(r->d2[j]);
}

NLLK_INLINE void run_scaled_sample(int want, const scaled_samples *x, ptrdiff_t i)
{
    const scaled_sample s = {.p = {read_apart(0, x, i), read_apart(1, x, i), read_apart(2, x, i)},
                             .target = x->target[i],
                             .extra = x->extra[i],
                             .full = x->full};
    scaled_result r;
    PASTE(LOSS, _scaled)(&s, want, &r);
    x->value[i] = r.value;
    write_apart(0, want, x, &s.p[0], &r, i);
    write_apart(1, want, x, &s.p[1], &r, i);
    write_apart(2, want, x, &s.p[2], &r, i);
}

NLLK_INLINE void run_scaled(int want, const scaled_samples *x, ptrdiff_t n)
{
    const scaled_samples local = *x;
    n &= ~(ptrdiff_t)(LANES - 1);
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++)
        run_scaled_sample(want, &local, i);
}

static void value_scaled(const scaled_samples *x, ptrdiff_t n) { run_scaled(WANT_VALUE, x, n); }
static void grad_scaled(const scaled_samples *x, ptrdiff_t n) { run_scaled(WANT_GRAD, x, n); }
static void hess_scaled(const scaled_samples *x, ptrdiff_t n) { run_scaled(WANT_HESS, x, n); }
#endif

#if NLLK_BITS == 32
#define IN_DOUBLE(NAME) CONCAT(NAME, f, 64, NLLK_LEVEL)
void IN_DOUBLE(LOSS)(const void *arguments, ptrdiff_t begin, ptrdiff_t end, void *scratch, nllk_sums *sums);
#endif

static const pointwise_loss loss_row = {
    .count = COUNT,
    .linked = LINKED,
    .logs = LOGS,
#ifdef ALONE
    .alone = ALONE,
    .compute_alone = compute_alone,
#else
    .alone = -1,
#endif
    .zero = LIMIT_AT_ZERO,
    .direct = DIRECT,
    .target = TARGET,
    .zero_target_apart = ZERO_TARGET_APART,
    .theta_bits = THETA_BITS,
    .real_bits = REAL_BITS,
    .target_bits = TARGET_BITS,
    .logit_most = LOGIT_MOST,
    .value_bits = VALUE_BITS,
    .samples = {{value_plain, value_general}, {grad_plain, grad_general}, {hess_plain, hess_general}},
#if NLLK_BITS == 32
    .in_double = IN_DOUBLE(LOSS),
#elif defined(HAS_SCALED)
    .in_scaled = {value_scaled, grad_scaled, hess_scaled},
#endif
};

KERNEL(LOSS)
{
    (void)scratch;
    SYMBOL(run_pointwise)(&loss_row, arguments, begin, end, sums);
}
