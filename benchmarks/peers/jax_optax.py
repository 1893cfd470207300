"""JAX: jit of value_and_grad, losses from optax and jax.scipy.stats."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .formulas_jax import FORMULAS

jax.config.update("jax_enable_x64", True)


def versions():
    flags = os.environ.get("XLA_FLAGS")
    version = f"{jax.__version__} ({flags})" if flags else jax.__version__
    return {"jax": version, "optax": optax.__version__}


@functools.cache
def compiled(formula, predictions):
    return jax.jit(jax.value_and_grad(formula, argnums=tuple(range(predictions))))


def build(work, args, out, threads):
    # A number stays one: as an array it would be float64 and widen what it meets.
    arrays = [jnp.asarray(a) if isinstance(a, np.ndarray) else a for a in args]

    def call(both):
        return lambda: jax.block_until_ready(both(*arrays))

    return {f.__name__: call(compiled(f, work.predictions)) for f in FORMULAS.get(work.name, [])}
