/* Rows with any target and option: probabilities, smoothing, a score (score.h), second derivatives, and the divergence from
 * the target (divergence.h) in place of the cross-entropy.
 *
 *   tau_k  = class_weight_k ((1 - smoothing) t_k + smoothing / K),   mass = sum_k tau_k,   pull = 2 z_loss lse
 *   dL/ds_k   = (e_k (mass - tau_k + pull) - tau_k q_k) / total,     q_k = (1 - e_k) + rest = total - e_k
 *   d2L/ds_k2 = ((mass + pull) e_k q_k / total + 2 z_loss e_k^2 / total) / total
 *   dL/dz_k   = s'_k dL/ds_k
 *   d2L/dz_k2 = s'_k^2 d2L/ds_k2 + s''_k dL/ds_k
 *
 * A class whose logit is -inf is masked: probability and derivatives are 0 there, also under softcap.
 *
 * Logits and targets are copied to a stage in L1, LANES numbers a step, and each formula is a pass over the stage.  A step
 * holds one class of LANES rows (general_narrow.h) or LANES classes of one row (general_wide.h); the passes are the same,
 * as everything that belongs to a row is given once per lane.
 *
 * Class weights and z_loss may be so large or small that sums of tau over- or underflow: all of them are then multiplied by
 * `unit`, a power of two, which the weight of the row takes back in double. */
#ifndef NLLK_GENERAL_H
#define NLLK_GENERAL_H

#include "divergence.h"
#include "block.h"
#include "score.h"

/* What the options make of a call's targets. */
typedef struct {
    const REAL *class_weight; /* or NULL for 1 */
    REAL keep, spread, softcap, unit, z_loss;
    int score, divergence;
} row_options;

/* 1, or a power of two that brings the largest class weight, or z_loss, near 1. */
static double tau_unit(const nllk_rowwise *a)
{
    const REAL *class_weight = a->class_weight;
    const double far = C(0x1p60, 0x1p500);
    BITS most = 0; /* positive numbers are ordered as their bits, whose maximum clang vectorises too */
    ptrdiff_t count = class_weight ? a->classes : 0;
#pragma omp simd reduction(max : most)
    for (ptrdiff_t k = 0; k < count; k++) {
        BITS bits = class_weight[k] <= REAL_MAX ? bits_of(class_weight[k]) : 0;
        most = bits > most ? bits : most;
    }
    double largest = class_weight ? real_of(most) : 1;
    largest = a->z_loss > largest ? a->z_loss : largest;
    if (largest == 0 || (largest < far && largest > 1 / far))
        return 1;
    const int limit = PICK(126, 1022);
    int exponent;
    (void)__builtin_frexp(largest, &exponent);
    return __builtin_ldexp(1, -(exponent > limit ? limit : exponent < -limit ? -limit : exponent));
}

static row_options options_of(const nllk_rowwise *a, int score, int divergence)
{
    double unit = tau_unit(a);
    REAL softcap = a->softcap > REAL_MAX ? REAL_MAX : (REAL)a->softcap;
    return (row_options){.class_weight = a->class_weight,
                         .keep = (REAL)(1 - a->smoothing),
                         .spread = (REAL)(a->smoothing / (double)a->classes),
                         .softcap = softcap < REAL_TINY ? REAL_TINY : softcap,
                         .unit = (REAL)unit,
                         .z_loss = (REAL)(a->z_loss * unit),
                         .score = score,
                         .divergence = divergence};
}

/* Whether tau is the target itself. */
NLLK_INLINE int target_is_tau(const row_options *o)
{
    return !o->class_weight && o->unit == 1 && o->keep == 1 && o->spread == 0;
}

/* A class without a share of the target costs nothing, whatever its weight. */
NLLK_INLINE REAL tau_of(const row_options *o, REAL t, REAL class_weight)
{
    REAL part = mul_add(o->keep, t, o->spread);
    return part == 0 ? 0 : class_weight * part;
}

/* ---- the stage ---- */

#define PIECE 2048              /* numbers in an array of the stage */
#define PIECE_SIZE (PIECE + 80) /* the arrays must not begin at one place of a page: loads would wait for stores */

/* z: logits, or scores less that of the row's largest logit; tau; share: exp(s_k - top), lifted; slope, bend: both
 * derivatives of the score.  At last z becomes the gradient and tau the second derivatives. */
typedef struct {
    ALIGNED REAL z[PIECE_SIZE], tau[PIECE_SIZE], share[PIECE_SIZE], slope[PIECE_SIZE], bend[PIECE_SIZE];
} row_stage;

/* Sums over the classes of up to WIDE_ROWS rows, LANES partial sums each; `low` as in wide_add. */
typedef struct {
    ALIGNED double high[WIDE_ROWS * LANES], low[WIDE_ROWS * LANES];
} lane_sums;

typedef struct {
    lane_sums rest, gap;
    lane_sums peak, mass; /* of tau: of the first class with the largest score in a lane, and of all others */
    double ties[WIDE_ROWS * LANES];
} row_sums;

NLLK_INLINE void clear_lanes(lane_sums *s, int rows)
{
    memset(s->high, 0, rows * LANES * sizeof *s->high);
    memset(s->low, 0, (NLLK_BITS == 64 ? rows * LANES : LANES) * sizeof *s->low); /* float leaves it at 0 */
}

static void clear_sums(row_sums *s, int rows)
{
    clear_lanes(&s->rest, rows);
    clear_lanes(&s->gap, rows);
    clear_lanes(&s->peak, rows);
    clear_lanes(&s->mass, rows);
    memset(s->ties, 0, rows * LANES * sizeof *s->ties);
}

/* What the derivatives of a row need, for each lane. */
typedef struct {
    ALIGNED REAL rest[LANES], peak[LANES], others[LANES], pull[LANES], inverse[LANES], over[LANES], unit[LANES];
} lane_terms;

/* ---- scores and shares ---- */

NLLK_NOINLINE void share_plain(row_stage *s, ptrdiff_t at, ptrdiff_t steps, const row_views *v)
{
    REAL *z = s->z + at, *share = s->share + at;
    for (ptrdiff_t i = 0; i < steps * LANES; i += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            share[i + j] = exp_lifted_(z[i + j] - v->top[j]);
    }
}

#define DEFINE_SCORE_PASS(NAME, SCORE)                                                                                 \
    NLLK_NOINLINE void NAME(row_stage *s, ptrdiff_t at, ptrdiff_t steps, const row_views *v, REAL softcap)             \
    {                                                                                                                  \
        for (ptrdiff_t i = at; i < at + steps * LANES; i += LANES) {                                                   \
            _Pragma("omp simd") for (int j = 0; j < LANES; j++)                                                        \
            {                                                                                                          \
                class_score c = score_of(SCORE, s->z[i + j], view_at(v, j), softcap);                                  \
                s->z[i + j] = s->z[i + j] == -REAL_INF ? -REAL_INF : c.fall;                                           \
                s->share[i + j] = c.share;                                                                             \
                s->slope[i + j] = c.slope;                                                                             \
                s->bend[i + j] = c.bend;                                                                               \
            }                                                                                                          \
        }                                                                                                              \
    }
DEFINE_SCORE_PASS(score_softcap, SOFTCAP)
DEFINE_SCORE_PASS(score_log_sigmoid, LOG_SIGMOID)

/* Log-probabilities: z becomes log p - log t, so that the loss is a cross-entropy without a softmax. */
NLLK_NOINLINE void score_log_probability(row_stage *s, ptrdiff_t at, ptrdiff_t steps)
{
    for (ptrdiff_t i = at; i < at + steps * LANES; i += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++) {
            REAL t = s->tau[i + j], l = s->z[i + j], d = log_quotient(t, l);
            s->z[i + j] = l == -REAL_INF ? l : -d;
            s->share[i + j] =
                ((t == t) & (l < REAL_INF)) ? R(0.0) : REAL_NAN; /* NaN spreads from the sum of the shares */
        }
    }
}

static void score_steps(const row_options *o, row_stage *s, ptrdiff_t at, ptrdiff_t steps, const row_views *v)
{
    if (o->score == PLAIN)
        share_plain(s, at, steps, v);
    else if (o->score == SOFTCAP)
        score_softcap(s, at, steps, v, o->softcap);
    else if (o->score == LOG_SIGMOID)
        score_log_sigmoid(s, at, steps, v, 0);
    else
        score_log_probability(s, at, steps);
}

/* ---- sums ---- */

/* Add `steps` steps to the sums of row `row`.  Meanwhile what lies at `write` is fetched.
 *
 * The mass is summed in double, and that of the largest class apart: in the gradient of a class that has nearly all of it, and
 * in a divergence, all but its last digits may cancel. */
NLLK_NOINLINE void sum_steps(const row_stage *s, ptrdiff_t at, ptrdiff_t steps, const REAL *top, row_sums *to, int row,
                             const REAL *write)
{
    double high[LANES], low[LANES];
    REAL ties[LANES];
    for (int j = 0; j < LANES; j++) {
        high[j] = to->mass.high[row * LANES + j];
        low[j] = NLLK_BITS == 64 ? to->mass.low[row * LANES + j] : 0;
        ties[j] = (REAL)to->ties[row * LANES + j];
    }
    for (ptrdiff_t k = 0; k < steps * LANES; k += CHUNK) {
        ptrdiff_t stop = steps * LANES - k < CHUNK ? steps * LANES : k + CHUNK;
        REAL rest[LANES] = {0}, gap[LANES] = {0}, peak[LANES] = {0};
        for (ptrdiff_t i = k; i < stop; i += LANES) {
            REAL others[LANES];
            PREFETCH(write + i, 1);
#pragma omp simd
            for (int j = 0; j < LANES; j++) {
                REAL share = s->share[at + i + j], tau = s->tau[at + i + j], fall = s->z[at + i + j] - top[j];
                const int is_first = (share == ROW_LIFT_2) & (ties[j] == 0);
                peak[j] += is_first ? tau : 0;
                others[j] = is_first ? 0 : tau;
                /* The 1 of the largest is counted, not added. */
                rest[j] += share == ROW_LIFT_2 ? 0 : share;
                ties[j] += share == ROW_LIFT_2 ? 1 : 0;
                gap[j] += tau == 0 ? 0 : tau * -fall;
            }
            wide_add(high, low, others, LANES);
        }
        wide_add(to->peak.high + row * LANES, to->peak.low + row * LANES, peak, LANES);
        wide_add(to->rest.high + row * LANES, to->rest.low + row * LANES, rest, LANES);
        wide_add(to->gap.high + row * LANES, to->gap.low + row * LANES, gap, LANES);
    }
    for (int j = 0; j < LANES; j++) {
        to->mass.high[row * LANES + j] = high[j];
        if (NLLK_BITS == 64)
            to->mass.low[row * LANES + j] = low[j];
        to->ties[row * LANES + j] = ties[j];
    }
}

/* The terms of a divergence from a softmax. */
NLLK_NOINLINE void sum_divergence(const row_stage *s, ptrdiff_t at, ptrdiff_t steps, const REAL *top,
                                  const lane_terms *terms, lane_sums *to, int row)
{
    for (ptrdiff_t k = 0; k < steps * LANES; k += CHUNK) {
        ptrdiff_t stop = steps * LANES - k < CHUNK ? steps * LANES : k + CHUNK;
        REAL part[LANES] = {0};
        for (ptrdiff_t i = at + k; i < at + stop; i += LANES) {
#pragma omp simd
            for (int j = 0; j < LANES; j++)
                part[j] += softmax_term(s->tau[i + j], s->z[i + j] - top[j], ROW_UNLIFT_2 * s->share[i + j],
                                        terms->over[j], terms->unit[j]);
        }
        wide_add(to->high + row * LANES, to->low + row * LANES, part, LANES);
    }
}

/* ---- derivatives ---- */

NLLK_INLINE void derive_steps_as(int hess, row_stage *s, ptrdiff_t at, ptrdiff_t steps, const lane_terms *row,
                                 REAL z_loss, const REAL *read, const REAL *read_too)
{
    for (ptrdiff_t i = 0; i < steps * LANES; i += LANES) {
        PREFETCH(read + i, 0);
        PREFETCH(read_too + i, 0);
#pragma omp simd
        for (int j = 0; j < LANES; j++) {
            REAL z = s->z[at + i + j], tau = s->tau[at + i + j], e = ROW_UNLIFT_2 * s->share[at + i + j];
            REAL q = (1 - e) + row->rest[j], others = row->others[j] + row->pull[j], inverse = row->inverse[j];
            REAL d1 = (e * ((row->peak[j] - tau) + others) - tau * q) * inverse;
            const REAL masked = 0 * row->over[j]; /* NaN if the row is */
            s->z[at + i + j] = z == -REAL_INF ? masked : d1;
            if (hess) {
                REAL d2 =
                    e * ((row->peak[j] + others) * (q * row->over[j]) + 2 * z_loss * (e * row->over[j])) * inverse;
                s->tau[at + i + j] = z == -REAL_INF ? masked : d2;
            }
        }
    }
}

NLLK_NOINLINE void derive_grad(row_stage *s, ptrdiff_t at, ptrdiff_t steps, const lane_terms *row, REAL z_loss,
                               const REAL *read, const REAL *read_too)
{
    derive_steps_as(0, s, at, steps, row, z_loss, read, read_too);
}

NLLK_NOINLINE void derive_with_hess(row_stage *s, ptrdiff_t at, ptrdiff_t steps, const lane_terms *row, REAL z_loss,
                                    const REAL *read, const REAL *read_too)
{
    derive_steps_as(1, s, at, steps, row, z_loss, read, read_too);
}

/* The same of log-probabilities, whose scores are not needed. */
NLLK_NOINLINE void derive_log_probability(int hess, row_stage *s, ptrdiff_t at, ptrdiff_t steps, const lane_terms *row)
{
    for (ptrdiff_t i = at; i < at + steps * LANES; i += LANES) {
#pragma omp simd
        for (int j = 0; j < LANES; j++)
            s->z[i + j] = s->z[i + j] == -REAL_INF ? 0 * row->over[j] : -s->tau[i + j] * row->inverse[j];
        for (int j = 0; hess && j < LANES; j++)
            s->tau[i + j] = 0 * s->z[i + j];
    }
}

/* From derivatives by the score to those by the logit. */
NLLK_NOINLINE void chain_steps(int hess, row_stage *s, ptrdiff_t at, ptrdiff_t steps)
{
    for (ptrdiff_t i = at; hess && i < at + steps * LANES; i++)
        s->tau[i] = s->tau[i] * s->slope[i] * s->slope[i] + s->z[i] * s->bend[i];
    for (ptrdiff_t i = at; i < at + steps * LANES; i++)
        s->z[i] *= s->slope[i];
}

/* z becomes the gradient, and tau, if `hess`, the second derivatives.  Meanwhile what lies at `read` and `read_too` is
 * fetched. */
static void derive_steps(const row_options *o, int hess, row_stage *s, ptrdiff_t at, ptrdiff_t steps,
                         const lane_terms *row, const REAL *read, const REAL *read_too)
{
    if (o->score == LOG_PROBABILITY)
        derive_log_probability(hess, s, at, steps, row);
    else if (hess)
        derive_with_hess(s, at, steps, row, o->z_loss, read, read_too);
    else
        derive_grad(s, at, steps, row, o->z_loss, read, read_too);
    if (o->score == SOFTCAP || o->score == LOG_SIGMOID)
        chain_steps(hess, s, at, steps);
}

/* What belongs to the lanes when row r, or from r on one row each, stands in them. */
NLLK_INLINE void fill_terms(const row_block *b, ptrdiff_t r, ptrdiff_t step, lane_terms *t)
{
#pragma omp simd
    for (int j = 0; j < LANES; j++) {
        t->rest[j] = b->rest[r + j * step];
        t->peak[j] = (REAL)b->peak[r + j * step];
        t->others[j] = (REAL)((b->peak[r + j * step] - (double)t->peak[j]) + b->others[r + j * step]);
        t->pull[j] = (REAL)b->pull[r + j * step];
        t->inverse[j] = (REAL)b->inverse[r + j * step];
        t->over[j] = b->over[r + j * step];
        t->unit[j] = b->unit[r + j * step];
    }
}

/* ---- rows ---- */

/* The sum of the shares without one of the largest; there is no softmax of log-probabilities, whose rest is 0 or NaN. */
NLLK_INLINE REAL rest_of(const row_options *o, double ties, double sum)
{
    return (REAL)((o->score == LOG_PROBABILITY ? 0 : ties - 1) + sum * ROW_UNLIFT_2);
}

/* What the sums of row r, which stand in lane `lane`, say of it; its excess is the mass less that of p (divergence.h). */
NLLK_INLINE void read_sums(const row_options *o, const row_sums *s, int lane, row_block *b, int r, double *excess)
{
    const two_sum mass = two_sum_(s->peak.high[lane], s->mass.high[lane]);
    const double low = mass.lost + (s->peak.low[lane] + s->mass.low[lane]);
    b->rest[r] = rest_of(o, s->ties[lane], s->rest.high[lane] + s->rest.low[lane]);
    b->gap[r] = s->gap.high[lane] + s->gap.low[lane];
    b->peak[r] = s->peak.high[lane];
    b->others[r] = s->mass.high[lane] + (s->mass.low[lane] + s->peak.low[lane]);
    b->mass[r] = mass.sum + low;
    b->unit[r] = divergence_unit((REAL)b->mass[r]);
    excess[r] = (mass.sum - b->unit[r]) + low;
}

NLLK_NOINLINE double finish_general_rows(const nllk_rowwise *a, row_block *b, ptrdiff_t count, double unit)
{
    return finish_rows(a, b, LANES, count, unit);
}

/* The losses of a divergence from the sums of its terms and those of the targets less 1. */
NLLK_INLINE double weigh_divergences(row_block *b, ptrdiff_t count, const lane_sums *terms, const double *excess)
{
    double value[LANES];
    for (int r = 0; r < LANES; r++)
        value[r] = (terms->high[r] + terms->low[r]) + excess[r];
    return weigh_losses(b, LANES, count, value);
}

#endif
