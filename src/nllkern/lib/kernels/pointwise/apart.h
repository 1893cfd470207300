/* The samples of a block that are not ordinary.  The loop of the ordinary ones puts their numbers here, before
 * anything is written over them; when there are enough, they are computed apart and their results written. */
#ifndef NLLK_APART_H
#define NLLK_APART_H

#include "pointwise.h"

typedef struct {
    ptrdiff_t count, sample[APART_MAX];
    double parameter[NLLK_MAX_PARAMETERS][APART_MAX], target[APART_MAX], extra[APART_MAX], weight[APART_MAX];
    /* The loss and its derivatives by the raw parameters. */
    double loss[APART_MAX], grad[NLLK_MAX_PARAMETERS][APART_MAX], hess[NLLK_MAX_PARAMETERS][APART_MAX];
} apart;

void SYMBOL(compute_apart)(const pointwise_loss *loss, const nllk_pointwise *a, apart *list);

#endif
