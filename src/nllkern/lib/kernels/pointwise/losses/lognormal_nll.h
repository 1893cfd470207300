/* Log-normal negative log-likelihood of y > 0: the Gaussian one of log(y), mean mu, standard deviation sigma, and
 * log(y) from the density of y itself.  z = (log(y) - mu) / sigma:
 *
 *   L = log(sigma) + z^2 / 2 + log(y) + log(2 pi) / 2 */
#include "pointwise/losses/gaussian_nll.h"

#define LOGS (1 << 1 | LOG_TARGET)

NLLK_INLINE void lognormal_nll(const sample *s, result *to)
{
    sample of_log = *s;
    of_log.target = s->log_target;
    gaussian_nll(&of_log, to);
    to->value += s->full ? s->log_target : R(0.0);
}

#if NLLK_BITS == 64
NLLK_INLINE void lognormal_nll_scaled(const scaled_sample *s, int want, scaled_result *to)
{
    scaled_sample of_log = *s;
    of_log.target = log_(s->target);
    gaussian_nll_scaled(&of_log, want, to);
    to->value += s->full ? of_log.target : 0;
}
#endif
