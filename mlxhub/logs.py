"""One set-up of loguru for both programs: a file that rotates itself, or the terminal when run by hand."""

import logging
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from loguru import logger

from mlxhub.core.log_entry import as_entry
from mlxhub.core.plain_text import one_line
from mlxhub.files.log_files import LogFile, keep_log_space
from mlxhub.files.state import make_private_directory

if TYPE_CHECKING:
    from loguru import Record

# What a native library prints without end would grow between two starts, and launchd rotates nothing.
LOOK_EVERY_SECONDS = 60.0
_FORMAT = "{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level:<7} {extra[request_id]} {message}"
_NO_REQUEST = {"request_id": "-"}


def configure_logs(level: str, file: Path | None) -> None:
    """With a file, nothing but a last traceback goes to stderr, which launchd keeps.

    A process that has a log also keeps all logs of its hub within their limits, now and from time to time:
    the controller may be down.
    """
    logger.remove()
    logger.configure(extra=_NO_REQUEST, patcher=_keep_to_one_line)
    sink = _to_terminal if file is None else _Log(file)
    logger.add(sink, level=level, format=_FORMAT, diagnose=False, backtrace=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)


class _Log:
    """A sink of loguru, which calls it from one thread at a time and `stop` when it is replaced."""

    def __init__(self, file: Path) -> None:
        make_private_directory(file.parent)
        self._file = LogFile(file)
        self._stopped = threading.Event()
        keep_log_space(file.parent)
        threading.Thread(target=self._keep_space, args=(file.parent,), name="log-space", daemon=True).start()

    def write(self, message: str) -> None:
        self._file.write(as_entry(message).encode(errors="backslashreplace"))

    def stop(self) -> None:
        self._stopped.set()
        self._file.close()

    def _keep_space(self, directory: Path) -> None:
        while not self._stopped.wait(LOOK_EVERY_SECONDS):
            keep_log_space(directory)


def _to_terminal(message: str) -> None:
    sys.stderr.write(as_entry(message))


def _keep_to_one_line(record: "Record") -> None:
    """A logged value with a line break must not look like the next entry."""
    record["message"] = one_line(record["message"])


class _ToLoguru(logging.Handler):
    """Libraries log through the standard library; their lines belong in the same file."""

    def emit(self, record: logging.LogRecord) -> None:
        frame: FrameType | None = logging.currentframe()
        depth = 2
        while frame is not None and frame.f_code.co_filename == logging.__file__:
            frame, depth = frame.f_back, depth + 1
        logger.opt(depth=depth, exception=record.exc_info).log(
            record.levelname, "{}: {}", record.name, record.getMessage()
        )
