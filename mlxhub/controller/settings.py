"""What the controller's own plist tells it; everything else it reads from hub.yaml."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mlxhub.core.agents import BY_HAND
from mlxhub.core.config import LogLevel, Port


class ControllerSettings(BaseModel):
    """`keys`: the directory of the hub's keys. `socket`: where processes of the same user need none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Port = 8000
    log_level: LogLevel = "INFO"
    log_file: Path | None = None
    generation: str = BY_HAND
    keys: Path
    socket: Path
