"""The kinds of models that the installed mlx-lm can build, without importing it."""

import ast
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

_REMAPPING = re.compile(r"^MODEL_REMAPPING = (\{.*?^\})", re.MULTILINE | re.DOTALL)


def is_known(model_type: str) -> bool:
    """True also where nobody can tell: the loader then says it."""
    package = _package()
    remapping = None if package is None else read_remapping((package / "utils.py").read_text())
    if package is None or remapping is None:
        return True
    module = f"{remapping.get(model_type, model_type)}.py"
    # A Mac's disk would find klear.py where Klear.py lies; an import would not.
    return module in {file.name for file in (package / "models").iterdir()}


def read_remapping(source: str) -> Mapping[str, str] | None:
    """Which module builds a kind that has none of its own, as mlx_lm/utils.py says."""
    found = _REMAPPING.search(source)
    try:
        value: object = ast.literal_eval(found[1]) if found is not None else None
    except (ValueError, SyntaxError):
        return None
    if not isinstance(value, dict):
        return None
    return {str(kind): str(module) for kind, module in value.items()}


def _package() -> Path | None:
    spec = find_spec("mlx_lm")
    locations = None if spec is None else spec.submodule_search_locations
    return next((Path(place) for place in locations or ()), None)
