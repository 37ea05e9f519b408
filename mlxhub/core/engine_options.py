"""What a worker needs to know of its model: the options that every entry of hub.yaml has."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticKnownError

from mlxhub.core.model_type import NAMED_TYPES, ModelType

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# Their logs lie beside those of the models.
RESERVED_NAMES = ("controller", "launchd")
# Of a command, what stands for the port it is given.
PORT_FIELD = "{port}"

Name = Annotated[str, Field(pattern=rf"^{NAME_PATTERN.pattern}$")]

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


class Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,  # a process needs one or two of these, and building takes time
    )


class Sampling(Strict):
    """What a request that names none gets. None: what the model's own generation_config.json says."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1)


class PromptCacheLimits(Strict):
    """What a worker keeps of the prompts it read, so as not to read them again."""

    entries: int = Field(16, ge=0, le=1024, description="Conversations; 0: none.")
    bytes: int = Field(2_000_000_000, ge=0, description="Memory they may take together.")
    disk_bytes: int = Field(0, ge=0, description="Disk they may take, to outlive the process; 0: none.")


class ResponseStoreLimits(Strict):
    """What a worker keeps of responses, so that others can go on from them, until its process ends."""

    entries: int = Field(0, ge=0, le=100_000, description="Responses; 0: none.")
    bytes: int = Field(64_000_000, ge=0, description="Memory they may take together.")


class EngineOptions(Strict):
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
        False,
        description="Fetch pictures and videos that requests name by an http(s) address, if it is public.",
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
