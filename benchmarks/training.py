"""Steps of training a linear layer, with nllkern's cross-entropy or the framework's own."""

import numpy as np

import nllkern as nk


def data(shape):
    """Features and class indices: shape is (rows, features, classes)."""
    rows, features, classes = shape
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, features), np.float32), rng.integers(0, classes, rows)


def torch_step(shape, threads, own):
    import torch

    import nllkern.torch

    torch.set_num_threads(threads)
    model = torch.nn.Linear(*shape[1:])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, y = map(torch.from_numpy, data(shape))
    loss = torch.nn.functional.cross_entropy if own else nllkern.torch.cross_entropy

    def step():
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return step


def jax_step(shape, threads, own):
    """`threads` are all that the process may run on: JAX asks nobody."""
    import jax
    import optax

    import nllkern.jax

    x, y = map(jax.numpy.asarray, data(shape))
    state = [jax.numpy.zeros(shape[1:], np.float32)]

    def own_loss(logits):
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def nll(weight):
        return own_loss(x @ weight) if own else nllkern.jax.cross_entropy(x @ weight, y)

    update = jax.jit(lambda weight: weight - 1e-3 * jax.grad(nll)(weight))

    def step():
        state[0] = jax.block_until_ready(update(state[0]))

    return step


STEPS = {"PyTorch": torch_step, "JAX": jax_step}


def step_of(framework, shape, threads, own):
    """A step; `threads` is 1 for a loss on one thread in a framework that has all."""
    nk.set_num_threads(threads)
    return STEPS[framework](shape, max(threads, 2), own)
