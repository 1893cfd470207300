# The loss objects, with the keywords and results of each: at run time they are instances of a few
# classes.  A loss is one line at the end.

from collections.abc import Sequence
from typing import (
    Any,
    Generic,
    Literal,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    final,
    overload,
    type_check_only,
)

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Required, TypedDict, Unpack

from ._engine import LossInfo

_DivergenceLink: TypeAlias = Literal["softmax", "log"]
_HingeVariant: TypeAlias = Literal["crammer_singer", "weston_watkins"]
_Array: TypeAlias = NDArray[np.floating[Any]]
_Reduced: TypeAlias = Literal["mean", "sum"]
_None: TypeAlias = Literal["none"]
_Any: TypeAlias = Literal["mean", "sum", "none"]
_PositiveLink: TypeAlias = Literal["identity", "softplus", "log"]
_FactorLink: TypeAlias = Literal["identity", "softplus", "log", "covariance"]
_ScaleLink: TypeAlias = Literal["identity", "softplus", "log", "variance", "log_variance"]

@type_check_only
class _DLPack(Protocol):
    def __dlpack__(self) -> Any: ...

# A prediction that is an array, so that its gradient is one; that of one number is a float.
_Arrays: TypeAlias = NDArray[Any] | Sequence[Any] | memoryview | _DLPack
_Grad: TypeAlias = _Array | float
_Out: TypeAlias = _Array | None
_OutPair: TypeAlias = tuple[_Out, _Out] | None
_Outs: TypeAlias = tuple[_Out, _Out] | None
_Outs3: TypeAlias = tuple[_Out, _Out, _Out] | None
_OutsPair3: TypeAlias = tuple[_Outs3, _Outs3] | None
_OutsPair: TypeAlias = tuple[_Outs, _Outs] | None
_Three: TypeAlias = tuple[_Array, _Array, _Array]
_ThreeOuts: TypeAlias = tuple[_Out, _Out, _Out] | None
_ThreeOutsPair: TypeAlias = tuple[_ThreeOuts, _ThreeOuts] | None
_MeanAndFactor: TypeAlias = tuple[_Array, _Array | Any]  # Any: None under link="covariance"
_Link = TypeVar("_Link")

@type_check_only
class _Common(TypedDict, total=False):
    sample_weight: ArrayLike | None
    normalizer: float | None
    num_threads: int | None
    check: bool

@type_check_only
class _ClassOptions(_Common, total=False):
    class_weight: ArrayLike | None
    label_smoothing: float
    ignore_index: int | None
    z_loss: float
    softcap: float | None

@type_check_only
class _SigmoidOptions(_Common, total=False):
    class_weight: ArrayLike | None
    label_smoothing: float
    ignore_index: int | None

@type_check_only
class _LinkOnly(_Common, Generic[_Link], total=False):
    link: _Link

@type_check_only
class _HingeOptions(_Common, total=False):
    margin: float
    variant: _HingeVariant
    ignore_index: int | None

@type_check_only
class _BinnedOptions(_Common, total=False):
    edges: Required[ArrayLike]
    outside: Literal["clip", "raise"]
    class_weight: ArrayLike | None
    label_smoothing: float
    z_loss: float
    softcap: float | None

@type_check_only
class _ExtraOptions(_Common, total=False):
    pos_weight: ArrayLike | None

@type_check_only
class _DeltaOptions(_Common, total=False):
    delta: ArrayLike

@type_check_only
class _LinkOptions(_Common, Generic[_Link], total=False):
    link: _Link
    full: bool

@type_check_only
class _ContrastiveOptions(_Common, total=False):
    temperature: float
    normalize: bool
    form: Literal["queries", "symmetric", "nt_xent"]

@type_check_only
class _DfOptions(_Common, Generic[_Link], total=False):
    link: _Link
    df_link: _Link
    full: bool

@type_check_only
class _MarginOptions(_Common, total=False):
    margin: float
    p: float

class Loss:
    @property
    def name(self) -> str: ...
    @property
    def parameters(self) -> tuple[str, ...]: ...
    @property
    def links(self) -> tuple[str, ...]: ...
    @property
    def reference(self) -> Any: ...
    @property
    def __name__(self) -> str: ...
    @property
    def __signature__(self) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def value_and_grad(self, *args: Any, **kwargs: Any) -> Any: ...
    def grad(self, *args: Any, **kwargs: Any) -> Any: ...
    def value_grad_hess(self, *args: Any, **kwargs: Any) -> Any: ...

class PointwiseLoss(Loss): ...
class RowwiseLoss(Loss): ...
class ContrastiveLoss(Loss): ...
class Vectors(Loss): ...

# Three lines a signature, not twelve:
# fmt: off

@final
@type_check_only
class _Classes(RowwiseLoss):
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_ClassOptions],
    ) -> float: ...
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_ClassOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_ClassOptions],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_ClassOptions],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_ClassOptions],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_ClassOptions],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_ClassOptions],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _NormalizedSigmoid(RowwiseLoss):
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_SigmoidOptions],
    ) -> float: ...
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_SigmoidOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_SigmoidOptions],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_SigmoidOptions],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_SigmoidOptions],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_SigmoidOptions],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_SigmoidOptions],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _Divergence(RowwiseLoss, Generic[_Link]):
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_LinkOnly[_Link]],
    ) -> float: ...
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_LinkOnly[_Link]],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_LinkOnly[_Link]],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_LinkOnly[_Link]],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_LinkOnly[_Link]],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_LinkOnly[_Link]],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_LinkOnly[_Link]],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _MulticlassHinge(RowwiseLoss):
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_HingeOptions],
    ) -> float: ...
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_HingeOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_HingeOptions],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_HingeOptions],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_HingeOptions],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_HingeOptions],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_HingeOptions],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _Binned(RowwiseLoss):
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_BinnedOptions],
    ) -> float: ...
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_BinnedOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_BinnedOptions],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_BinnedOptions],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_BinnedOptions],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_BinnedOptions],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_BinnedOptions],
    ) -> tuple[_Array, _Array, _Array]: ...
    def encode(self, target: ArrayLike, edges: ArrayLike, K: int | None = None, *,
        outside: Literal["clip", "raise"] = ..., num_threads: int | None = ...,
    ) -> NDArray[np.int64]: ...
    def expectation(
        self, logits: ArrayLike, edges: ArrayLike, *, num_threads: int | None = ...
    ) -> _Array: ...
    def quantile(
        self, logits: ArrayLike, q: ArrayLike, edges: ArrayLike, *, num_threads: int | None = ...
    ) -> _Array: ...

@final
@type_check_only
class _Weighted(PointwiseLoss):
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_ExtraOptions],
    ) -> float: ...
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_ExtraOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_ExtraOptions],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_ExtraOptions],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_ExtraOptions],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_ExtraOptions],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_ExtraOptions],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _OnePrediction(PointwiseLoss):
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_Common],
    ) -> float: ...
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_Common],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_Common],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_Common],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_Common],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_Common],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_Common],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _Delta(PointwiseLoss):
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_DeltaOptions],
    ) -> float: ...
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_DeltaOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_DeltaOptions],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_DeltaOptions],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_DeltaOptions],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_DeltaOptions],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_DeltaOptions],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _OneLinked(PointwiseLoss, Generic[_Link]):
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> float: ...
    @overload
    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_LinkOptions[_Link]],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, prediction: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _TwoPredictions(PointwiseLoss, Generic[_Link]):
    @overload
    def __call__(self, first: ArrayLike, second: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> float: ...
    @overload
    def __call__(self, first: ArrayLike, second: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_LinkOptions[_Link]],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, first: _Arrays, second: float, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, tuple[_Array, float]]: ...
    @overload
    def value_and_grad(self, first: _Arrays, second: float, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, tuple[_Array, float]]: ...
    @overload
    def value_and_grad(self, first: _Arrays, second: _Arrays, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, tuple[_Array, _Array]]: ...
    @overload
    def value_and_grad(self, first: _Arrays, second: _Arrays, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, tuple[_Array, _Array]]: ...
    @overload
    def value_and_grad(self, first: ArrayLike, second: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, tuple[_Grad, _Grad]]: ...
    @overload
    def value_and_grad(self, first: ArrayLike, second: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, tuple[_Grad, _Grad]]: ...
    @overload
    def grad(self, first: _Arrays, second: float, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, float]: ...
    @overload
    def grad(self, first: _Arrays, second: _Arrays, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, _Array]: ...
    @overload
    def grad(self, first: ArrayLike, second: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Grad, _Grad]: ...
    @overload
    def value_grad_hess(self, first: _Arrays, second: float, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, tuple[_Array, float], tuple[_Array, float]]: ...
    @overload
    def value_grad_hess(self, first: _Arrays, second: float, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, tuple[_Array, float], tuple[_Array, float]]: ...
    @overload
    def value_grad_hess(self, first: _Arrays, second: _Arrays, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, tuple[_Array, _Array], tuple[_Array, _Array]]: ...
    @overload
    def value_grad_hess(self, first: _Arrays, second: _Arrays, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, tuple[_Array, _Array], tuple[_Array, _Array]]: ...
    @overload
    def value_grad_hess(self, first: ArrayLike, second: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, tuple[_Grad, _Grad], tuple[_Grad, _Grad]]: ...
    @overload
    def value_grad_hess(self, first: ArrayLike, second: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, tuple[_Grad, _Grad], tuple[_Grad, _Grad]]: ...

@final
@type_check_only
class _TwoSets(ContrastiveLoss):
    @overload
    def __call__(self, first: ArrayLike, second: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_ContrastiveOptions],
    ) -> float: ...
    @overload
    def __call__(self, first: ArrayLike, second: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_ContrastiveOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, first: ArrayLike, second: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_ContrastiveOptions],
    ) -> tuple[float, tuple[_Array, _Array]]: ...
    @overload
    def value_and_grad(self, first: ArrayLike, second: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_ContrastiveOptions],
    ) -> tuple[_Array, tuple[_Array, _Array]]: ...
    def grad(self, first: ArrayLike, second: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_ContrastiveOptions],
    ) -> tuple[_Array, _Array]: ...
    def value_grad_hess(self, first: ArrayLike, second: ArrayLike, /, *,
        reduction: _Any = ..., out: _OutsPair = ..., **options: Unpack[_ContrastiveOptions],
    ) -> NoReturn: ...

@final
@type_check_only
class _ThreePredictions(PointwiseLoss, Generic[_Link]):
    @overload
    def __call__(self, first: ArrayLike, second: ArrayLike, third: ArrayLike,
        target: ArrayLike, /, *, reduction: _Reduced = ...,
        **options: Unpack[_DfOptions[_Link]],
    ) -> float: ...
    @overload
    def __call__(self, first: ArrayLike, second: ArrayLike, third: ArrayLike,
        target: ArrayLike, /, *, reduction: _None,
        **options: Unpack[_DfOptions[_Link]],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, first: _Arrays, second: _Arrays, third: float,
        target: ArrayLike, /, *, reduction: _Reduced = ...,
        out: _Outs3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[float, tuple[_Array, _Array, float]]: ...
    @overload
    def value_and_grad(self, first: _Arrays, second: _Arrays, third: float,
        target: ArrayLike, /, *, reduction: _None,
        out: _Outs3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[_Array, tuple[_Array, _Array, float]]: ...
    @overload
    def value_and_grad(self, first: _Arrays, second: _Arrays, third: _Arrays,
        target: ArrayLike, /, *, reduction: _Reduced = ...,
        out: _Outs3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[float, tuple[_Array, _Array, _Array]]: ...
    @overload
    def value_and_grad(self, first: _Arrays, second: _Arrays, third: _Arrays,
        target: ArrayLike, /, *, reduction: _None,
        out: _Outs3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[_Array, tuple[_Array, _Array, _Array]]: ...
    @overload
    def value_and_grad(self, first: ArrayLike, second: ArrayLike, third: ArrayLike,
        target: ArrayLike, /, *, reduction: _Reduced = ...,
        out: _Outs3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[float, tuple[_Grad, _Grad, _Grad]]: ...
    @overload
    def value_and_grad(self, first: ArrayLike, second: ArrayLike, third: ArrayLike,
        target: ArrayLike, /, *, reduction: _None,
        out: _Outs3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[_Array, tuple[_Grad, _Grad, _Grad]]: ...
    @overload
    def grad(self, first: _Arrays, second: _Arrays, third: float,
        target: ArrayLike, /, *, reduction: _Any = ...,
        out: _Outs3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[_Array, _Array, float]: ...
    @overload
    def grad(self, first: _Arrays, second: _Arrays, third: _Arrays,
        target: ArrayLike, /, *, reduction: _Any = ...,
        out: _Outs3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[_Array, _Array, _Array]: ...
    @overload
    def grad(self, first: ArrayLike, second: ArrayLike, third: ArrayLike,
        target: ArrayLike, /, *, reduction: _Any = ...,
        out: _Outs3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[_Grad, _Grad, _Grad]: ...
    @overload
    def value_grad_hess(self, first: _Arrays, second: _Arrays, third: float,
        target: ArrayLike, /, *, reduction: _Reduced = ...,
        out: _OutsPair3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[float, tuple[_Array, _Array, float], tuple[_Array, _Array, float]]: ...
    @overload
    def value_grad_hess(self, first: _Arrays, second: _Arrays, third: float,
        target: ArrayLike, /, *, reduction: _None,
        out: _OutsPair3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[_Array, tuple[_Array, _Array, float], tuple[_Array, _Array, float]]: ...
    @overload
    def value_grad_hess(self, first: _Arrays, second: _Arrays, third: _Arrays,
        target: ArrayLike, /, *, reduction: _Reduced = ...,
        out: _OutsPair3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[float, tuple[_Array, _Array, _Array], tuple[_Array, _Array, _Array]]: ...
    @overload
    def value_grad_hess(self, first: _Arrays, second: _Arrays, third: _Arrays,
        target: ArrayLike, /, *, reduction: _None,
        out: _OutsPair3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[_Array, tuple[_Array, _Array, _Array], tuple[_Array, _Array, _Array]]: ...
    @overload
    def value_grad_hess(self, first: ArrayLike, second: ArrayLike, third: ArrayLike,
        target: ArrayLike, /, *, reduction: _Reduced = ...,
        out: _OutsPair3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[float, tuple[_Grad, _Grad, _Grad], tuple[_Grad, _Grad, _Grad]]: ...
    @overload
    def value_grad_hess(self, first: ArrayLike, second: ArrayLike, third: ArrayLike,
        target: ArrayLike, /, *, reduction: _None,
        out: _OutsPair3 = ..., **options: Unpack[_DfOptions[_Link]],
    ) -> tuple[_Array, tuple[_Grad, _Grad, _Grad], tuple[_Grad, _Grad, _Grad]]: ...

@final
@type_check_only
class _Factor(Vectors, Generic[_Link]):
    @overload
    def __call__(self, mean: ArrayLike, factor: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> float: ...
    @overload
    def __call__(self, mean: ArrayLike, factor: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_LinkOptions[_Link]],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, mean: ArrayLike, factor: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, _MeanAndFactor]: ...
    @overload
    def value_and_grad(self, mean: ArrayLike, factor: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, _MeanAndFactor]: ...
    def grad(self, mean: ArrayLike, factor: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> _MeanAndFactor: ...
    @overload
    def value_grad_hess(self, mean: ArrayLike, factor: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[float, _MeanAndFactor, _MeanAndFactor]: ...
    @overload
    def value_grad_hess(self, mean: ArrayLike, factor: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_LinkOptions[_Link]],
    ) -> tuple[_Array, _MeanAndFactor, _MeanAndFactor]: ...

@final
@type_check_only
class _Triplet(Vectors):
    @overload
    def __call__(self, anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_MarginOptions],
    ) -> float: ...
    @overload
    def __call__(self, anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_MarginOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _ThreeOuts = ..., **options: Unpack[_MarginOptions],
    ) -> tuple[float, _Three]: ...
    @overload
    def value_and_grad(self, anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike, /, *,
        reduction: _None, out: _ThreeOuts = ..., **options: Unpack[_MarginOptions],
    ) -> tuple[_Array, _Three]: ...
    def grad(self, anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike, /, *,
        reduction: _Any = ..., out: _ThreeOuts = ..., **options: Unpack[_MarginOptions],
    ) -> _Three: ...
    @overload
    def value_grad_hess(self, anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _ThreeOutsPair = ..., **options: Unpack[_MarginOptions],
    ) -> tuple[float, _Three, _Three]: ...
    @overload
    def value_grad_hess(self, anchor: ArrayLike, positive: ArrayLike, negative: ArrayLike, /, *,
        reduction: _None, out: _ThreeOutsPair = ..., **options: Unpack[_MarginOptions],
    ) -> tuple[_Array, _Three, _Three]: ...

# fmt: on

cross_entropy: _Classes
normalized_sigmoid_nll: _NormalizedSigmoid
kl_divergence: _Divergence[_DivergenceLink]
multiclass_hinge: _MulticlassHinge
binned_cross_entropy: _Binned
binary_cross_entropy: _Weighted
squared_error: _OnePrediction
absolute_error: _OnePrediction
huber: _Delta
log_cosh: _OnePrediction
hinge: _OnePrediction
squared_hinge: _OnePrediction
gaussian_nll: _TwoPredictions[_ScaleLink]
laplace_nll: _TwoPredictions[_PositiveLink]
student_t_nll: _ThreePredictions[_PositiveLink]
poisson_nll: _OneLinked[_PositiveLink]
exponential_nll: _OneLinked[_PositiveLink]
gamma_nll: _TwoPredictions[_PositiveLink]
info_nce: _TwoSets
multivariate_gaussian_nll: _Factor[_FactorLink]
triplet_margin: _Triplet

def loss_infos() -> list[LossInfo]: ...
def loss_named(name: str) -> Any: ...
def losses() -> list[Loss]: ...
