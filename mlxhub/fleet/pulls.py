"""Models that come from a hub, or go, with this machine's cache and hub.yaml in view."""

from collections.abc import Mapping
from pathlib import Path

from mlxhub.core.agents import model_of
from mlxhub.core.differences import plist_facts
from mlxhub.core.paths import model_location
from mlxhub.errors import PullFailed
from mlxhub.files.hub_yaml import read_hub_yaml
from mlxhub.files.huggingface import cache_directory, cache_entry
from mlxhub.files.machine import Machine
from mlxhub.files.manifest import installed_agents
from mlxhub.registry.pulling import Pull, remove_from_cache, require_repo_id


def begin_pull(machine: Machine, repo: str, environment: Mapping[str, str]) -> Pull:
    """`environment`: of who asked for it: its proxies and tokens. Raises PullFailed."""
    return Pull(repo, cache_directory(machine.runtime.environment, machine.home), environment)


def remove_model(machine: Machine, repo: str, environment: Mapping[str, str]) -> int:
    """Bytes that are free again. Raises ConfigError, and PullFailed, also where a model of this hub is it."""
    if repo.startswith(("/", "~", ".")):
        raise PullFailed("not_found", f"{repo} is a directory of yours: mlxhub deletes from the cache only.")
    require_repo_id(repo)
    cache = cache_directory(machine.runtime.environment, machine.home)
    if names := _in_hub_yaml(machine, cache, repo):
        raise PullFailed(
            "in_use",
            f"{repo} is in hub.yaml as {', '.join(names)}. First: mlxhub models disable {names[0]}, "
            "then mlxhub apply",
        )
    if names := _installed(machine, cache, repo):
        raise PullFailed(
            "in_use", f"{repo} is still what {', '.join(names)} serves, as installed. First: mlxhub apply"
        )
    return remove_from_cache(repo, cache, environment)


def _in_hub_yaml(machine: Machine, cache: Path, repo: str) -> list[str]:
    """Names of the models that are it, or have it beside them."""
    config = machine.paths.config
    models = read_hub_yaml(config).models if config.exists() else ()
    places = {model.name: (model.model_path, model.draft_model) for model in models}
    return [
        name
        for name, paths in places.items()
        if any(
            _is_of(model_location(path, home=machine.home, base=config.parent), cache, repo)
            for path in paths
            if path is not None
        )
    ]


def _installed(machine: Machine, cache: Path, repo: str) -> list[str]:
    """hub.yaml may have changed since."""
    found = []
    for label, plist in installed_agents(machine.paths).items():
        facts = (plist_facts(plist.read_bytes()) if plist.exists() else None) or {}
        places = (facts[key] for key in ("model_path", "draft_model") if key in facts)
        if any(_is_of(place, cache, repo) for place in places):
            found.append(model_of(label) or label)
    return found


def _is_of(place: str, cache: Path, repo: str) -> bool:
    """A repo id, or a directory of it in the cache."""
    own = str(cache_entry(cache, repo))
    return place in (repo, own) or place.startswith(f"{own}/")
