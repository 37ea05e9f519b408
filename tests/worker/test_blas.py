"""On Linux MLX multiplies by the system's OpenBLAS, where it has one; scripts/test installs Debian's."""

import os
import subprocess
import sys

import pytest

from mlxhub.worker.engines import blas

MULTIPLIES = """
from mlxhub.worker.engines.blas import use_openblas
assert use_openblas()
import mlx.core as mx
mx.set_default_device(mx.cpu)
mx.eval(mx.ones((64, 64)) @ mx.ones((64, 64)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a Mac has Accelerate")
def test_mlx_is_bound_to_it() -> None:
    environment = {**os.environ, "LD_DEBUG": "bindings"}
    ran = subprocess.run(
        [sys.executable, "-c", MULTIPLIES], env=environment, stderr=subprocess.PIPE, text=True, check=True
    )
    bound = [line for line in ran.stderr.splitlines() if "`cblas_sgemm'" in line and "libmlx" in line]
    assert bound
    assert all("libopenblas.so.0" in line.split(" to ")[1] for line in bound)


def test_without_it_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_OPENBLAS", "libopenblas-of-nobody.so.0")
    assert not blas.use_openblas()
