import math

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from mlxhub.worker.engines.gelu import RationalGelu, replace_gelu


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


class _Layers(nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.exact = nn.GELU()
        self.nested = [nn.Sequential(nn.Linear(2, 2), nn.GELU()), nn.GELU("fast")]


def test_exact_ones_are_replaced_and_no_other() -> None:
    layers = _Layers()
    before = layers.nested[0].layers[0].weight
    replace_gelu(layers)
    assert type(layers.exact) is RationalGelu
    linear, gelu = layers.nested[0].layers
    assert type(gelu) is RationalGelu
    assert linear.weight is before
    assert type(layers.nested[1]) is nn.GELU
