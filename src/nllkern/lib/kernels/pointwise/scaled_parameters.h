/* Parameters in scaled numbers: what a link makes of the raw numbers of samples that are set apart. */
#ifndef NLLK_SCALED_PARAMETERS_H
#define NLLK_SCALED_PARAMETERS_H

#include "scaled.h"

/* Samples that are set apart at a time: a long tile, two others. */
#define APART_MAX PICK(256, 128)

typedef struct {
    double raw;
    scaled value, rate, curve;
    double log;
    int in_log; /* the chain rule is rate^2 (d2_log + curve d1), not rate^2 (d2 + curve d1) */
} scaled_parameter;

typedef struct {
    ALIGNED double m[APART_MAX], e[APART_MAX];
} scaled_array;

/* The same of many. */
typedef struct {
    scaled_array value, rate, curve;
    ALIGNED double log[APART_MAX], in_log[APART_MAX];
} scaled_parameters;

#if NLLK_BITS == 64
NLLK_INLINE scaled read_scaled(const scaled_array *from, ptrdiff_t i) { return (scaled){from->m[i], from->e[i]}; }

NLLK_INLINE void write_scaled(scaled_array *to, ptrdiff_t i, scaled x)
{
    to->m[i] = x.m;
    to->e[i] = x.e;
}

NLLK_INLINE scaled_parameter read_scaled_parameter(const scaled_parameters *from, double raw, ptrdiff_t i)
{
    return (scaled_parameter){.raw = raw,
                              .value = read_scaled(&from->value, i),
                              .rate = read_scaled(&from->rate, i),
                              .curve = read_scaled(&from->curve, i),
                              .log = from->log[i],
                              .in_log = from->in_log[i] != 0};
}

NLLK_INLINE void write_scaled_parameter(scaled_parameters *to, ptrdiff_t i, scaled_parameter p)
{
    write_scaled(&to->value, i, p.value);
    write_scaled(&to->rate, i, p.rate);
    write_scaled(&to->curve, i, p.curve);
    to->log[i] = p.log;
    to->in_log[i] = p.in_log ? 1.0 : 0.0;
}

/* dL/du and d2L/du2 (links.h). */
NLLK_INLINE double scaled_first(const scaled_parameter *p, scaled d1)
{
    return scaled_to_double(scaled_mul(d1, p->rate));
}

NLLK_INLINE double scaled_second(const scaled_parameter *p, scaled d1, scaled d2, scaled d2_log)
{
    const scaled bend = scaled_select(p->in_log, d2_log, d2), sum = scaled_add(bend, scaled_mul(d1, p->curve));
    const scaled second = scaled_select(p->curve.m != 0, sum, bend); /* d1 may be infinite */
    return scaled_to_double(scaled_mul(scaled_mul(second, p->rate), p->rate));
}
#endif

#endif
