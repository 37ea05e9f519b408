import math

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from mlxhub.worker.engines.cpu_layers import NumpyLinear, RationalGelu, replace_slow_layers


def test_it_is_gelu() -> None:
    points = np.concatenate([np.linspace(-12, 12, 48_001), [-1e30, -100, 100, 1e30]]).astype(np.float32)
    told = np.array(RationalGelu()(mx.array(points)))
    true = np.array([x * math.erfc(-x / math.sqrt(2)) / 2 for x in points.astype(float)])
    assert np.max(np.abs(told - true) / np.maximum(1, np.abs(points))) < 2.5e-7
    assert told[24_000] == 0


def test_halves_stay_halves() -> None:
    halves = mx.array([-1.5, 0.25, 3]).astype(mx.float16)
    told = RationalGelu()(halves)
    assert told.dtype == mx.float16
    assert mx.allclose(told, nn.gelu(halves), atol=1e-3)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_it_is_linear(shape: tuple[int, ...], *, bias: bool) -> None:
    linear = nn.Linear(5, 7, bias=bias)
    given = mx.random.normal(shape)
    told = NumpyLinear(linear)(given)
    assert told.shape == (*shape[:-1], 7)
    assert mx.allclose(told, linear(given), atol=1e-6)
    # Turned, as attention leaves its heads.
    turned = mx.random.normal(shape[::-1]).transpose()
    assert mx.allclose(NumpyLinear(linear)(turned), linear(turned), atol=1e-6)


class _Layers(nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.exact = nn.GELU()
        self.nested = [nn.Sequential(nn.Linear(2, 2), nn.GELU()), nn.GELU("fast")]
        self.half = nn.Linear(2, 2)
        self.half.set_dtype(mx.float16)


def test_slow_ones_are_replaced_and_no_other() -> None:
    layers = _Layers()
    weight = layers.nested[0].layers[0].weight
    replace_slow_layers(layers)
    assert type(layers.exact) is RationalGelu
    linear, gelu = layers.nested[0].layers
    assert (type(linear), type(gelu)) == (NumpyLinear, RationalGelu)
    assert linear.weight is weight
    assert type(layers.nested[1]) is nn.GELU
    assert type(layers.half) is nn.Linear
