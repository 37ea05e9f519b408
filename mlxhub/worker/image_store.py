"""Pictures that clients fetch by address: for an hour, in a directory within bounds."""

import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from loguru import logger

SECONDS = 3600.0
MOST_IMAGES = 200
MOST_BYTES = 500_000_000


class ImageStore:
    """What was there before it, an earlier process has left. Blocks; from any thread but the event loop's."""

    def __init__(self, directory: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`directory` is its own; None: one that goes with it."""
        self._directory = directory
        self._clock = clock
        self._kept: dict[str, tuple[float, int]] = {}
        self._is_ready = False
        self._lock = threading.Lock()

    def keep(self, png: bytes) -> str:
        """Its id, that nobody can guess. Raises OSError."""
        image_id = uuid.uuid4().hex
        with self._lock:
            (self._ready() / f"{image_id}.png").write_bytes(png)
            self._kept[image_id] = (self._clock(), len(png))
            self._forget()
        return image_id

    def find(self, image_id: str) -> bytes | None:
        with self._lock:
            self._forget()
            if image_id not in self._kept or self._directory is None:
                return None
            with suppress(OSError):
                return (self._directory / f"{image_id}.png").read_bytes()
        return None

    def close(self) -> None:
        with self._lock:
            self._kept.clear()
            if self._is_ready and self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)

    def _ready(self) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="mlxhub-images-"))
        elif not self._is_ready:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory.mkdir(parents=True, mode=0o700)
        self._is_ready = True
        return self._directory

    def _forget(self) -> None:
        """The oldest first."""
        now = self._clock()
        total = sum(size for _, size in self._kept.values())
        for image_id, (kept_at, size) in list(self._kept.items()):
            if now - kept_at <= SECONDS and len(self._kept) <= MOST_IMAGES and total <= MOST_BYTES:
                return
            del self._kept[image_id]
            total -= size
            self._delete(image_id)

    def _delete(self, image_id: str) -> None:
        assert self._directory is not None
        try:
            (self._directory / f"{image_id}.png").unlink(missing_ok=True)
        except OSError as error:
            logger.warning("A picture cannot be deleted: {}", error)
