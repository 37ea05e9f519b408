"""hub.yaml: text to a value, with every fault and its line reported at once."""

import re
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from mlxhub.core.access import is_loopback
from mlxhub.core.collisions import collisions
from mlxhub.core.document import Document, Location, Value, read_document
from mlxhub.core.engine_options import EngineOptions, Name, Reading, Strict
from mlxhub.core.sizes import AUTO, parse_ceiling, parse_size
from mlxhub.errors import ConfigError, Fault

WORKER_INFIX = ".worker."
LABEL_PREFIX_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_HOST_PATTERN = re.compile(r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")

Port = Annotated[int, Field(ge=1, le=65535)]
ApiKey = Literal["optional", "required"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


def _size(text: str) -> str:
    parse_size(text)
    return text


def _ceiling(text: str) -> str:
    parse_ceiling(text, total_bytes=0)
    return text


Size = Annotated[str, AfterValidator(_size)]
Ceiling = Annotated[str, AfterValidator(_ceiling)]


class ModelConfig(EngineOptions):
    """One entry of `models:`."""

    port: Port | None = Field(None, description="Fixed port; null: assigned once and remembered.")
    default: bool = Field(True, description="Its process starts at login and at install.")
    log_level: LogLevel | None = Field(None, description="null: as the hub's.")
    group: Name | None = Field(None, description="Of `groups`; null: none.")
    pinned: bool = Field(False, description="Never unloaded to make room for another.")
    memory_limit: Size | None = Field(
        None, description="Memory that is reserved for it while it is loaded; null: as estimated."
    )


class GroupConfig(Strict):
    """One entry of `groups:`."""

    name: Name = Field(description="Slug.")
    max_loaded: int = Field(ge=1, description="Models of it that may be in memory at once.")
    idle_unload_trigger_min: float | None = Field(
        None, ge=0, description="Minutes of idleness after which one makes room for another; null: never."
    )


class RunRecords(Strict):
    """Where a process that launchd runs under this label writes down what becomes of it."""

    label: str
    runs: str
    parked: str


class LimitPlaces(Strict):
    """The file a worker reads at each load, and the directory of the locks by which it takes what it may."""

    file: str
    locks: str


class WorkerSettings(EngineOptions):
    """What the plist of a worker carries: everything it needs, for it never reads hub.yaml.

    Without `records` nothing is written down and nothing keeps it from running, and without `keys`, the
    directory of the hub's keys, no route asks for one, and without `limits` it may take what there is:
    somebody runs it by hand. `stored_prompts`: where what `prompt_cache.disk_bytes` allows is kept.
    `kept_images`: where pictures are that clients fetch.
    """

    port: Port
    log_level: LogLevel = "INFO"
    log_file: str | None = None
    records: RunRecords | None = None
    api_key: ApiKey = "optional"
    keys: str | None = None
    stored_prompts: str | None = None
    kept_images: str | None = None
    limits: LimitPlaces | None = None


class DiscoveryConfig(Strict):
    """Where models are looked for that hub.yaml does not name."""

    paths: tuple[str, ...] = Field(
        (), strict=False, description="Directories with models, besides the Hugging Face cache."
    )


class HubConfig(Strict):
    """A whole hub.yaml."""

    api_key: ApiKey = Field("optional", description="Whether /v1 needs the API key: optional or required.")
    host: str = Field(
        "127.0.0.1", description="The controller's address. One that others reach needs `api_key: required`."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), strict=False, description="Names by which a proxy or other machines call the controller."
    )
    port: Port = Field(8000, description="The controller's port.")
    model_starting_port: Port = Field(47850, description="First port for models that name none.")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_path: str | None = Field(None, min_length=1, description="Directory; null: the platform's own.")
    enable_status_page: bool = Field(True, description="false: /hub answers 404.")
    label_prefix: str = Field(
        "io.mlxhub",
        pattern=rf"^{LABEL_PREFIX_PATTERN.pattern}$",
        description="First part of every launchd label. Two hubs of one user need two.",
    )
    memory_limit: Ceiling = Field(
        AUTO, description="Memory for all loaded models together: auto, a size (48GB) or a share (75%)."
    )
    discovery: DiscoveryConfig = Field(DiscoveryConfig(), description="Where else models are looked for.")
    models: tuple[ModelConfig, ...] = Field((), strict=False, description="The models of this hub.")
    groups: tuple[GroupConfig, ...] = Field(
        (), strict=False, description="Sets of models of which only so many are in memory at once."
    )

    @field_validator("host")
    @classmethod
    def _others_need_a_key(cls, host: str, info: ValidationInfo) -> str:
        if host != "localhost":
            try:
                ip_address(host)
            except ValueError:
                raise ValueError("must be an address of this machine, such as 127.0.0.1 or 0.0.0.0") from None
        # Where api_key has a fault of its own, that one is told.
        if not is_loopback(host) and info.data.get("api_key") == "optional":
            raise ValueError("other machines reach this address, so add `api_key: required`")
        return host

    @field_validator("allowed_hosts")
    @classmethod
    def _allowed_hosts_are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST_PATTERN.fullmatch(host):
                raise ValueError("must be names such as studio.local or studio.local:8443")
        return hosts

    @field_validator("models", "groups", mode="before")
    @classmethod
    def _nothing_is_none_of_them(cls, entries: object) -> object:
        return () if entries is None else entries

    @field_validator("label_prefix")
    @classmethod
    def _prefix_is_no_workers(cls, prefix: str) -> str:
        if WORKER_INFIX in f".{prefix}.":
            raise ValueError(f'"{WORKER_INFIX}" stands between prefix and name of models: leave it out')
        return prefix

    def find(self, model_id: str) -> ModelConfig | None:
        """The model with this name or alias."""
        return next((model for model in self.models if model_id in model.ids), None)


def parse_config(text: str, *, source: str = "hub.yaml", testing: bool = False) -> HubConfig:
    """Raises ConfigError with every fault of the text. `testing` as of Reading."""
    document = read_document(text, source=source)
    faults = list(document.faults)
    if document.value is None and not faults:
        raise ConfigError((Fault(source, None, "is empty. Write a new one with: mlxhub init --force"),))
    if document.value is not None and not isinstance(document.value, dict):
        faults.append(Fault(source, 1, "must be a mapping, as in `port: 8000`."))
    config = None
    if isinstance(document.value, dict):
        try:
            config = HubConfig.model_validate(document.value, context=Reading(testing))
        except ValidationError as error:
            faults += [_fault(details, document, source) for details in error.errors()]
        faults += collisions(document, source, default_port=HubConfig.model_fields["port"].default)
    if faults or config is None:
        raise ConfigError(tuple(sorted(faults, key=lambda fault: fault.line or 0)))
    return config


def _fault(details: ErrorDetails, document: Document, source: str) -> Fault:
    location: Location = details["loc"]
    key = next((part for part in reversed(location) if isinstance(part, str)), "")
    owner = _owner(location, document.value)
    match details["type"]:
        case "extra_forbidden":
            message = f'unknown key "{key}"{owner}. See docs/hub-yaml.md for the keys there are.'
        case "missing":
            message = f'"{key}" is missing{owner}.'
        case "string_pattern_mismatch" if key == "name":
            what = "group" if location[0] == "groups" else "model"
            message = (
                f'"{details["input"]}" cannot be a {what} name. Use 1 to 63 of a-z 0-9 . _ -, '
                "beginning with a letter or digit."
            )
        case _:
            said = details["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
            said = re.sub("valid dictionary.*", "mapping, as in `name: value`", said)
            subject = owner.removeprefix(" of ") if isinstance(location[-1], int) else f"{key}{owner}"
            message = f"{subject}: {said[0].lower()}{said[1:]} (it is {details['input']!r:.60})."
    return Fault(source, document.line_of(location), message)


def _owner(location: Location, value: Value) -> str:
    entries = value.get(location[0]) if isinstance(value, dict) and isinstance(location[0], str) else None
    match location:
        case (("models" | "groups") as key, int(index), *_) if isinstance(entries, list):
            what = key.removesuffix("s")
            entry = entries[index] if index < len(entries) else None
            name = entry.get("name") if isinstance(entry, dict) else None
            return f' of {what} "{name}"' if isinstance(name, str) else f" of {what} no. {index + 1}"
    return ""
