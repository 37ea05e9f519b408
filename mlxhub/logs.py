"""One set-up of loguru for both programs: a rotated file, or the terminal when run by hand."""

import logging
import sys
from pathlib import Path
from types import FrameType

from loguru import logger

ROTATE_BYTES = 25_000_000
KEEP_FILES = 3
_FORMAT = "{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level:<7} {extra[request_id]} {message}"
_NO_REQUEST = {"request_id": "-"}


def configure_logs(level: str, file: Path | None) -> None:
    """With a file, nothing but a last traceback goes to stderr, which launchd keeps and nobody rotates."""
    logger.remove()
    logger.configure(extra=_NO_REQUEST)
    if file is None:
        logger.add(sys.stderr, level=level, format=_FORMAT, diagnose=False, backtrace=False)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        logger.add(
            file,
            level=level,
            format=_FORMAT,
            rotation=ROTATE_BYTES,
            retention=KEEP_FILES,
            diagnose=False,
            backtrace=False,
        )
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)


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
