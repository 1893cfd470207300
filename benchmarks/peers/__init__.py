"""One file a library, each with `build(loss, args, out, threads) -> {formulation: call}`.

`args` are the loss's NumPy arguments; `out` says whether results may go to buffers made
beforehand.  A call takes no argument and returns `(value, gradients)`: the sum over samples and
its gradients, one array a prediction.  A library without that loss returns an empty dictionary.
`versions()` names what was measured.

Every library gets its best honest chance: several formulations where one may be faster, arrays
converted beforehand, buffers reused where its interface allows; the fastest formulation counts.
"""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    label: str
    color: str
    # Makes arrays of the inputs' size in every call: measured a second time with a malloc that
    # keeps freed memory, since glibc's default pays for page faults on every large array.
    allocates: bool = True


OURS = "nllkern"
COPY, BARE = LIMITS = "copy_bytes", "bare_functions"  # no loss: what the machine allows
PEERS = {  # in the order of tables and plots
    OURS: Peer("nllkern", "#c1121f", allocates=False),
    "torch_eager": Peer("PyTorch eager", "#ee964b"),
    "torch_compile": Peer("torch.compile", "#b5651d"),
    "jax_optax": Peer("JAX jit + optax", "#2a9d8f"),
    "sklearn_loss": Peer("scikit-learn _loss", "#457b9d", allocates=False),
    "numpy_scipy": Peer("NumPy/SciPy", "#8d99ae"),
    COPY: Peer("copy of the same bytes", "#222222", allocates=False),
    BARE: Peer("bare functions and products", "#222222", allocates=False),
}


def load(name):
    """The peer's module; ImportError when its library is not installed."""
    return importlib.import_module(f"{__name__}.{name}")
