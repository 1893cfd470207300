/* The one validator of calls, which every interface goes through. */
#ifndef NLLK_VALIDATE_H
#define NLLK_VALIDATE_H

#include "call.h"

/* Check what a call says against the row of its loss and make it into the arguments of the kernels (w->a).  `o` is a copy of
 * the caller's options.  Nothing is written but results->argument and results->bad. */
int nllk_validate(nllk_work *w, int loss, int is_double, ptrdiff_t samples, ptrdiff_t size, const void *const *inputs,
                  const nllk_options *given, nllk_results *results, nllk_options *o);

/* With options->check: whether every input is inside its domain. */
int nllk_check(const nllk_work *w, const nllk_options *o, const void *const *inputs, nllk_results *results);

#endif
