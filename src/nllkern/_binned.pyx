# cython: language_level=3, boundscheck=False, initializedcheck=False, cdivision=True
"""Cross-entropy over bins of the real line; the bins of numbers, and numbers from predicted distributions."""

cimport numpy as cnp
from libc.math cimport isfinite
from libc.stdint cimport int64_t
from libc.string cimport memset

from nllkern._arguments cimport NOT_ROWS, as_array, as_input, float_type, integer, number, place, row_stride, shape_text
from nllkern._engine cimport (
    NLLK_ENCODE,
    NLLK_EXPECTATION,
    NLLK_QUANTILE,
    nllk_bins,
    nllk_least_width,
    nllk_sums,
    run,
    table,
)
from nllkern._inputs cimport Call
from nllkern._loss cimport Loss
from nllkern._results cimport new_array, new_array_of

import numpy as np

from . import _docs

cnp.import_array()

cdef tuple OUTSIDE = ("clip", "raise")


cdef class Bins:
    """The bins that `edges` stands for: a pair (low, high), or bins + 1 increasing numbers."""

    cdef nllk_bins c
    cdef str name
    cdef cnp.ndarray edges  # float64; None for a pair

    def __cinit__(self, str name, edges, classes):
        """`classes`: how many bins there have to be; None: as many as the edges say."""
        cdef cnp.ndarray given
        memset(&self.c, 0, sizeof(self.c))
        self.name = name
        given = np.asarray(edges)
        if given.dtype.kind not in "iuf" or cnp.PyArray_NDIM(given) != 1 or cnp.PyArray_SIZE(given) < 2:
            raise (TypeError if given.dtype.kind not in "iuf" else ValueError)(
                f"{name}: edges is {edges!r:.200}, expected a pair (low, high) or an increasing array of K + 1 numbers")
        given = as_input(given, cnp.NPY_DOUBLE)
        bad = np.flatnonzero(~np.isfinite(given))
        if len(bad):
            raise ValueError(f"{name}: edges[{bad[0]}] is {given[bad[0]]}, expected a finite number")
        bad = np.flatnonzero(~(given[1:] > given[:-1]))
        if len(bad):
            raise ValueError(f"{name}: edges[{bad[0] + 1}] is {given[bad[0] + 1]}, "
                             f"expected more than edges[{bad[0]}] = {given[bad[0]]}")
        self.c.low = given[0]
        self.c.high = given[-1]
        self.c.bins = cnp.PyArray_SIZE(given) - 1
        if self.c.bins > 1:
            self.edges = given
            self.c.edges = <const double *> cnp.PyArray_DATA(given)
            if classes is not None and classes != self.c.bins:
                raise ValueError(f"{name}: edges has {self.c.bins + 1} numbers, "
                                 f"expected {classes + 1} for {classes} bins")
            return
        if classes is None:
            raise ValueError(f"{name}: K is None, expected the number of bins between the pair of edges")
        self.c.bins = classes
        self.c.step = (self.c.high - self.c.low) / classes
        least = nllk_least_width(self.c.low, self.c.high)
        if not (isfinite(self.c.step) and self.c.step >= least):
            raise ValueError(f"{name}: edges ({self.c.low}, {self.c.high}) make {classes} bins of width {self.c.step}, "
                             f"expected a finite width of at least {least}")

    cdef cnp.ndarray encode(self, cnp.ndarray target, cnp.ndarray weight, str outside, int t, int threads):
        """The bin of each number of `target` (of type `t`, contiguous); those of weight 0 may have none."""
        cdef nllk_sums sums
        cdef nllk_bins *c = &self.c
        cdef ptrdiff_t count = cnp.PyArray_SIZE(target)
        if outside not in OUTSIDE:
            raise ValueError(f"{self.name}: outside is {outside!r}, expected 'clip' or 'raise'")
        result = new_array(cnp.PyArray_NDIM(target), cnp.PyArray_DIMS(target), cnp.NPY_INT64)
        if count == 0:
            return result
        c.values = cnp.PyArray_DATA(target)
        c.raise_outside = outside == "raise"
        c.weight = cnp.PyArray_DATA(weight) if weight is not None else NULL
        c.index = <int64_t *> cnp.PyArray_DATA(result)
        run(table(t == cnp.NPY_DOUBLE).bins[<int> NLLK_ENCODE], c, count, 1, threads, &sums)
        if sums.bad >= 0:
            where = f" from {c.low} to {c.high}" if c.raise_outside else ""
            x = (<object> target).flat[sums.bad]
            raise ValueError(f"{self.name}: target{place(target, sums.bad)} is {x}, expected a number{where}")
        return result

    cdef cnp.ndarray numbers(self, cnp.ndarray logits, int t, int kind, cnp.ndarray points, tuple shape, int threads):
        """What the kernel `kind` makes of each row of logits, in an array of that shape."""
        cdef nllk_sums sums
        cdef nllk_bins *c = &self.c
        cdef ptrdiff_t rows = cnp.PyArray_SIZE(logits) // c.bins
        cdef cnp.ndarray result = new_array_of(shape, t)
        c.row_stride = row_stride(logits, t)
        if c.row_stride == NOT_ROWS:
            logits = as_input(logits, t)
            c.row_stride = c.bins
        c.values = cnp.PyArray_DATA(logits)
        c.points = <const double *> cnp.PyArray_DATA(points)
        c.point_count = cnp.PyArray_SIZE(points)
        c.result_stride = rows
        c.result = cnp.PyArray_DATA(result)
        if rows > 0:
            run(table(t == cnp.NPY_DOUBLE).bins[kind], c, rows, c.bins, threads, &sums)
        return result

    cdef cnp.ndarray all_edges(self):
        return self.edges if self.edges is not None else np.linspace(self.c.low, self.c.high, self.c.bins + 1)


cdef int threads_of(num_threads, str name) except -1:
    """0 where nothing in particular is asked for."""
    if num_threads is None:
        return 0
    num_threads = integer(num_threads, name, "num_threads", "1 to 1024, or None")
    if not 1 <= num_threads <= 1024:
        raise ValueError(f"{name}: num_threads is {num_threads}, expected 1 to 1024")
    return num_threads


cdef tuple logits_and_bins(str name, logits, edges):
    """(logits, their type, their bins)."""
    cdef cnp.ndarray array = as_array(logits, name, "logits")
    cdef int t = float_type(logits, array, name, "logits"), ndim = cnp.PyArray_NDIM(array)
    if ndim == 0 or cnp.PyArray_DIM(array, ndim - 1) == 0:
        raise ValueError(f"{name}: logits have shape {shape_text(ndim, cnp.PyArray_DIMS(array))}, "
                         f"expected (..., K) with K >= 1")
    return array, cnp.NPY_DOUBLE if t == -1 else t, Bins(name, edges, array.shape[ndim - 1])


cdef class BinnedLoss(Loss):
    # The target of a row of logits is a real number, which falls into one of the bins.

    @property
    def __doc__(self):  # not inherited: a class's own, if only None, comes first
        return _docs.docstring(self.name)

    cdef cnp.ndarray indices(self, Call call):
        more = call.more or {}
        if "edges" not in more:
            raise TypeError(f"{self.name}: edges is missing, expected a pair (low, high) or an increasing array of "
                            f"{call.size + 1} numbers")
        cdef Bins bins = Bins(self.name, more["edges"], call.size)
        return bins.encode(call.target, call.weight_array, more.get("outside", "clip"), call.t, call.o.num_threads)

    def encode(self, target, edges, K=None, *, outside="clip", num_threads=None):
        """The bins that numbers fall into.

        Parameters
        ----------
        target : array_like
            Numbers, none of them NaN.
        edges : array_like
            A pair (low, high), or an increasing array of K + 1 numbers.
        K : int, optional
            The number of bins; needed with a pair.
        outside : {"clip", "raise"}, default "clip"
            Whether a number outside the edges goes to the end bin or raises ValueError.
        num_threads : int, optional
            Threads for this call, instead of the current default.

        Returns
        -------
        numpy.ndarray
            int64, in the shape of target: k where edge_k <= target < edge_{k+1}, K - 1 at the last
            edge.
        """
        cdef str name = f"{self.name}.encode"
        cdef cnp.ndarray array = as_array(target, name, "target")
        cdef int t = float_type(target, array, name, "target")
        if K is not None and (isinstance(K, bool) or not isinstance(K, (int, np.integer)) or not 1 <= K < 2**31):
            raise (ValueError if isinstance(K, (int, np.integer)) else TypeError)(
                f"{name}: K is {K!r}, expected a positive int below 2**31 or None")
        cdef Bins bins = Bins(name, edges, K)
        t = cnp.NPY_DOUBLE if t == -1 else t
        return bins.encode(as_input(array, t), None, outside, t, threads_of(num_threads, name))

    def expectation(self, logits, edges, *, num_threads=None):
        """The means of predicted distributions: sum_k p_k c_k with p = softmax(logits).

        Parameters
        ----------
        logits : array_like, shape (..., K)
            Unnormalised log-probabilities of the bins.
        edges : array_like
            A pair (low, high), or an increasing array of K + 1 numbers.  c_k are the middles of
            the bins.
        num_threads : int, optional
            Threads for this call, instead of the current default.

        Returns
        -------
        numpy.ndarray
            In the dtype of the logits, shape (...); sums are accumulated in float64.
        """
        cdef str name = f"{self.name}.expectation"
        cdef Bins bins
        array, t, bins = logits_and_bins(name, logits, edges)
        ends = bins.all_edges()
        middles = ends[:-1] + 0.5 * (ends[1:] - ends[:-1])
        return bins.numbers(array, t, NLLK_EXPECTATION, middles, array.shape[:-1], threads_of(num_threads, name))

    def quantile(self, logits, q, edges, *, num_threads=None):
        """Quantiles of predicted distributions, which spread p_k = softmax(logits)_k evenly over bin k.

        Parameters
        ----------
        logits : array_like, shape (..., K)
            Unnormalised log-probabilities of the bins.
        q : float or array_like
            Probabilities in [0, 1].
        edges : array_like
            A pair (low, high), or an increasing array of K + 1 numbers.
        num_threads : int, optional
            Threads for this call, instead of the current default.

        Returns
        -------
        numpy.ndarray
            In the dtype of the logits, in the shape of q followed by (...), as numpy.quantile has
            it: where the cumulative probability is q, interpolated linearly inside the bin.
        """
        cdef str name = f"{self.name}.quantile"
        cdef Bins bins
        array, t, bins = logits_and_bins(name, logits, edges)
        wanted = np.asarray(q, np.float64)
        bad = ~((wanted >= 0) & (wanted <= 1))
        if bad.any():
            raise ValueError(f"{name}: q holds {wanted[bad][0]}, expected 0 to 1")
        order = np.argsort(wanted, axis=None)
        points = np.ascontiguousarray(wanted.reshape(-1)[order])
        found = bins.numbers(array, t, NLLK_QUANTILE, points, (len(points), *array.shape[:-1]),
                             threads_of(num_threads, name))
        if len(points) > 1:
            found = found[np.argsort(order)]
        return found.reshape(wanted.shape + array.shape[:-1])


def mu_law_edges(K, mu=255, low=-1, high=1):
    """Edges of K bins that mu-law companding makes: narrow in the middle, wide at the ends.

    The companded scale is divided evenly: for c from -1 to 1 in K steps the edge is
    sign(c) ((1 + mu)^|c| - 1) / mu, and that from [-1, 1] to [low, high].

    Parameters
    ----------
    K : int
        The number of bins.
    mu : float, default 255
        How much narrower the middle is; positive.
    low, high : float, default -1 and 1
        The first edge and the last.

    Returns
    -------
    numpy.ndarray
        K + 1 increasing numbers, float64.

    References
    ----------
    ITU-T Recommendation G.711; A. van den Oord et al., "WaveNet: a generative model for raw
    audio", arXiv:1609.03499 (2016).
    """
    if isinstance(K, bool) or not isinstance(K, (int, np.integer)):
        raise TypeError(f"mu_law_edges: K is {K!r}, expected a positive int")
    if K < 1:
        raise ValueError(f"mu_law_edges: K is {K}, expected a positive int")
    given = ((mu, "mu"), (low, "low"), (high, "high"))
    mu, low, high = (number(x, "mu_law_edges", name, "a number") for x, name in given)
    if not (isfinite(mu) and mu > 0):
        raise ValueError(f"mu_law_edges: mu is {mu}, expected a positive, finite number")
    if not (isfinite(high - low) and low < high):
        raise ValueError(f"mu_law_edges: low is {low} and high {high}, expected two finite numbers, low < high")
    c = np.linspace(-1, 1, K + 1)
    c = 0.5 * (c - c[::-1])  # symmetric to the last bit
    x = np.sign(c) * np.expm1(np.abs(c) * np.log1p(mu)) / mu
    edges = (low + high) / 2 + x * ((high - low) / 2)
    edges[0], edges[-1] = low, high
    return edges
