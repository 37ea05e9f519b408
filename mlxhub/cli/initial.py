"""The hub.yaml that `mlxhub init` writes."""

from collections.abc import Callable, Sequence

from mlxhub.core.config import HubConfig
from mlxhub.core.hub_edit import with_model, without_model
from mlxhub.fleet.proposals import Proposal

_TEMPLATE = """\
# mlxhub: every model below is its own OpenAI-compatible server on its own port, kept alive by launchd.
# After an edit: mlxhub apply. `mlxhub config show` prints this file with every default filled in.

host: 127.0.0.1
port: {port}                     # the controller: routes by model, shows the hub at /hub
memory_limit: auto             # for all loaded models together; {machine}

models:
  # A tiny real transformer that comes with mlxhub, for a first answer before any download.
  - name: demo
    model_path: builtin:demo
"""
_EXAMPLE = """
  # Each may have more of these. Models on disk get here by: mlxhub models enable MODEL
  # - name: qwen3-4b             # what clients call it
  #   model_path: mlx-community/Qwen3-4B-4bit   # a Hugging Face repo id in the local cache, or a directory
  #   aliases: [gpt-4o-mini]     # other model ids that mean this model
  #   default: true              # its process starts at login
  #   preload: false             # true: load the weights as soon as the process is up
  #   auto_unload_minutes: 30    # idle time until the weights leave memory; null: never
"""


def initial_hub_yaml(is_free: Callable[[int], bool], machine_says: str, proposals: Sequence[Proposal]) -> str:
    """With the first free port from the default one on, so that the first install succeeds.

    `machine_says`: about this machine's memory.
    """
    first: int = HubConfig.model_fields["port"].default
    port = next((port for port in range(first, first + 100) if is_free(port)), first)
    text = _TEMPLATE.format(port=port, machine=machine_says)
    for proposal in proposals:
        text = with_model(text, {"name": proposal.name, "model_path": proposal.model_path}, proposal.comment)
    for proposal in proposals:
        if not proposal.is_on:
            text = without_model(text, proposal.name)
    return text + _EXAMPLE
