"""The hub.yaml that `mlxhub init` writes."""

from collections.abc import Callable

from mlxhub.core.config import HubConfig

_TEMPLATE = """\
# mlxhub: every model below is its own OpenAI-compatible server on its own port, kept alive by launchd.
# After an edit: mlxhub reload. `mlxhub config show` prints this file with every default filled in.

host: 127.0.0.1
port: {port}                     # the controller: routes by model, shows the hub at /hub

models:
  # A tiny real transformer that comes with mlxhub, for a first answer before any download.
  - name: demo
    model_path: builtin:demo

  # A model of yours: a directory, or a Hugging Face repo id that is in the local cache
  # (download one with: hf download mlx-community/Qwen3-4B-4bit).
  # - name: qwen3-4b
  #   model_path: mlx-community/Qwen3-4B-4bit
  #   aliases: [gpt-4o-mini]     # other model ids that mean this model
  #   default: true              # its process starts at login
  #   preload: false             # true: load the weights as soon as the process is up
  #   auto_unload_minutes: 30    # idle time until the weights leave memory; null: never
"""


def initial_hub_yaml(is_free: Callable[[int], bool]) -> str:
    """With the first free port from the default one on, so that the first install succeeds."""
    first: int = HubConfig.model_fields["port"].default
    port = next((port for port in range(first, first + 100) if is_free(port)), first)
    return _TEMPLATE.format(port=port)
