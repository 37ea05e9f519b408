"""`python -m mlxhub`: what plists run, and the same as the `mlxhub` command."""

from mlxhub.cli.main import main

if __name__ == "__main__":
    main()
