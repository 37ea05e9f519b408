"""Models on this machine's disks: what there is, and how one gets into hub.yaml and out of it again."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlxhub import demo
from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.described import TYPES, Described
from mlxhub.core.engine_options import RESERVED_NAMES
from mlxhub.core.hub_edit import NotEditable, with_model, with_model_again, without_model
from mlxhub.core.memory import Use, context_length_of
from mlxhub.core.model_type import ModelType
from mlxhub.core.paths import expand_home, model_location
from mlxhub.errors import HubYamlLeftAlone, UnknownCheckpoint, UnknownModel, size_text
from mlxhub.files.hub_yaml import edit_hub_yaml, read_hub_yaml
from mlxhub.files.huggingface import cache_directory
from mlxhub.files.machine import Machine
from mlxhub.protocol.registry import DiscoveredList, DiscoveredModel
from mlxhub.registry.checkpoint_size import read_checkpoint
from mlxhub.registry.discovery import Discovered, Discovery, discover
from mlxhub.registry.intake_probe import Candidate, refusals

_INTAKE_SECONDS = 15.0
_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Enabled:
    """`again`: its entry was there as a comment."""

    name: str
    again: bool


def look_for_models(machine: Machine, config: HubConfig) -> Discovery:
    """In the Hugging Face cache, and where hub.yaml says. Blocks. Raises StateUnwritable."""
    cache = cache_directory(machine.runtime.environment, machine.home)
    named = [expand_home(path, machine.home) for path in config.discovery.paths]
    return discover([cache, *named], machine.paths.discovered, _usual_use(machine))


def discovered_models(machine: Machine, config: HubConfig, limit_bytes: int | None) -> DiscoveredList:
    """As `look_for_models`, for people and programs. `limit_bytes`: what all models may take together."""
    discovery = look_for_models(machine, config)
    views = [_view(found, _names_of(found, config, machine), limit_bytes) for found in discovery.models]
    return DiscoveredList(models=views, complete=discovery.is_complete)


def context_length(machine: Machine, config: HubConfig, model: ModelConfig) -> int | None:
    """Tokens that a model of hub.yaml holds, by its files and by hub.yaml; None: its files are not there.

    Blocks. Raises StateUnwritable.
    """
    if model.model_path is None:
        return model.context_length
    if (built_in := demo.find(model.model_path)) is not None:
        own: int | None = context_length_of(read_checkpoint(built_in).config)
    else:
        found = look_for_models(machine, config).models
        described = (each.described for each in found if model.name in _names_of(each, config, machine))
        if (known := next(described, None)) is None:
            return model.context_length
        own = known.context_length
    return None if own is None else min(own, model.context_length or own)


def enable_model(machine: Machine, wanted: str, name: str | None = None) -> Enabled:
    """`wanted`: an entry that is a comment in hub.yaml, a repo id, the last part of one, or a directory.

    Raises ConfigError, UnknownCheckpoint, and HubYamlLeftAlone where it cannot be loaded or written.
    """
    path = machine.paths.config
    config = read_hub_yaml(path)
    if config.find(wanted) is not None:
        raise HubYamlLeftAlone(f'Model "{wanted}" is in {path} already.')
    if name is None and edit_hub_yaml(machine.paths, lambda text: with_model_again(text, wanted) or text):
        return Enabled(wanted, again=True)
    found = _find(look_for_models(machine, config), wanted, machine)
    if name is None and (there := _names_of(found, config, machine)):
        raise HubYamlLeftAlone(
            f"{found.name} is in {path} already, as {', '.join(there)}. Another time: --name NAME"
        )
    described = _require_loadable(found)
    taken = {*RESERVED_NAMES, *(model_id for other in config.models for model_id in other.ids)}
    chosen = name or free_name(found.name, taken)
    entry = {"name": chosen, "model_path": found.name}
    if (model_type := TYPES[described.kind]) is not ModelType.LM:
        entry["model_type"] = model_type.value

    def add(text: str) -> str:
        try:
            return with_model(text, entry, about(described))
        except NotEditable as error:
            raise HubYamlLeftAlone(
                f"{path} is left as it is: {error}. Add this by hand: "
                f"- {{name: {chosen}, model_path: {found.name!r}}}"
            ) from error

    edit_hub_yaml(machine.paths, add)
    return Enabled(chosen, again=False)


def disable_model(machine: Machine, name: str) -> None:
    """Its entry becomes a comment. Raises ConfigError, UnknownModel, and HubYamlLeftAlone."""
    path = machine.paths.config
    config = read_hub_yaml(path)

    def take_out(text: str) -> str:
        try:
            return without_model(text, name)
        except KeyError:
            raise UnknownModel(name, tuple(model.name for model in config.models)) from None
        except NotEditable as error:
            raise HubYamlLeftAlone(
                f"{path} is left as it is: {error}. Take the model out by hand."
            ) from error

    edit_hub_yaml(machine.paths, take_out)


def _names_of(found: Discovered, config: HubConfig, machine: Machine) -> list[str]:
    """The models of hub.yaml that are this one."""
    base = machine.paths.config.parent
    return [
        model.name
        for model in config.models
        if model.model_path is not None
        and model_location(model.model_path, home=machine.home, base=base) in (found.name, found.directory)
    ]


def _view(found: Discovered, names: list[str], limit_bytes: int | None) -> DiscoveredModel:
    view = DiscoveredModel(
        model_path=found.name,
        directory=found.directory,
        models=names,
        size_bytes=found.size_bytes,
        fault=found.fault,
    )
    if (described := found.described) is None:
        return view
    return view.model_copy(
        update={
            "family": described.family,
            "kind": described.kind,
            "parameters": described.parameters,
            "quantisation": described.quantisation,
            "context_length": described.context_length,
            "needed_bytes": described.needed_bytes,
            "tier": described.tier,
            "fits": None if limit_bytes is None else described.needed_bytes <= limit_bytes,
        }
    )


def _find(discovery: Discovery, wanted: str, machine: Machine) -> Discovered:
    place = str(expand_home(wanted, machine.home)) if wanted.startswith(("~", "/")) else wanted
    exact = [found for found in discovery.models if place in (found.name, found.directory)]
    alike = exact or [found for found in discovery.models if Path(found.name).name == wanted]
    if not alike:
        raise UnknownCheckpoint(wanted)
    if len(alike) > 1:
        raise HubYamlLeftAlone(
            f'"{wanted}" can mean {" or ".join(found.name for found in alike)}. Say which.'
        )
    return alike[0]


def loadable(models: Sequence[Discovered]) -> list[Discovered]:
    """Those that intake lets pass."""
    candidates = {
        found.name: Candidate(found.directory, TYPES[found.described.kind])
        for found in models
        if found.described is not None
    }
    refused = refusals(list(candidates.values()), _INTAKE_SECONDS)
    return [found for found in models if found.name in candidates and refused[candidates[found.name]] is None]


def _require_loadable(found: Discovered) -> Described:
    """Raises HubYamlLeftAlone with what is against it."""
    if found.described is None:
        raise HubYamlLeftAlone(f"{found.name} cannot be loaded: {found.fault}")
    candidate = Candidate(found.directory, TYPES[found.described.kind])
    if (refusal := refusals([candidate], _INTAKE_SECONDS)[candidate]) is not None:
        raise HubYamlLeftAlone(f"{found.name} cannot be loaded: {refusal.what}. {refusal.remedy}.")
    return found.described


def free_name(model: str, taken: Collection[str]) -> str:
    """As its repository is called, as far as names allow that."""
    slug = (
        _NOT_IN_NAMES.sub("-", Path(model).name.lower()).strip("-._")[:_LONGEST_NAME].rstrip("-._") or "model"
    )
    names: Sequence[str] = [slug, *(f"{slug[: _LONGEST_NAME - 4]}-{number}" for number in range(2, 1000))]
    return next(name for name in names if name not in taken)


def about(described: Described) -> str:
    """In a few words, as a comment in hub.yaml."""
    return (
        f"{described.family}, {parameters_text(described.parameters)} parameters, {described.quantisation}, "
        f"about {size_text(described.needed_bytes)} in memory"
    )


def parameters_text(count: int) -> str:
    return f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"


def _usual_use(machine: Machine) -> Use:
    """As of a model for which hub.yaml says nothing more."""
    usual = ModelConfig(name="usual", model_path="usual")
    return Use(
        context_length=usual.context_length,
        max_concurrency=usual.max_concurrency,
        prefill_step=usual.prefill_step,
        kv_bits=usual.kv_bits,
        # Of a CUDA machine this is too much: only MLX itself knows that there is one.
        slow_halves=not machine.is_mac,
        kept_entries=usual.prompt_cache.entries,
        kept_bytes=usual.prompt_cache.bytes,
    )
