"""What the adapters cost, beside the direct call and the framework's own loss.

python -m benchmarks.adapters THREADS ROUNDS SECONDS prints one JSON line a case.
"""

import json
import sys

import numpy as np

import nllkern as nk

from .worker import batch_size, timings

SHAPES = ((1, 10), (32, 10), (1024, 100), (8192, 1000), (1024, 32000))


def torch_steps(logits, target, threads, ours, theirs):
    """Forward and backward, each of a leaf of its own, so that none frees another's gradient."""
    import torch

    torch.set_num_threads(threads)
    t = torch.from_numpy(target)

    def step(loss):
        z = torch.from_numpy(logits).clone().requires_grad_()

        def run():
            z.grad = None
            loss(z, t).backward()

        return run

    return {
        "adapter": step(ours),
        "framework": step(theirs),
        "direct": lambda: nk.cross_entropy.value_and_grad(logits, target),
    }


def torch_cases(logits, target, threads):
    """The calls in C++."""
    from torch.nn.functional import cross_entropy

    import nllkern.torch

    nllkern.torch.compile_extension()
    return torch_steps(logits, target, threads, nllkern.torch.cross_entropy, cross_entropy)


def torch_python_cases(logits, target, threads):
    """The calls in Python, which serve where there is no compiler."""
    from torch.nn.functional import cross_entropy

    import nllkern.torch
    from nllkern import _torch_extension as extension

    def in_python(z, t):
        attempt, extension.attempt, extension.asked = extension.attempt, None, True
        value = nllkern.torch.cross_entropy(z, t)
        extension.attempt = attempt
        return value

    return torch_steps(logits, target, threads, in_python, cross_entropy)


def torch_compile_cases(logits, target, threads):
    """Both inside torch.compile."""
    import torch

    import nllkern.torch

    nllkern.torch.compile_extension()
    torch._dynamo.reset()  # or a new shape is compiled for all shapes
    ours, theirs = (
        torch.compile(lambda z, t, loss=loss: loss(z, t), fullgraph=True)
        for loss in (nllkern.torch.cross_entropy, torch.nn.functional.cross_entropy)
    )
    return torch_steps(logits, target, threads, ours, theirs)


def jax_cases(logits, target, threads):
    """The jitted value_and_grad; JAX has as many threads as it likes."""
    import jax
    import optax

    import nllkern.jax

    z, t = jax.numpy.asarray(logits), jax.numpy.asarray(target.astype(np.int32))
    mean = optax.softmax_cross_entropy_with_integer_labels
    steps = {
        "adapter": jax.jit(jax.value_and_grad(nllkern.jax.cross_entropy)),
        "framework": jax.jit(jax.value_and_grad(lambda z, t: mean(z, t).mean())),
    }
    calls = {k: lambda f=f: jax.block_until_ready(f(z, t)) for k, f in steps.items()}
    return calls | {"direct": lambda: nk.cross_entropy.value_and_grad(logits, target)}


def boosting_cases(logits, target, threads):
    """Gradient and second derivative.  The libraries do not lend their own objectives."""
    from nllkern.boosting import Objective

    objective, labels = Objective("cross_entropy"), target.astype(np.float32)

    return {
        "adapter": lambda: objective(labels, logits),
        "direct": lambda: nk.cross_entropy.value_grad_hess(logits, target, reduction="sum"),
    }


def xgboost_cases(logits, target, threads):
    """A round of training, a stump a class, with an objective that is theirs or ours."""
    import xgboost

    from nllkern.boosting import Objective

    if logits.shape[1] > 100:
        return {}  # as many trees a round
    data = xgboost.DMatrix(logits, label=target)  # anything will do for features
    common = {"num_class": logits.shape[1], "max_depth": 1, "nthread": threads}
    common |= {"disable_default_eval_metric": 1, "base_score": 0.0}
    own, objective = {"objective": "multi:softprob", **common}, Objective("cross_entropy")
    return {
        "adapter": lambda: xgboost.train(common, data, 1, obj=objective),
        "framework": lambda: xgboost.train(own, data, 1),
        "direct": lambda: nk.cross_entropy.value_grad_hess(logits, target, reduction="sum"),
    }


ADAPTERS = {
    "nllkern.torch": torch_cases,
    "nllkern.torch without a compiler": torch_python_cases,
    "nllkern.torch in torch.compile": torch_compile_cases,
    "nllkern.jax": jax_cases,
    "nllkern.boosting": boosting_cases,
    "nllkern.boosting in xgboost.train": xgboost_cases,
}


def main(threads, rounds, seconds):
    """All adapters whose framework is installed, at every size."""
    nk.set_num_threads(threads)
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        logits = rng.normal(size=shape).astype(np.float32)
        target = rng.integers(0, shape[1], shape[0])
        for name, cases in ADAPTERS.items():
            try:
                calls = cases(logits, target, threads)
            except ImportError:
                continue
            if not calls:
                continue
            sizes = {what: batch_size(call) for what, call in calls.items()}
            times = {what: [] for what in calls}
            for _ in range(rounds):
                for what, call in calls.items():
                    times[what] += timings(call, sizes[what], seconds)
            row = {
                what: {"min": min(x), "median": float(np.median(x))} for what, x in times.items()
            }
            print(json.dumps({"adapter": name, "shape": shape, "times": row}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
