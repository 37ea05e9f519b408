"""A hub as a value: its models, each with the place where it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlxhub.core.agents import RenderedAgent, controller_label, worker_label
from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.paths import Paths, RunFiles
from mlxhub.errors import UnknownModel


@dataclass(frozen=True, slots=True)
class HubModel:
    """`generation` is the one hub.yaml asks for; an older one may still run."""

    config: ModelConfig
    port: int
    label: str
    plist: Path
    generation: str
    run_files: RunFiles

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def log(self) -> Path:
        return self.run_files.log


@dataclass(frozen=True, slots=True)
class Hub:
    """`models` by name in the order of hub.yaml; `names` from every name and alias to the name."""

    config: HubConfig
    controller_label: str
    models: Mapping[str, HubModel]
    names: Mapping[str, str]

    def find(self, model_id: str) -> HubModel:
        """By name or alias. Raises UnknownModel."""
        try:
            return self.models[self.names[model_id]]
        except KeyError:
            raise UnknownModel(model_id, tuple(self.models)) from None

    def named(self, name: str) -> HubModel:
        """By name alone. Raises UnknownModel."""
        try:
            return self.models[name]
        except KeyError:
            raise UnknownModel(name, tuple(self.models)) from None


def make_hub(
    config: HubConfig, ports: Mapping[str, int], paths: Paths, agents: Mapping[str, RenderedAgent]
) -> Hub:
    """`agents` as `render_hub` gives them, by label."""
    models = {}
    for model in config.models:
        label = worker_label(config, model.name)
        models[model.name] = HubModel(
            config=model,
            port=ports[model.name],
            label=label,
            plist=paths.plist(label),
            generation=agents[label].generation,
            run_files=paths.run_files(model.name),
        )
    names = {model_id: model.name for model in config.models for model_id in model.ids}
    return Hub(config=config, controller_label=controller_label(config), models=models, names=names)
