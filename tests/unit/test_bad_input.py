"""Bad input: what is raised, what the message says, and that nothing was written."""

import re

import numpy as np
import pytest
from cases import cases
from cases_vectors import gaussian

import nllkern as nk

pytestmark = pytest.mark.thin

Z = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)  # logits
T = np.array([0, 2, 1, 0])  # their class indices
V = np.linspace(0.1, 0.9, 4, dtype=np.float32)  # what a pointwise loss takes
PROB = np.full((4, 3), 1 / 3, np.float32)
DOUBLE = V.astype(np.float64)
HOLES = np.where(V > 0.5, np.nan, V).astype(np.float32)
HUGE = np.array([0, 0, 2**64 - 1, 0], np.uint64)
LATE = np.arange(50_000) // 40_000 * 9
KL, NSN, HINGE = nk.kl_divergence, nk.normalized_sigmoid_nll, nk.multiclass_hinge
BINNED, EDGES = nk.binned_cross_entropy, {"edges": (0, 1)}
FALLING = np.array([0.0, 0.5, 0.25, 1.0])
CE, BCE, GAUSS, GAMMA = nk.cross_entropy, nk.binary_cross_entropy, nk.gaussian_nll, nk.gamma_nll


MVN, TRI, NCE = nk.multivariate_gaussian_nll, nk.triplet_margin, nk.info_nce
M, F, Y = gaussian(4, 3, "float32").args
C = np.eye(3, dtype=np.float32)
CHECK, GIVEN = {"check": True}, {"link": "covariance"}
A, B, D = Z, Z + 1, Z * 2
Q, K = np.random.default_rng(0).normal(size=(2, 4, 3))
Q4 = Q.astype("float32")


def bad(loss, args, options, error, *parts):
    name = f"{loss.name}-{'-'.join(map(str, parts))}"
    return pytest.param(loss, args, options, error, parts, id=name.replace(" ", "_")[:90])


INPUTS = [
    # Number of arguments, and keywords.
    bad(CE, (Z,), {}, TypeError, "got 1 positional", "expected 2", "logits, target"),
    bad(GAMMA, (V, V, V, V), {}, TypeError, "got 4 positional", "expected 3: shape, rate, target"),
    bad(CE, (Z, T), {"weight": None}, TypeError, "'weight'", "sample_weight", "softcap"),
    bad(CE, (Z, T), {"link": "log"}, TypeError, "unknown keyword 'link'"),
    bad(BCE, (V, V), {"full": True}, TypeError, "unknown keyword 'full'", "pos_weight"),
    bad(GAMMA, (V, V, V), {"pos_weight": 1.0}, TypeError, "unknown keyword 'pos_weight'", "link"),
    bad(CE, (Z, T), {"reduction": "avg"}, ValueError, "reduction", "'avg'", "'mean'", "'none'"),
    bad(CE, (Z, T), {"reduction": None}, ValueError, "reduction", "None", "'sum'"),
    bad(GAUSS, (V, V, V), {"link": "exp"}, ValueError, "link", "'exp'", "softplus", "log_variance"),
    bad(GAMMA, (V, V, V), {"link": "variance"}, ValueError, "'variance'", "identity, softplus"),
    bad(GAMMA, (V, V, V), {"link": 3}, ValueError, "link is 3"),
    bad(CE, (Z, T), {"label_smoothing": 1.5}, ValueError, "label_smoothing", "1.5", "0 to 1"),
    bad(CE, (Z, T), {"label_smoothing": -0.1}, ValueError, "label_smoothing", "-0.1"),
    bad(CE, (Z, T), {"label_smoothing": np.nan}, ValueError, "label_smoothing", "nan"),
    bad(CE, (Z, T), {"label_smoothing": "a"}, TypeError, "label_smoothing", "'a'", "a number"),
    bad(CE, (Z, T), {"z_loss": -1.0}, ValueError, "z_loss", "-1.0", ">= 0"),
    bad(CE, (Z, T), {"z_loss": np.inf}, ValueError, "z_loss", "inf"),
    bad(CE, (Z, T), {"softcap": 0.0}, ValueError, "softcap", "0.0", "positive"),
    bad(CE, (Z, T), {"softcap": -3}, ValueError, "softcap", "-3"),
    bad(CE, (Z, T), {"ignore_index": 1.5}, TypeError, "ignore_index", "1.5", "int or None"),
    bad(CE, (Z, T), {"ignore_index": True}, TypeError, "ignore_index", "True"),
    bad(CE, (Z, T), {"normalizer": 0.0}, ValueError, "normalizer", "0.0", "positive, finite"),
    bad(CE, (Z, T), {"normalizer": np.nan}, ValueError, "normalizer", "nan"),
    bad(CE, (Z, T), {"normalizer": 2.0, "reduction": "sum"}, ValueError, "normalizer", "mean"),
    bad(BCE, (V, V), {"normalizer": 2.0, "reduction": "none"}, ValueError, "normalizer", "mean"),
    bad(CE, (Z, T), {"num_threads": 0}, ValueError, "num_threads is 0", "1 to"),
    bad(CE, (Z, T), {"num_threads": 2.0}, TypeError, "num_threads is 2.0", "1 to 1024"),
    bad(CE, (Z, T), {"num_threads": True}, TypeError, "num_threads is True"),
    # Shapes.
    bad(CE, (np.float32(1.0), 0), {}, ValueError, "logits", "()", "(..., K)"),
    bad(CE, (Z[:, :0], T), {}, ValueError, "logits", "(4, 0)", "K >= 1"),
    bad(CE, (Z, T[:3]), {}, ValueError, "target has shape (3,)", "(4,)"),
    bad(CE, (Z, T[:, None]), {}, ValueError, "target has shape (4, 1)", "(4,)"),
    bad(CE, (Z, PROB.astype(int)), {}, ValueError, "target has shape (4, 3)", "float dtype"),
    bad(CE, (Z, PROB[:3]), {}, ValueError, "target has shape (3, 3)", "(4, 3)"),
    bad(CE, (Z, T), {"class_weight": V}, ValueError, "class_weight", "(4,)", "(3,)"),
    bad(CE, (Z, T), {"class_weight": 2.0}, ValueError, "class_weight", "()", "(3,)"),
    bad(CE, (Z, T), {"sample_weight": V[:3]}, ValueError, "sample_weight", "(3,)", "(4,)"),
    bad(CE, (Z, T), {"sample_weight": Z}, ValueError, "sample_weight", "(4, 3)", "(4,)"),
    bad(BCE, (V, V[:3]), {}, ValueError, "target has shape (3,)", "(4,)", "as logits"),
    bad(BCE, (V, V[:, None]), {}, ValueError, "target has shape (4, 1)", "(4,)"),
    bad(BCE, (V, V), {"pos_weight": V[:3]}, ValueError, "pos_weight", "(3,)", "(4,)"),
    bad(BCE, (V, V), {"sample_weight": 2.0}, ValueError, "sample_weight", "()", "(4,)"),
    bad(GAUSS, (V, V[:1], V), {}, ValueError, "scale has shape (1,)", "(4,)", "as mean"),
    bad(GAMMA, (V, V, V[:2]), {}, ValueError, "target has shape (2,)", "(4,)", "as shape"),
    # Types.
    bad(CE, (Z, PROB.astype(float)), {}, TypeError, "target", "float64", "expected float32"),
    bad(CE, (Z, T), {"class_weight": np.ones(3)}, TypeError, "class_weight", "float64", "float32"),
    bad(CE, (Z, T), {"sample_weight": DOUBLE}, TypeError, "sample_weight", "float64", "float32"),
    bad(BCE, (V, DOUBLE), {}, TypeError, "target", "float64", "expected float32"),
    bad(BCE, (DOUBLE, V), {}, TypeError, "target", "float32", "expected float64"),
    bad(BCE, (V, V), {"pos_weight": DOUBLE}, TypeError, "pos_weight", "float64", "float32"),
    bad(GAUSS, (V, DOUBLE, V), {}, TypeError, "scale", "float64", "expected float32"),
    bad(CE, (Z.astype(np.float16), T), {}, TypeError, "logits", "float16", "float32 or float64"),
    bad(CE, (Z.astype(complex), T), {}, TypeError, "logits", "complex128", "float32 or float64"),
    bad(CE, (Z.astype(object), T), {}, TypeError, "logits", "object", "float32 or float64"),
    bad(CE, (Z.astype(np.longdouble), T), {}, TypeError, "logits", "expected float32 or float64"),
    bad(CE, (Z, T.astype(object)), {}, TypeError, "target", "object"),
    bad(CE, (Z, ["a"] * 4), {}, TypeError, "target", "<U1", "float32 or float64"),
    bad(CE, (Z, T), {"class_weight": ["a"] * 3}, TypeError, "class_weight", "<U1"),
    bad(BCE, (V, V.astype(np.float16)), {}, TypeError, "target", "float16"),
    bad(BCE, (None, V), {}, TypeError, "logits", "object"),
    bad(GAMMA, (V, 1j, V), {}, TypeError, "rate", "complex128"),
    bad(GAUSS, (V, "1", V), {}, TypeError, "scale", "<U1"),
    # Class indices.
    bad(CE, (Z, T + 1), {}, IndexError, "target[1] is 3", "0 <= index < 3"),
    bad(CE, (Z, T - 1), {}, IndexError, "target[0] is -1", "0 <= index < 3"),
    bad(CE, (Z, T - 1), {"ignore_index": -9}, IndexError, "target[0] is -1", "ignore_index = -9"),
    bad(CE, (Z, T + 1), {"ignore_index": 2}, IndexError, "target[1] is 3"),
    bad(CE, (Z, np.array([0, 0, 0, 2**40])), {}, IndexError, "target[3] is 1099511627776"),
    bad(CE, (Z, np.array([0, -(2**31), 0, 0], "i4")), {}, IndexError, "target[1] is -2147483648"),
    bad(CE, (Z, np.array([0, 0, 255, 0], "u1")), {}, IndexError, "target[2] is 255"),
    bad(CE, (Z, HUGE), {}, IndexError, f"target[2] is {2**64 - 1}"),
    bad(CE, (Z, HUGE), {"ignore_index": -1}, IndexError, f"target[2] is {2**64 - 1}", "= -1"),
    bad(CE, (Z.reshape(2, 2, 3), np.array([[0, 0], [7, 0]])), {}, IndexError, "target[1, 0] is 7"),
    bad(CE, (Z[0], 5), {}, IndexError, "target is 5", "< 3"),
    bad(CE, (np.zeros((50_000, 3)), LATE), {}, IndexError, "target[40000] is 9"),
    # Losses over classes: each has its own targets and keywords.
    bad(NSN, (Z, T), {"softcap": 3.0}, TypeError, "unknown keyword 'softcap'", "label_smoothing"),
    bad(NSN, (Z, T), {"label_smoothing": 2}, ValueError, "label_smoothing is 2", "0 to 1"),
    bad(NSN, (Z, T + 1), {}, IndexError, "target[1] is 3", "0 <= index < 3"),
    bad(NSN, (Z, T), {"class_weight": V}, ValueError, "class_weight", "(4,)", "(3,)"),
    bad(KL, (Z, T), {}, ValueError, "target has shape (4,)", "expected (4, 3)", "probabilities"),
    bad(KL, (Z, PROB), {"link": "exp"}, ValueError, "link is 'exp'", "softmax, log"),
    bad(KL, (Z, PROB), {"ignore_index": 1}, TypeError, "unknown keyword 'ignore_index'", "link"),
    bad(KL, (Z, PROB), {"class_weight": V}, TypeError, "unknown keyword 'class_weight'"),
    bad(KL, (Z, PROB.astype(float)), {}, TypeError, "target", "float64", "expected float32"),
    bad(KL, (Z, -PROB), CHECK, ValueError, "target[0, 0] is -0.333", ">= 0"),
    bad(KL, (Z, PROB * np.inf), CHECK, ValueError, "target[0, 0] is inf", ">= 0"),
    bad(KL, (Z * np.nan, PROB), CHECK, ValueError, "logits[0, 0] is nan", "a number"),
    bad(HINGE, (Z, PROB), {}, TypeError, "target has dtype float32", "expected integers"),
    bad(HINGE, (Z, T[:3]), {}, ValueError, "target has shape (3,)", "(4,)", "class indices"),
    bad(HINGE, (Z, T), {"variant": "ovr"}, ValueError, "variant is 'ovr'", "weston_watkins"),
    bad(HINGE, (Z, T), {"margin": -1.0}, ValueError, "margin is -1.0", ">= 0"),
    bad(HINGE, (Z, T), {"margin": np.inf}, ValueError, "margin is inf", "finite"),
    bad(HINGE, (Z, T), {"margin": "a"}, TypeError, "margin is 'a'", "a finite number >= 0"),
    bad(HINGE, (Z, T), {"label_smoothing": 0.1}, TypeError, "unknown keyword", "ignore_index"),
    bad(HINGE, (Z, T + 1), {"ignore_index": 9}, IndexError, "target[1] is 3", "ignore_index = 9"),
    bad(HINGE, (Z * np.nan, T), CHECK, ValueError, "scores[0, 0] is nan", "a number"),
    bad(HINGE, (Z[:, :0], T), {}, ValueError, "scores have shape (4, 0)", "K >= 1"),
    # Bins.
    bad(BINNED, (Z, V), {}, TypeError, "edges is missing", "4 numbers"),
    bad(BINNED, (Z, V), {"edges": 3.0}, ValueError, "edges is 3.0", "a pair"),
    bad(BINNED, (Z, V), {"edges": "ab"}, TypeError, "edges is 'ab'", "a pair"),
    bad(BINNED, (Z, V), {"edges": [0, 0.5, 1]}, ValueError, "edges has 3 numbers", "expected 4"),
    bad(BINNED, (Z, V), {"edges": FALLING}, ValueError, "edges[2] is 0.25", "edges[1] = 0.5"),
    bad(BINNED, (Z, V), {"edges": (1, 1)}, ValueError, "edges[1] is 1.0", "more than"),
    bad(BINNED, (Z, V), {"edges": (0, np.inf)}, ValueError, "edges[1] is inf", "finite"),
    bad(BINNED, (Z, V), {"edges": (1.0, 1.0 + 4e-16)}, ValueError, "3 bins of width", "at least"),
    bad(BINNED, (Z, V), {"edges": (-1e308, 1e308)}, ValueError, "width inf", "finite"),
    bad(BINNED, (Z, V), {**EDGES, "outside": "drop"}, ValueError, "outside is 'drop'", "'clip'"),
    bad(BINNED, (Z, V), {**EDGES, "ignore_index": 0}, TypeError, "unknown keyword", "outside"),
    bad(BINNED, (Z, V[:3]), EDGES, ValueError, "target has shape (3,)", "(4,)", "one number"),
    bad(BINNED, (Z, PROB), EDGES, ValueError, "target has shape (4, 3)", "(4,)"),
    bad(BINNED, (Z, DOUBLE), EDGES, TypeError, "target", "float64", "expected float32"),
    bad(BINNED, (Z, HOLES), EDGES, ValueError, "target[2] is nan", "expected a number"),
    bad(BINNED, (Z, 2 * V), {**EDGES, "outside": "raise"}, ValueError, "target[2] is 1.26",
        "from 0.0 to 1.0"),
    bad(BINNED, (Z, V - 0.2), {**EDGES, "outside": "raise"}, ValueError, "target[0] is -0.1"),
    # Vectors.
    bad(MVN, (M, F), {}, TypeError, "got 2 positional", "expected 3: mean, factor, target"),
    bad(MVN, (M, F, Y), {"margin": 1.0}, TypeError, "unknown keyword 'margin'", "full", "link"),
    bad(MVN, (M, F, Y), {"link": "variance"}, ValueError, "'variance'", "covariance"),
    bad(MVN, (np.float32(1), C, Y), {}, ValueError, "mean has shape ()", "(..., d)"),
    bad(MVN, (M[:, :0], F, Y), {}, ValueError, "mean has shape (4, 0)", "d >= 1"),
    bad(MVN, (np.zeros((4, 257), "f4"), C, Y), {}, ValueError, "(4, 257)", "up to 256"),
    bad(MVN, (M, F[:3], Y), {}, ValueError, "factor has shape (3, 3, 3)", "(4, 3, 3)", "(3, 3)"),
    bad(MVN, (M, M, Y), {}, ValueError, "factor has shape (4, 3)", "(4, 3, 3)"),
    bad(MVN, (M, F, Y), GIVEN, ValueError, "factor has shape (4, 3, 3)", "(3, 3)"),
    bad(MVN, (M, F, Y[:2]), {}, ValueError, "target has shape (2, 3)", "(4, 3)", "as mean"),
    bad(MVN, (M, F, Y[0]), {}, ValueError, "target has shape (3,)", "(4, 3)"),
    bad(MVN, (M, F, Y), {"sample_weight": M}, ValueError, "sample_weight", "(4, 3)", "(4,)"),
    bad(MVN, (M, F.astype(float), Y), {}, TypeError, "factor", "float64", "expected float32"),
    bad(MVN, (M, F, Y.astype(np.float16)), {}, TypeError, "target", "float16"),
    bad(MVN, (M, -C, Y), GIVEN, ValueError, "not positive definite"),
    bad(MVN, (M, C + np.tri(3, k=-1, dtype="f4"), Y), GIVEN, ValueError, "symmetric"),
    bad(MVN, (M, C * np.nan, Y), GIVEN, ValueError, "not finite"),
    bad(MVN, (M, C - 2 * np.diag(C[1]), Y), CHECK, ValueError, "factor[1, 1] is -1", "positive"),
    bad(MVN, (M, F * np.nan, Y), CHECK, ValueError, "factor[0, 0, 0] is nan"),
    bad(MVN, (M, F, Y * np.nan), CHECK, ValueError, "target[0, 0] is nan", "a finite number"),
    bad(TRI, (A, B), {}, TypeError, "got 2 positional", "expected 3: anchor, positive, negative"),
    bad(TRI, (A, B, D), {"link": "log"}, TypeError, "unknown keyword 'link'", "margin, normalizer"),
    bad(TRI, (A, B, D), {"p": 0.5}, ValueError, "p is 0.5", ">= 1"),
    bad(TRI, (A, B, D), {"p": np.nan}, ValueError, "p is nan"),
    bad(TRI, (A, B, D), {"margin": np.inf}, ValueError, "margin is inf", "finite"),
    bad(TRI, (A, B, D), {"margin": None}, TypeError, "margin is None", "a finite number"),
    bad(TRI, (A, B[:3], D), {}, ValueError, "positive has shape (3, 3)", "(4, 3)", "as anchor"),
    bad(TRI, (A, B, D[0]), {}, ValueError, "negative has shape (3,)", "(4, 3)"),
    bad(TRI, (1.0, B, D), {}, ValueError, "anchor has shape ()", "(..., d)"),
    bad(TRI, (A[:, :0], B, D), {}, ValueError, "anchor has shape (4, 0)", "d >= 1"),
    bad(TRI, (A, B.astype(float), D), {}, TypeError, "positive", "float64", "expected float32"),
    bad(TRI, (A, B, D.astype(complex)), {}, TypeError, "negative", "complex128"),
    bad(TRI, (A, B, D), {"sample_weight": A}, ValueError, "sample_weight", "(4, 3)", "(4,)"),
    bad(TRI, (A, B, D * np.nan), CHECK, ValueError, "negative[0, 0] is nan", "a finite number"),
    bad(NCE, (Q, K, K), {}, TypeError, "3 positional", "queries, keys"),
    bad(NCE, (Q, K), {"temprature": 1.0}, TypeError, "'temprature'", "temperature"),
    bad(NCE, (Q, K), {"temperature": 0.0}, ValueError, "temperature is 0.0", "positive"),
    bad(NCE, (Q, K), {"temperature": np.nan}, ValueError, "temperature is nan", "positive"),
    bad(NCE, (Q, K), {"temperature": np.inf}, ValueError, "temperature is inf", "finite"),
    bad(NCE, (Q, K), {"temperature": "hot"}, TypeError, "temperature is 'hot'", "number"),
    bad(NCE, (Q, K), {"form": "both"}, ValueError, "form is 'both'", "symmetric"),
    bad(NCE, (Q[0], K), {}, ValueError, "queries have shape (3,)", "(rows, D)"),
    bad(NCE, (Q, K[0]), {}, ValueError, "keys have shape (3,)", "(rows, D)"),
    bad(NCE, (Q[:, :0], K[:, :0]), {}, ValueError, "queries have shape (4, 0)", "D >= 1"),
    bad(NCE, (Q, K[:, :2]), {}, ValueError, "keys have shape (4, 2)", "(M, 3)"),
    bad(NCE, (Q, K[:3]), {}, ValueError, "keys have shape (3, 3)", "M >= 4"),
    bad(NCE, (Q[:3], K), {"form": "symmetric"}, ValueError, "keys has shape (4, 3)", "(3, 3)"),
    bad(NCE, (Q[:3], K), {"form": "nt_xent"}, ValueError, "keys has shape (4, 3)", "nt_xent"),
    bad(NCE, (Q, K.astype("f4")), {}, TypeError, "keys has dtype float32", "float64"),
    bad(NCE, (Q.astype("f2"), K), {}, TypeError, "queries has dtype float16", "float32 or float64"),
    bad(NCE, (Q, K), {"sample_weight": np.ones(3)}, ValueError, "sample_weight has shape (3,)",
        "(4,)"),
    bad(NCE, (Q, K), {"sample_weight": V}, TypeError, "sample_weight has dtype float32"),
    bad(NCE, (Q, K * [1, np.nan, 1]), CHECK, ValueError, "keys[0, 1] is nan", "finite"),
    bad(NCE, (Q4 * np.float32(np.inf), K.astype("f4")), CHECK, ValueError, "queries[0, 0]"),
    # check=True names the first offending index.
    bad(GAMMA, (V, V, V - V[2]), CHECK, ValueError, "target[0] is", ">= 0"),
    bad(GAMMA, (V, V[2] - V, V), CHECK, ValueError, "rate[2] is 0", "positive"),
    bad(GAMMA, (-V, V, V), CHECK, ValueError, "shape[0] is -0.1", "positive"),
    bad(GAUSS, (V, V - V[2], V), CHECK, ValueError, "scale[0] is", "positive"),
    bad(GAUSS, (V, -V, V), {"check": True, "link": "variance"}, ValueError, "scale[0] is -0.1"),
    bad(GAUSS, (V, 0.0, V), CHECK, ValueError, "scale is 0.0", "positive"),
    bad(BCE, (V, 2 * V), CHECK, ValueError, "target[2] is 1.26", "from 0 to 1"),
    bad(BCE, (V, V - 0.2), CHECK, ValueError, "target[0] is -0.1", "from 0 to 1"),
    bad(CE, (Z, -PROB), CHECK, ValueError, "target[0, 0] is -0.333", ">= 0"),
    bad(BCE, (V, HOLES), CHECK, ValueError, "target[2] is nan"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "args", "options", "error", "parts"), INPUTS)
def test_bad_input(loss, args, options, error, parts):
    """Every method raises the same, and leaves out as it was."""
    calls = [(loss, {})]
    dtype = np.float64 if getattr(args[0], "dtype", None) == np.float64 else np.float32
    like = [*args, *args[-1:] * len(loss.parameters)][: len(loss.parameters)]
    outs = [np.full(np.shape(x), 7, dtype) for x in like]
    out = outs[0] if len(outs) == 1 else tuple(outs)
    for method in (loss.value_and_grad, loss.grad):
        calls += [(method, {}), (method, {"out": out})]
    if loss.row.has_hess:
        calls += [(loss.value_grad_hess, {}), (loss.value_grad_hess, {"out": (out, None)})]
    for call, more in calls:
        with pytest.raises(error) as raised:
            call(*args, **options, **more)
        message = str(raised.value)
        if not (more and "out" in message):
            assert message.startswith(loss.name)
            assert all(part in message for part in parts), message
    assert all(np.all(x == 7) for x in outs)


@pytest.mark.parametrize("name", dict.fromkeys(c.name for c in cases()))
def test_domain_is_not_checked_unless_asked(name):
    """check=True changes nothing for good input, check=False raises for none."""
    problem = next(c for c in cases() if c.name == name).problem(20, "float64")
    assert np.array_equal(problem.run(check=True)[1], problem.run()[1])
    if problem.args[-1].dtype.kind == "f":
        problem.having(*problem.args[:-1], -problem.args[-1]).run()


# out


def broken_outs(good, aliased):
    """(what out is, exception, parts of the message) for an output like `good`."""
    big = np.zeros((*good.shape[:-1], good.shape[-1] + 2), good.dtype)
    frozen = good.copy()
    frozen.flags.writeable = False
    other = np.float64 if good.dtype == np.float32 else np.float32
    raw = np.zeros(good.nbytes + 1, np.uint8)[1:].view(good.dtype).reshape(good.shape)
    return {
        "shape": (big, ValueError, [f"shape {big.shape}", f"expected {good.shape}"]),
        "dtype": (good.astype(other), TypeError, [np.dtype(other).name, good.dtype.name]),
        "integers": (good.astype(int), TypeError, ["int64", good.dtype.name]),
        "byte order": (good.astype(good.dtype.newbyteorder()), TypeError, ["dtype >f"]),
        "read-only": (frozen, ValueError, ["read-only"]),
        "layout": (big[..., 1:-1], ValueError, ["strides", "C-contiguous"]),
        "backwards": (good[::-1].copy()[::-1], ValueError, ["strides", "C-contiguous"]),
        "unaligned": (raw, ValueError, ["strides", "aligned"]),
        "list": (good.tolist(), TypeError, ["list", "NumPy array"]),
        "number": (3.0, TypeError, ["float"]),
        "overlap": (aliased, ValueError, ["overlaps"]),
    }


@pytest.mark.thin(1)
@pytest.mark.parametrize("what", broken_outs(np.zeros((2, 2), "f4"), None))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", cases((5,)), ids=str)
def test_bad_out(case, dtype, what):
    """For every output of every loss: the others, and the inputs, are as they were."""
    problem = case.problem((6, 4), dtype)
    good = problem.args[0]
    memory = np.concatenate([good.ravel(), good.ravel()[:1]])
    first, shifted = memory[:-1].reshape(good.shape), memory[1:].reshape(good.shape)
    broken, error, parts = broken_outs(good, shifted)[what]
    problem = problem.having(first, *problem.args[1:])
    before = [x.tobytes() for x in (*problem.args, memory)]
    count = len(problem.loss.parameters)
    for wrong in range(2 * count):
        outs = [np.full_like(good, 7) for _ in range(2 * count)]
        given = [broken if k == wrong else x for k, x in enumerate(outs)]
        grads, hesss = (x[0] if count == 1 else tuple(x) for x in (given[:count], given[count:]))
        calls = [("value_grad_hess", (grads, hesss))]
        if wrong < count:
            calls += [("value_and_grad", grads), ("grad", grads)]
        for method, out in calls:
            with pytest.raises(error) as raised:
                problem.run(method, out=out)
            message = str(raised.value)
            assert all(part in message for part in [case.name, "out", *parts]), message
        assert all(np.all(x == 7) for x in outs)
    assert before == [x.tobytes() for x in (*problem.args, memory)]


@pytest.mark.parametrize("case", cases((5,)), ids=str)
def test_outs_that_overlap_each_other(case):
    problem = case.problem((6, 4), "float64")
    good = np.full_like(problem.args[0], 7)
    count = len(problem.loss.parameters)
    twice = [good] * (2 * count)
    out = (good, good) if count == 1 else (tuple(twice[:count]), tuple(twice[count:]))
    with pytest.raises(ValueError, match=re.escape("out[0] partly overlaps out[1]")):
        problem.run("value_grad_hess", out=out)
    assert np.all(good == 7)


@pytest.mark.parametrize("case", cases((5,)), ids=str)
def test_out_that_overlaps_a_converted_input(case):
    """Also of an input that is read through a copy: no input is written."""
    problem = case.problem((6, 4), "float64")
    x = problem.args[0]
    memory = np.zeros((2 * x.shape[0], *x.shape[1:]))
    memory[::2] = x
    reversed_axis = memory[::2][..., ::-1]
    before = memory.copy()
    out = memory[: x.shape[0]]
    others = (None,) * (len(problem.loss.parameters) - 1)
    with pytest.raises(ValueError, match="overlaps"):
        problem.having(reversed_axis, *problem.args[1:]).run(
            "grad", out=(out, *others) if others else out
        )
    assert np.array_equal(memory, before)


def test_wrong_structure_of_out():
    g = np.full(4, 7, np.float32)
    wrong = [
        (GAMMA.grad, g, "ndarray", "tuple of 2"),
        (GAMMA.grad, (g,), "tuple of 1", "tuple of 2"),
        (GAMMA.grad, (g, g.copy(), g.copy()), "tuple of 3", "tuple of 2"),
        (GAMMA.value_grad_hess, (g, g.copy()), "ndarray", "tuple of 2"),
        (GAMMA.value_grad_hess, g, "ndarray", "pair"),
    ]
    for method, out, got, expected in wrong:
        with pytest.raises(TypeError, match=f"{got}.*expected a {expected}"):
            method(V, V, V, out=out)
    with pytest.raises(TypeError, match="out receives gradients"):
        GAMMA(V, V, V, out=(g, None))
    with pytest.raises(ValueError, match=r"out\[1\] was given for rate"):
        GAMMA.grad(V, 1.0, V, out=(None, g))
    assert np.all(g == 7)


@pytest.mark.parametrize("k", [0, -1, 5000])
def test_bad_numbers_of_threads(k):
    for call in (nk.set_num_threads, lambda k: nk.num_threads(k).__enter__()):
        with pytest.raises(ValueError, match=f"got {k}, expected 1 to"):
            call(k)
        for wrong in (1.0, "1", None, True):
            with pytest.raises(TypeError, match="expected a positive int"):
                call(wrong)


def test_reference_rejects_the_same():
    """The reference, too, raises for wrong shapes, keywords, and indices."""
    for loss, args, options, error, _ in (p.values for p in INPUTS):
        is_vectors = loss.row.kind in ("vectors", "contrastive")
        if error is not TypeError and "num_threads" not in options and not is_vectors:
            with pytest.raises((error, TypeError)):
                loss.reference(*args, **options)
