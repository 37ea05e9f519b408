"""Which engine serves a model, by its type."""

from typing import TYPE_CHECKING, Any

from mlxhub.core.config import WorkerSettings
from mlxhub.core.model_type import ModelType
from mlxhub.worker.engines.command import CommandEngine, CommandEngineOptions
from mlxhub.worker.engines.embeddings import EmbeddingEngine, EmbeddingEngineOptions
from mlxhub.worker.engines.engine import Engine
from mlxhub.worker.engines.images import ImageEngine
from mlxhub.worker.engines.model_source import ModelSource
from mlxhub.worker.engines.prefill import Prefill
from mlxhub.worker.engines.speech import SpeechEngine, SpeechEngineOptions
from mlxhub.worker.engines.text import TextEngine, TextEngineOptions

if TYPE_CHECKING:
    from mlxhub.worker.child_server import ChildServer


def choose_engine(settings: WorkerSettings, child: "ChildServer | None") -> Engine[Any, Any]:
    """Of the model that `settings` say, its type too; it has not begun anything. `child`: of a command."""
    match settings.model_type:
        case ModelType.LM | ModelType.MULTIMODAL:
            return _text_engine(settings)
        case ModelType.EMBEDDINGS:
            return EmbeddingEngine(
                EmbeddingEngineOptions(
                    source=_source(settings, ModelType.EMBEDDINGS),
                    max_concurrency=settings.max_concurrency,
                    batch_tokens=settings.prefill_step,
                    context_length=settings.context_length,
                )
            )
        case ModelType.WHISPER:
            return SpeechEngine(
                SpeechEngineOptions(_source(settings, ModelType.WHISPER), settings.max_audio_seconds)
            )
        case ModelType.IMAGE_GENERATION | ModelType.IMAGE_EDIT as kind:
            return ImageEngine(_source(settings, kind))
        case ModelType.COMMAND:
            from mlxhub.worker.child_server import named_bytes  # noqa: PLC0415 - nor for what asks a command

            assert child is not None
            return CommandEngine(
                CommandEngineOptions(
                    name=settings.name,
                    start=child.start,
                    max_concurrency=settings.max_concurrency,
                    weights_bytes=lambda: named_bytes(settings.command),
                    context_length=settings.context_length,
                )
            )
        case ModelType.ECHO:
            from mlxhub.worker.engines.echo import (  # noqa: PLC0415 - no real model pays for it
                EchoEngine,
                EchoEngineOptions,
            )

            return EchoEngine(
                EchoEngineOptions(
                    name=settings.name,
                    model_path=_path(settings),
                    max_concurrency=settings.max_concurrency,
                    context_length=settings.context_length,
                )
            )
        case None:
            raise AssertionError("the type is decided before the engine is")


def _path(settings: WorkerSettings) -> str:
    """Of all but a command there is one: the settings were checked."""
    assert settings.model_path is not None
    return settings.model_path


def _source(settings: WorkerSettings, model_type: ModelType) -> ModelSource:
    return ModelSource(settings.name, _path(settings), model_type, settings.trust_remote_code)


def _text_engine(settings: WorkerSettings) -> TextEngine:
    return TextEngine(
        TextEngineOptions(
            name=settings.name,
            model_path=_path(settings),
            max_concurrency=settings.max_concurrency,
            prefill=Prefill(settings.prefill_step, settings.prefill_step_shared),
            context_length=settings.context_length,
            trust_remote_code=settings.trust_remote_code,
            kept_prompts=settings.prompt_cache.entries,
            kept_bytes=settings.prompt_cache.bytes,
            stored_bytes=settings.prompt_cache.disk_bytes,
            stored_prompts=settings.stored_prompts,
            kv_bits=settings.kv_bits,
            draft_model=settings.draft_model,
            draft_tokens=settings.draft_tokens,
            adapter_path=settings.adapter_path,
            chat_template_file=settings.chat_template_file,
            tool_call_parser=settings.tool_call_parser,
            reasoning_parser=settings.reasoning_parser,
            model_type=settings.model_type or ModelType.LM,
        )
    )
