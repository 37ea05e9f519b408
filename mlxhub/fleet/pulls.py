"""Models that come from a hub, or go, with this machine's cache and hub.yaml in view."""

from collections.abc import Mapping

from mlxhub.errors import PullFailed
from mlxhub.files.hub_yaml import read_hub_yaml
from mlxhub.files.huggingface import cache_directory
from mlxhub.files.machine import Machine
from mlxhub.registry.pulling import Pull, remove_from_cache


def begin_pull(machine: Machine, repo: str, environment: Mapping[str, str]) -> Pull:
    """`environment`: of who asked for it: its proxies and tokens. Raises PullFailed."""
    return Pull(repo, cache_directory(machine.runtime.environment, machine.home), environment)


def remove_model(machine: Machine, repo: str, environment: Mapping[str, str]) -> int:
    """Bytes that are free again. Raises ConfigError, and PullFailed, also where it is a model of hub.yaml."""
    if repo.startswith(("/", "~", ".")):
        raise PullFailed("not_found", f"{repo} is a directory of yours: mlxhub deletes from the cache only.")
    config = machine.paths.config
    models = read_hub_yaml(config).models if config.exists() else ()
    if names := [model.name for model in models if repo in (model.model_path, model.draft_model)]:
        raise PullFailed(
            "in_use",
            f"{repo} is in hub.yaml as {', '.join(names)}. First: mlxhub models disable {names[0]}, "
            "then mlxhub apply",
        )
    return remove_from_cache(repo, cache_directory(machine.runtime.environment, machine.home), environment)
