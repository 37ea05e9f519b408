"""Run a worker from settings given as JSON: the process that the tests in this directory talk to."""

import os
import sys

from mlxhub.core.config import WorkerSettings
from mlxhub.worker.main import run_worker

if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(run_worker(WorkerSettings.model_validate_json(sys.argv[1]), "test"))
