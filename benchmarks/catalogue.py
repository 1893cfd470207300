"""Every loss that is measured, one entry each: its data, its keywords, its shapes and its goal.

The comparison with other libraries and the pytest-benchmark suite both run over these entries.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

FLAT = ((1 << 22,),)
FLAT_QUICK = ((1 << 16,),)
BINS = 256
MU = 255.0  # of the mu-law, as WaveNet has it

FAMILIES = {
    "classes": "Classes and probabilities",
    "regression": "Regression errors",
    "likelihoods": "Likelihoods",
    "margins": "Margins",
    "embeddings": "Embeddings",
}


@dataclass(frozen=True)
class Work:
    """One loss with the keywords and data that it is measured with.

    `functions` are exp and logarithms, by their names in `functions.inc`, without gamma functions.

    `draw(rng, shape, dtype)` makes its positional arguments, predictions first; `shapes` are those
    of the speed table, `quick` those of the smoke test.
    """

    name: str  # the loss, then what is special: "poisson_nll, log"
    family: str
    draw: Callable
    predictions: int = 1  # how many arguments, from the first, get a gradient
    keywords: dict = field(default_factory=dict)
    goal: float = 3.0  # times faster than the best peer
    functions: dict = field(default_factory=dict)  # how many a number of the first argument needs
    products: Callable = lambda *args: ()  # of matrices, a x b by b x c: (a, b, c) each
    shapes: tuple = FLAT
    quick: tuple = FLAT_QUICK
    small: tuple = (1, 10)
    small_in_table: bool = False  # whether the speed table has the small call
    shapes32: tuple = ()  # of the speed table, in float32 only
    joint: bool = False  # a sample's loss depends on the other samples of the batch

    @property
    def loss(self):
        """The name that nllkern has for it."""
        return self.name.partition(",")[0]

    def data(self, shape, dtype, seed=0):
        return self.draw(np.random.default_rng(seed), shape, dtype)

    def traffic(self, args):
        """(bytes read, bytes written) by value and gradient; class indices not counted."""
        sizes = [a.nbytes if np.ndim(a) and a.dtype.kind == "f" else 0 for a in args]
        return sum(sizes), sum(sizes[: self.predictions])

    @cached_property
    def here(self):
        """Whether the nllkern that is installed has it."""
        import nllkern

        return hasattr(nllkern, self.loss)


def normal(rng, shape, dtype):
    return rng.standard_normal(shape, dtype=dtype)


def unit(rng, shape, dtype):
    """In (0, 1]: inside the domain of every loss with one target a number."""
    return 1 - rng.random(shape, dtype=dtype)


def positive(rng, shape, dtype):
    return rng.standard_exponential(shape, dtype=dtype)


def counts(rng, shape, dtype):
    return rng.poisson(3.0, shape).astype(dtype)


def signs(rng, shape, dtype):
    return (2 * rng.integers(0, 2, shape) - 1).astype(dtype)


def bounded(rng, shape, dtype):
    """In [-1, 1), as audio samples are."""
    return 2 * rng.random(shape, dtype=dtype) - 1


def each(*kinds):
    """One array per kind, all of the same shape; a number stands for itself."""

    def draw(rng, shape, dtype):
        return tuple(kind(rng, shape, dtype) if callable(kind) else kind for kind in kinds)

    return draw


def indices(rng, shape, dtype):
    """Logits and class indices."""
    *rows, classes = shape
    return 3 * normal(rng, shape, dtype), rng.integers(0, classes, rows)


def probabilities(rng, shape, dtype):
    """Logits and a target distribution for each row."""
    target = positive(rng, shape, dtype)
    return 3 * normal(rng, shape, dtype), target / target.sum(-1, keepdims=True)


def bins(rng, shape, dtype):
    """Logits over bins and a real target."""
    return normal(rng, shape, dtype), bounded(rng, shape[:-1], dtype)


def vectors(rng, shape, dtype, batch=True):
    """Mean, Cholesky factor (a diagonal near 1, small entries below it) and target."""
    rows, d = shape
    factor = normal(rng, (rows, d, d) if batch else (d, d), dtype)
    factor *= np.tri(d, k=-1, dtype=dtype) * dtype_of(dtype, 0.5 / np.sqrt(d))
    diagonal = np.arange(d)
    factor[..., diagonal, diagonal] = 0.5 + unit(rng, factor.shape[:-1], dtype)
    return normal(rng, shape, dtype), factor, normal(rng, shape, dtype)


def vectors_of_one_factor(rng, shape, dtype):
    return vectors(rng, shape, dtype, batch=False)


def dtype_of(dtype, number):
    return np.dtype(dtype).type(number)


def mu_law_edges(count, mu=MU):
    """Edges in [-1, 1] that are evenly spaced after sign(y) log(1 + mu |y|) / log(1 + mu)."""
    even = np.linspace(-1.0, 1.0, count + 1)
    return np.sign(even) * np.expm1(np.abs(even) * np.log1p(mu)) / mu


def similarity_products(queries, keys, both=1):
    """Q K^T, S K and S^T Q; of all pairs of both sets where they are one."""
    rows, d = both * len(queries), queries.shape[1]
    return (rows, d, rows), (rows, rows, d), (rows, rows, d)


def pair_products(queries, keys):
    return similarity_products(queries, keys, 2)


def factor_products(mean, factor, target):
    """(y - mu) L^-T, that times L^-1, and the gradient by L."""
    rows, d = mean.shape
    return (rows, d, d), (rows, d, d), (d, rows, d)


SOFTPLUS = {"link": "softplus"}
SIGMOIDS = {"exp_nonpositive": 1, "log1p_unit": 1}  # also softplus
SCALE = {**SIGMOIDS, "log_normal": 1}  # softplus and its logarithm
TEMPERATURE = 0.1
TWO_ROWS = ((4096, 10), (512, 1000))

_ALL = [
    Work(
        "cross_entropy",
        "classes",
        indices,
        functions={"exp_nonpositive": 1},
        shapes=((262144, 10), (65536, 100), (8192, 1000), (1024, 32000), (256, 128256)),
        quick=TWO_ROWS,
        small_in_table=True,
    ),
    Work("binary_cross_entropy", "classes", each(normal, unit), functions=SIGMOIDS),
    Work(
        "normalized_sigmoid_nll",
        "classes",
        indices,
        functions={"exp_nonpositive": 1},
        shapes=((262144, 10), (65536, 100), (8192, 1000)),
        quick=TWO_ROWS,
    ),
    Work(
        "kl_divergence",
        "classes",
        probabilities,
        keywords={"link": "softmax"},
        functions={"exp_nonpositive": 1, "log_normal": 1},
        shapes=((262144, 10), (65536, 100), (8192, 1000)),
        quick=TWO_ROWS,
    ),
    Work(
        "binned_cross_entropy, uniform",
        "classes",
        bins,
        keywords={"edges": (-1.0, 1.0)},
        functions={"exp_nonpositive": 1},
        shapes=((65536, BINS),),
        quick=((1024, BINS),),
        small=(1, BINS),
    ),
    Work(
        "binned_cross_entropy, mu-law",
        "classes",
        bins,
        keywords={"edges": mu_law_edges(BINS)},
        functions={"exp_nonpositive": 1},
        shapes=((65536, BINS),),
        quick=((1024, BINS),),
        small=(1, BINS),
    ),
    Work("squared_error", "regression", each(normal, normal)),
    Work("absolute_error", "regression", each(normal, normal)),
    Work("huber", "regression", each(normal, normal), keywords={"delta": 1.0}),
    Work("log_cosh", "regression", each(normal, normal), functions=SIGMOIDS),
    Work("gaussian_nll", "likelihoods", each(normal, normal, unit), 2, SOFTPLUS, 8.0, SCALE),
    Work("laplace_nll", "likelihoods", each(normal, normal, normal), 2, SOFTPLUS, 8.0, SCALE),
    Work(
        "student_t_nll, df=4",
        "likelihoods",
        each(normal, normal, 4.0, normal),
        2,
        SOFTPLUS,
        8.0,
        {**SCALE, "log1p": 1},
    ),
    Work(
        "student_t_nll, df predicted",
        "likelihoods",
        each(normal, normal, normal, normal),
        3,
        {"link": "softplus", "df_link": "softplus"},
        8.0,
        {"exp_nonpositive": 2, "log1p_unit": 2, "log_normal": 1, "log1p": 1},
    ),
    Work("exponential_nll", "likelihoods", each(normal, positive), 1, SOFTPLUS, 8.0, SCALE),
    Work(
        "gamma_nll",
        "likelihoods",
        each(normal, normal, unit),
        2,
        SOFTPLUS,
        8.0,
        {"exp_nonpositive": 2, "log1p_unit": 2, "log_normal": 2},
    ),
    Work(
        "poisson_nll, log",
        "likelihoods",
        each(normal, counts),
        1,
        {"link": "log"},
        8.0,
        {"exp": 1, "log_normal": 1},
    ),
    Work(
        "poisson_nll, softplus",
        "likelihoods",
        each(normal, counts),
        1,
        SOFTPLUS,
        8.0,
        {**SIGMOIDS, "log_normal": 2},
    ),
    Work(
        "multivariate_gaussian_nll",
        "likelihoods",
        vectors,
        2,
        {"link": "identity"},
        shapes=((65536, 8), (8192, 32), (512, 256)),
        quick=((4096, 8), (64, 64)),
    ),
    Work(
        "multivariate_gaussian_nll, shared",
        "likelihoods",
        vectors_of_one_factor,
        2,
        {"link": "identity"},
        products=factor_products,
        shapes=((65536, 32),),
        quick=((2048, 32),),
    ),
    Work("hinge", "margins", each(normal, signs)),
    Work("squared_hinge", "margins", each(normal, signs)),
    Work(
        "multiclass_hinge",
        "margins",
        indices,
        shapes=((262144, 10), (8192, 1000)),
        quick=((4096, 10),),
    ),
    Work(
        "triplet_margin",
        "embeddings",
        each(normal, normal, normal),
        3,
        {"margin": 1.0, "p": 2.0},
        shapes=((65536, 128), (8192, 1024)),
        quick=((1024, 128),),
    ),
    Work(
        "info_nce",
        "embeddings",
        each(normal, normal),
        2,
        {"temperature": TEMPERATURE, "normalize": True},
        products=similarity_products,
        shapes=((2048, 128),),
        shapes32=((8192, 256),),
        quick=((256, 64),),
        joint=True,
    ),
    Work(
        "info_nce, nt_xent",
        "embeddings",
        each(normal, normal),
        2,
        {"temperature": TEMPERATURE, "normalize": True, "form": "nt_xent"},
        products=pair_products,
        shapes=((512, 64),),
        quick=((128, 64),),
        joint=True,
    ),
]
WORKS = {work.name: work for work in _ALL}


def works_of(loss):
    """Entries of a loss object; a pointwise loss without one gets the plainest."""
    own = [work for work in WORKS.values() if work.loss == loss.name]
    if own:
        return own
    count = len(loss.parameters)
    keywords = SOFTPLUS if "softplus" in loss.links else {}
    return [Work(loss.name, "likelihoods", each(*[normal] * count, unit), count, keywords)]
