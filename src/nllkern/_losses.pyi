# The loss objects.  One class here per loss, although at run time they are instances of two
# classes: that gives each its own keywords.  `_Common` is what all share.

from collections.abc import Sequence
from typing import (
    Any,
    Literal,
    Protocol,
    TypeAlias,
    TypedDict,
    final,
    overload,
    type_check_only,
)

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

_Array: TypeAlias = NDArray[np.floating[Any]]
_Reduced: TypeAlias = Literal["mean", "sum"]
_None: TypeAlias = Literal["none"]
_Any: TypeAlias = Literal["mean", "sum", "none"]
_PositiveLink: TypeAlias = Literal["identity", "softplus", "log"]
_ScaleLink: TypeAlias = Literal["identity", "softplus", "log", "variance", "log_variance"]

@type_check_only
class _DLPack(Protocol):
    def __dlpack__(self) -> Any: ...

# A prediction that is an array, so that its gradient is one; that of one number is a float.
_Arrays: TypeAlias = NDArray[Any] | Sequence[Any] | memoryview | _DLPack
_Grad: TypeAlias = _Array | float
_Out: TypeAlias = _Array | None
_Outs: TypeAlias = tuple[_Out, _Out] | None
_OutPair: TypeAlias = tuple[_Out, _Out] | None
_OutsPair: TypeAlias = tuple[_Outs, _Outs] | None

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
class _BinaryOptions(_Common, total=False):
    pos_weight: ArrayLike | None

@type_check_only
class _GaussianOptions(_Common, total=False):
    link: _ScaleLink
    full: bool

@type_check_only
class _GammaOptions(_Common, total=False):
    link: _PositiveLink
    full: bool

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

# Three lines a signature, not twelve:
# fmt: off

@final
@type_check_only
class _CrossEntropy(RowwiseLoss):
    @overload
    def __call__(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_ClassOptions],
    ) -> float: ...
    @overload
    def __call__(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_ClassOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_ClassOptions],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_ClassOptions],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_ClassOptions],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_ClassOptions],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_ClassOptions],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _BinaryCrossEntropy(PointwiseLoss):
    @overload
    def __call__(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_BinaryOptions],
    ) -> float: ...
    @overload
    def __call__(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_BinaryOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Out = ..., **options: Unpack[_BinaryOptions],
    ) -> tuple[float, _Array]: ...
    @overload
    def value_and_grad(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Out = ..., **options: Unpack[_BinaryOptions],
    ) -> tuple[_Array, _Array]: ...
    def grad(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Out = ..., **options: Unpack[_BinaryOptions],
    ) -> _Array: ...
    @overload
    def value_grad_hess(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutPair = ..., **options: Unpack[_BinaryOptions],
    ) -> tuple[float, _Array, _Array]: ...
    @overload
    def value_grad_hess(self, logits: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutPair = ..., **options: Unpack[_BinaryOptions],
    ) -> tuple[_Array, _Array, _Array]: ...

@final
@type_check_only
class _GaussianNLL(PointwiseLoss):
    @overload
    def __call__(self, mean: ArrayLike, scale: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_GaussianOptions],
    ) -> float: ...
    @overload
    def __call__(self, mean: ArrayLike, scale: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_GaussianOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, mean: _Arrays, scale: float, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[float, tuple[_Array, float]]: ...
    @overload
    def value_and_grad(self, mean: _Arrays, scale: float, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[_Array, tuple[_Array, float]]: ...
    @overload
    def value_and_grad(self, mean: _Arrays, scale: _Arrays, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[float, tuple[_Array, _Array]]: ...
    @overload
    def value_and_grad(self, mean: _Arrays, scale: _Arrays, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[_Array, tuple[_Array, _Array]]: ...
    @overload
    def value_and_grad(self, mean: ArrayLike, scale: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[float, tuple[_Grad, _Grad]]: ...
    @overload
    def value_and_grad(self, mean: ArrayLike, scale: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[_Array, tuple[_Grad, _Grad]]: ...
    @overload
    def grad(self, mean: _Arrays, scale: float, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[_Array, float]: ...
    @overload
    def grad(self, mean: _Arrays, scale: _Arrays, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[_Array, _Array]: ...
    @overload
    def grad(self, mean: ArrayLike, scale: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[_Grad, _Grad]: ...
    @overload
    def value_grad_hess(self, mean: _Arrays, scale: float, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[float, tuple[_Array, float], tuple[_Array, float]]: ...
    @overload
    def value_grad_hess(self, mean: _Arrays, scale: float, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[_Array, tuple[_Array, float], tuple[_Array, float]]: ...
    @overload
    def value_grad_hess(self, mean: _Arrays, scale: _Arrays, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[float, tuple[_Array, _Array], tuple[_Array, _Array]]: ...
    @overload
    def value_grad_hess(self, mean: _Arrays, scale: _Arrays, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[_Array, tuple[_Array, _Array], tuple[_Array, _Array]]: ...
    @overload
    def value_grad_hess(self, mean: ArrayLike, scale: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[float, tuple[_Grad, _Grad], tuple[_Grad, _Grad]]: ...
    @overload
    def value_grad_hess(self, mean: ArrayLike, scale: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_GaussianOptions],
    ) -> tuple[_Array, tuple[_Grad, _Grad], tuple[_Grad, _Grad]]: ...

@final
@type_check_only
class _GammaNLL(PointwiseLoss):
    @overload
    def __call__(self, shape: ArrayLike, rate: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., **options: Unpack[_GammaOptions],
    ) -> float: ...
    @overload
    def __call__(self, shape: ArrayLike, rate: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, **options: Unpack[_GammaOptions],
    ) -> _Array: ...
    @overload
    def value_and_grad(self, shape: _Arrays, rate: float, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[float, tuple[_Array, float]]: ...
    @overload
    def value_and_grad(self, shape: _Arrays, rate: float, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[_Array, tuple[_Array, float]]: ...
    @overload
    def value_and_grad(self, shape: _Arrays, rate: _Arrays, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[float, tuple[_Array, _Array]]: ...
    @overload
    def value_and_grad(self, shape: _Arrays, rate: _Arrays, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[_Array, tuple[_Array, _Array]]: ...
    @overload
    def value_and_grad(self, shape: ArrayLike, rate: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _Outs = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[float, tuple[_Grad, _Grad]]: ...
    @overload
    def value_and_grad(self, shape: ArrayLike, rate: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _Outs = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[_Array, tuple[_Grad, _Grad]]: ...
    @overload
    def grad(self, shape: _Arrays, rate: float, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[_Array, float]: ...
    @overload
    def grad(self, shape: _Arrays, rate: _Arrays, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[_Array, _Array]: ...
    @overload
    def grad(self, shape: ArrayLike, rate: ArrayLike, target: ArrayLike, /, *,
        reduction: _Any = ..., out: _Outs = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[_Grad, _Grad]: ...
    @overload
    def value_grad_hess(self, shape: _Arrays, rate: float, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[float, tuple[_Array, float], tuple[_Array, float]]: ...
    @overload
    def value_grad_hess(self, shape: _Arrays, rate: float, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[_Array, tuple[_Array, float], tuple[_Array, float]]: ...
    @overload
    def value_grad_hess(self, shape: _Arrays, rate: _Arrays, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[float, tuple[_Array, _Array], tuple[_Array, _Array]]: ...
    @overload
    def value_grad_hess(self, shape: _Arrays, rate: _Arrays, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[_Array, tuple[_Array, _Array], tuple[_Array, _Array]]: ...
    @overload
    def value_grad_hess(self, shape: ArrayLike, rate: ArrayLike, target: ArrayLike, /, *,
        reduction: _Reduced = ..., out: _OutsPair = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[float, tuple[_Grad, _Grad], tuple[_Grad, _Grad]]: ...
    @overload
    def value_grad_hess(self, shape: ArrayLike, rate: ArrayLike, target: ArrayLike, /, *,
        reduction: _None, out: _OutsPair = ..., **options: Unpack[_GammaOptions],
    ) -> tuple[_Array, tuple[_Grad, _Grad], tuple[_Grad, _Grad]]: ...

@overload
def loss_named(name: Literal["cross_entropy"]) -> _CrossEntropy: ...
@overload
def loss_named(name: Literal["binary_cross_entropy"]) -> _BinaryCrossEntropy: ...
@overload
def loss_named(name: Literal["gaussian_nll"]) -> _GaussianNLL: ...
@overload
def loss_named(name: Literal["gamma_nll"]) -> _GammaNLL: ...
@overload
def loss_named(name: str) -> Loss: ...
def losses() -> list[Loss]: ...
