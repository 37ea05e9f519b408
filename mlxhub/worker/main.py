"""The worker's process: from settings to an exit code. Its heavy part is imported when it may run."""

import contextlib
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from mlxhub.core.config import RunRecords, WorkerSettings
from mlxhub.core.paths import RunFiles
from mlxhub.files.imports import collector_at_rest
from mlxhub.files.recorded_run import Ending, run_recorded
from mlxhub.logs import configure_logs

OPEN_FILES = 8192


def run_worker(
    settings: WorkerSettings, generation: str, last_exit: Callable[[str], str | None] = lambda _label: None
) -> int:
    """Serve one model until SIGTERM, unless it died too often of late; the exit code.

    `last_exit`: how the last process of this label ended, as far as launchd says.
    """
    # A worker reads local files only, whatever a model's configuration asks for.
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    log_file = Path(settings.log_file) if settings.log_file else None

    def open_log() -> None:
        configure_logs(settings.log_level, log_file)

    def program() -> Ending:
        _allow_open_files()
        with collector_at_rest():
            from mlxhub.worker.serving import serve_model  # noqa: PLC0415 - its failure is written down

        return serve_model(settings, generation, files)

    files = _run_files(settings.name, settings.records, log_file)
    if files is None or settings.records is None:
        open_log()
        ending = program()
    else:
        label = settings.records.label
        ending = run_recorded(
            files,
            program,
            open_log=open_log,
            last_exit=lambda: last_exit(label),
        )
    if not ending.cleanly or "mlx.core" in sys.modules:
        # All is done and written. A worker with a model was once seen to end by SIGABRT after this; whatever
        # the teardown of native libraries does, launchd must not take a stop for a crash and undo it.
        with contextlib.suppress(OSError, AttributeError):  # nobody reads them, or there are none
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(ending.exit_code)
    return ending.exit_code


def _run_files(name: str, records: RunRecords | None, log_file: Path | None) -> RunFiles | None:
    """None: somebody runs it by hand, and nothing is written down."""
    if records is None or log_file is None:
        return None
    return RunFiles(name=name, runs=Path(records.runs), parked=Path(records.parked), log=log_file)


def _allow_open_files() -> None:
    """macOS starts agents with 256, which eight streams and a model's shards can exhaust."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
