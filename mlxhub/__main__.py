"""`python -m mlxhub`: what plists run, and the same as the `mlxhub` command."""

import sys

from mlxhub.files.early_stop import end_cleanly_on_sigterm

# A stop may come while the rest is imported.
if sys.argv[1:2] in (["worker"], ["controller"]):
    end_cleanly_on_sigterm()

from mlxhub.cli.main import main

if __name__ == "__main__":
    main()
