"""Matrices on Linux: by the system's OpenBLAS, where it has one, not by the reference BLAS in MLX's wheel.

The latter multiplies large ones at 6 GFLOPS where OpenBLAS does at 74 (docs/performance.md).
"""

import ctypes
import sys

_OPENBLAS = "libopenblas.so.0"


def use_openblas() -> bool:
    """Whether there is one. Before this process first imports MLX, which is bound to one or the other."""
    if sys.platform != "linux":
        return False
    try:
        # The dynamic linker looks among global symbols before those of the libraries that MLX names.
        ctypes.CDLL(_OPENBLAS, ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
