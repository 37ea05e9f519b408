"""Directories of models, good and hostile."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlxhub.demo import model_directory
from mlxhub.registry.intake import check_model
from mlxhub.registry.refused import IntakeRefused


def demo_copy(directory: Path) -> Path:
    shutil.copytree(model_directory(), directory)
    return directory


def say(directory: Path, file: str, **said: Any) -> None:
    """What the file says already stays."""
    path = directory / file
    path.parent.mkdir(exist_ok=True)
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | said))


def safetensors(header: Any, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def why_refused(directory: Path, *, trust_remote_code: bool = False) -> str:
    with pytest.raises(IntakeRefused) as refused:
        check_model(directory, trust_remote_code=trust_remote_code)
    assert str(directory) not in str(refused.value)
    return str(refused.value)
