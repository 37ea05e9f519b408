"""hub.yaml: text to a value, with every fault and its line reported at once."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticKnownError

from mlxhub.core.access import is_loopback
from mlxhub.core.collisions import collisions
from mlxhub.core.document import Document, Location, Value, read_document
from mlxhub.core.model_type import NAMED_TYPES, ModelType
from mlxhub.core.sizes import AUTO, parse_ceiling, parse_size
from mlxhub.errors import ConfigError, Fault

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
WORKER_INFIX = ".worker."
LABEL_PREFIX_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
# Their logs lie beside those of the models.
RESERVED_NAMES = ("controller", "launchd")

# Of a command, what stands for the port it is given.
PORT_FIELD = "{port}"
_HOST_PATTERN = re.compile(r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")

Port = Annotated[int, Field(ge=1, le=65535)]
ApiKey = Literal["optional", "required"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Name = Annotated[str, Field(pattern=rf"^{NAME_PATTERN.pattern}$")]


def _size(text: str) -> str:
    parse_size(text)
    return text


def _ceiling(text: str) -> str:
    parse_ceiling(text, total_bytes=0)
    return text


Size = Annotated[str, AfterValidator(_size)]
Ceiling = Annotated[str, AfterValidator(_ceiling)]
# The formats of calls that mlx-lm has parsers for.
ToolCallParser = Literal[
    "function_gemma", "gemma4", "glm47", "json_tools", "kimi_k2", "kimi_k3", "laguna", "longcat", "minicpm5",
    "minimax_m2", "mistral", "muse_spark", "pythonic", "qwen3_coder",
]  # fmt: skip
ReasoningParser = Literal["none", "think", "deepseek_r1"]


@dataclass(frozen=True, slots=True)
class Reading:
    """The context in which options are validated. `testing`: the engine of tests may be named."""

    testing: bool


def _known_type(named: object, info: ValidationInfo) -> object:
    """Where nothing is tested the engine of tests is as unknown as any other word."""
    if named is None:
        return None
    testing = isinstance(info.context, Reading) and info.context.testing
    known = tuple(ModelType) if testing else NAMED_TYPES
    if named in known:
        return ModelType(str(named))
    raise PydanticKnownError("literal_error", {"expected": ", ".join(map(repr, map(str, NAMED_TYPES)))})


KnownType = Annotated[
    ModelType | None,
    BeforeValidator(_known_type),
    WithJsonSchema({"anyOf": [{"enum": [*NAMED_TYPES], "type": "string"}, {"type": "null"}]}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,  # a process needs one or two of these, and building takes time
    )


class Sampling(_Strict):
    """What a request that names none gets. None: what the model's own generation_config.json says."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1)


class PromptCacheLimits(_Strict):
    """What a worker keeps of the prompts it read, so as not to read them again."""

    entries: int = Field(16, ge=0, le=1024, description="Conversations; 0: none.")
    bytes: int = Field(2_000_000_000, ge=0, description="Memory they may take together.")
    disk_bytes: int = Field(0, ge=0, description="Disk they may take, to outlive the process; 0: none.")


class ResponseStoreLimits(_Strict):
    """What a worker keeps of responses, so that others can go on from them, until its process ends."""

    entries: int = Field(0, ge=0, le=100_000, description="Responses; 0: none.")
    bytes: int = Field(64_000_000, ge=0, description="Memory they may take together.")


class EngineOptions(_Strict):
    """What a worker needs to know of its model. Every option is defined here, once."""

    name: Name = Field(description="Slug, also the OpenAI model id.")
    model_type: KnownType = Field(
        None, description="What kind of model this is; null: as its files tell, when its process starts."
    )
    command: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        strict=False,
        max_length=200,
        validate_default=True,
        description="A server to run in the model's place, with its arguments; {port}: where it listens.",
    )
    health_path: str = Field(
        "/health",
        pattern="^/[!-~]*$",
        description="Where the server of `command` answers 200 once it is ready.",
    )
    upstream_model: str | None = Field(
        None, min_length=1, description="What that server calls its model; null: it does not care."
    )
    model_path: str | None = Field(
        None,
        min_length=1,
        validate_default=True,
        description="Directory, Hugging Face repo id, builtin:demo or builtin:demo-thinking.",
    )
    aliases: tuple[str, ...] = Field((), strict=False, description="Other model ids that mean this model.")
    jit: bool = Field(True, description="Load on the first request.")
    preload: bool = Field(False, description="Load as soon as the process is up.")
    auto_unload_minutes: float | None = Field(30, gt=0, description="Idle time until unload; null: never.")
    context_length: int | None = Field(None, ge=16, description="Tokens; null: what the model can hold.")
    max_concurrency: int = Field(8, ge=1, le=256, description="Requests that decode together.")
    queue_size: int = Field(100, ge=0, le=10_000, description="Requests that may wait for a place.")
    queue_timeout: float = Field(300, gt=0, description="Seconds a request may wait for a place.")
    request_timeout: float = Field(3600, gt=0, description="Seconds a request may take altogether.")
    max_tokens: int | None = Field(None, ge=1, description="Answer limit of a request that names none.")
    sampling: Sampling = Field(Sampling(), description="Sampling of a request that names none.")
    prompt_cache: PromptCacheLimits = Field(
        PromptCacheLimits(), description="What is kept of prompts, for those that begin alike."
    )
    response_store: ResponseStoreLimits = Field(
        ResponseStoreLimits(), description="What is kept of responses, for `previous_response_id`."
    )
    prefill_step: int = Field(
        2048, ge=16, le=16_384, description="Prompt tokens read in one step where nobody else is answered."
    )
    prefill_step_shared: int = Field(
        128, ge=16, le=16_384, description="The same while others are answered: they wait for each step."
    )
    kv_bits: Literal[2, 4, 8] | None = Field(
        None, description="Bits of each number in what a prompt leaves in memory; null: as computed."
    )
    draft_model: str | None = Field(
        None, min_length=1, description="A smaller model of the same vocabulary that guesses ahead."
    )
    draft_tokens: int = Field(3, ge=1, le=16, description="How many tokens it guesses at a time.")
    adapter_path: str | None = Field(None, min_length=1, description="Directory of a LoRA adapter.")
    chat_template_file: str | None = Field(
        None, min_length=1, description="A jinja file to use instead of the model's own chat template."
    )
    tool_call_parser: ToolCallParser | None = Field(
        None, description="How the model writes calls; null: as its chat template suggests."
    )
    reasoning_parser: ReasoningParser | None = Field(
        None, description="How the model marks its thinking; null: as its vocabulary suggests."
    )
    max_audio_seconds: float = Field(
        1800, gt=0, le=36_000, description="Of a recording; half an hour takes 200 MB while it is heard."
    )
    fetch_images: bool = Field(
        False, description="Fetch pictures that requests name by an http(s) address, from public ones only."
    )
    trust_remote_code: bool = Field(False, description="Run code that the model brings, as you.")

    @field_validator("model_path")
    @classmethod
    def _there_is_something_to_load(cls, model_path: str | None, info: ValidationInfo) -> str | None:
        # Where those have a fault of their own, that one is told.
        is_command = "command" not in info.data or bool(info.data["command"])
        if model_path is None and not is_command and "model_type" in info.data:
            raise PydanticKnownError("missing")
        return model_path

    @field_validator("command")
    @classmethod
    def _command_is_one(cls, command: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        model_type = info.data.get("model_type")
        if model_type is ModelType.COMMAND and not command:
            raise ValueError('say what is to be run, as in [llama-server, -m, FILE, --port, "{port}"]')
        if command and model_type not in (None, ModelType.COMMAND):
            raise ValueError("this is for models of type command")
        if command and not any(PORT_FIELD in part for part in command):
            raise ValueError("one of its parts must be {port}, where it shall listen")
        return command

    @field_validator("name")
    @classmethod
    def _name_is_not_reserved(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError("this name is taken by a part of mlxhub itself: choose another")
        return name

    @field_validator("aliases")
    @classmethod
    def _aliases_are_ids(cls, aliases: tuple[str, ...]) -> tuple[str, ...]:
        for alias in aliases:
            if not alias or not alias.isprintable() or len(alias) > 200:
                raise ValueError("an alias is 1 to 200 printable characters")
        return aliases

    @property
    def ids(self) -> tuple[str, ...]:
        """Everything a request may put into `model` to mean this one."""
        return (self.name, *self.aliases)


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


class GroupConfig(_Strict):
    """One entry of `groups:`."""

    name: Name = Field(description="Slug.")
    max_loaded: int = Field(ge=1, description="Models of it that may be in memory at once.")
    idle_unload_trigger_min: float | None = Field(
        None, ge=0, description="Minutes of idleness after which one makes room for another; null: never."
    )


class RunRecords(_Strict):
    """Where a process that launchd runs under this label writes down what becomes of it."""

    label: str
    runs: str
    parked: str


class LimitPlaces(_Strict):
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


class DiscoveryConfig(_Strict):
    """Where models are looked for that hub.yaml does not name."""

    paths: tuple[str, ...] = Field(
        (), strict=False, description="Directories with models, besides the Hugging Face cache."
    )


class HubConfig(_Strict):
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
