"""Layers of encoders whose MLX versions are slow on a CPU, and in which most of a batch's time would go.

MLX's wheel for Linux multiplies matrices by a reference BLAS, thirty times as slowly as numpy's OpenBLAS, and
its erf takes 22 ns for each number, one after the other.
"""

from functools import partial
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_map

# (Phi(x) - 1/2) / x, Phi being the normal distribution, as a quotient of polynomials in x², lowest power
# first: least squares on Chebyshev nodes, reweighted until all its peaks are alike (Lawson), 3e-9 each.
# From `_END` on, 1 - Phi is 1e-7.
_END = 5.2
_ABOVE = (
    0.3989422610308368,
    0.03254456257345692,
    0.004608645914094479,
    0.0001568616984959843,
    6.4078929488844366e-06,
    2.473114578415949e-08,
)
_BELOW = (
    1.0,
    0.24824346264763342,
    0.02792669497186388,
    0.0018172032146470919,
    7.04961534975436e-05,
    1.2588693267510478e-06,
)


class NumpyLinear(nn.Module):  # type: ignore[misc,name-defined]
    """As the nn.Linear that it is made of, in float32. It shares its weights, and is not lazy."""

    def __init__(self, linear: Any) -> None:
        super().__init__()
        self.weight = linear.weight
        self._transposed = np.asarray(linear.weight).T
        self._bias = np.asarray(linear.bias) if "bias" in linear else None

    def __call__(self, x: mx.array) -> mx.array:
        product = np.asarray(x).reshape(-1, x.shape[-1]) @ self._transposed
        if self._bias is not None:
            product += self._bias
        return mx.array(product).reshape(*x.shape[:-1], -1)


class RationalGelu(nn.Module):  # type: ignore[misc,name-defined]
    """x Phi(x). Wrong by 2.5e-7 of max(1, |x|) at most, in float32, where MLX's is by 2e-7."""

    def __call__(self, x: mx.array) -> mx.array:
        return _gelu(x)


def replace_slow_layers(model: Any) -> None:
    is_leaf = nn.Module.is_module  # type: ignore[attr-defined]
    model.update_modules(tree_map(_replaced, model.leaf_modules(), is_leaf=is_leaf))


def _replaced(layer: Any) -> Any:
    if type(layer) is nn.Linear and layer.weight.dtype == mx.float32:  # type: ignore[attr-defined]
        return NumpyLinear(layer)
    if type(layer) is not nn.GELU:  # type: ignore[attr-defined]
        return layer
    approximates = layer._approx != "none"  # noqa: SLF001 - it has no other name
    return layer if approximates else RationalGelu()


@partial(mx.compile, shapeless=True)
def _gelu(x: mx.array) -> mx.array:
    wide = x.astype(mx.float32)
    within = mx.clip(wide, -_END, _END)
    square = within * within
    phi = 0.5 + within * (_polynomial(_ABOVE, square) / _polynomial(_BELOW, square))
    return (wide * phi).astype(x.dtype)


def _polynomial(coefficients: tuple[float, ...], x: mx.array) -> mx.array:
    *others, value = (mx.array(each) for each in coefficients)
    for each in reversed(others):
        value = value * x + each
    return value
