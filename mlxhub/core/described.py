"""What a model is and needs, as its config.json and the headers of its weights tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mlxhub.core.document import Value
from mlxhub.core.memory import Checkpoint, Use, context_length_of, estimate, estimate_task
from mlxhub.core.model_type import ModelType

# What an embedding, a norm, a scale is made of; packed numbers are in U32.
_BITS = {"F16": 16, "BF16": 16, "F32": 32, "F64": 64, "F8_E4M3": 8, "F8_E5M2": 8}
_GROUP = 64
_FAST = 5_000_000_000
_BALANCED = 20_000_000_000
_ENCODERS = ("bert", "roberta", "xlm-roberta", "nomic_bert", "modernbert", "distilbert", "gte", "new")
# Families of mlx-audio, to text and to speech, whose configurations may say nothing else.
_SPEECH = (
    "whisper",
    "tts",
    "asr",
    "parakeet",
    "moonshine",
    "kokoro",
    "soprano",
    "bark",
    "sesame",
    "csm",
    "chatterbox",
)
# What sentence-transformers leave beside a model: many of these are text models by their config.json.
_SENTENCES = ("modules.json", "config_sentence_transformers.json", "1_Pooling/config.json")
_PIPELINES = ("model_index.json", "transformer/config.json")


class Kind(StrEnum):
    """By what it takes and gives."""

    TEXT = "text"
    VISION = "vision"
    SPEECH = "speech"
    EMBEDDING = "embedding"
    RANKING = "ranking"
    IMAGE = "image"


TYPES: Mapping[Kind, ModelType] = {
    Kind.TEXT: ModelType.LM,
    Kind.VISION: ModelType.MULTIMODAL,
    Kind.SPEECH: ModelType.WHISPER,
    Kind.EMBEDDING: ModelType.EMBEDDINGS,
    Kind.RANKING: ModelType.EMBEDDINGS,
    Kind.IMAGE: ModelType.IMAGE_GENERATION,
}


class Tier(StrEnum):
    """By its parameters: how it feels on a machine that holds it."""

    FAST = "fast"
    BALANCED = "balanced"
    POWERFUL = "powerful"


@dataclass(frozen=True, slots=True)
class Described:
    """`family`: the model_type of config.json. `parameters`: about. `quantisation`: such as 4-bit or bf16.

    `context_length` None: it reads no tokens. `needed_bytes`: what it would reserve with the options that
    hub.yaml has by default.
    """

    family: str
    kind: Kind
    parameters: int
    quantisation: str
    context_length: int | None
    needed_bytes: int

    @property
    def tier(self) -> Tier:
        if self.parameters < _FAST:
            return Tier.FAST
        return Tier.BALANCED if self.parameters < _BALANCED else Tier.POWERFUL


def describe(model: Checkpoint, use: Use) -> Described:
    config = model.config
    quantised = _quantisation(config)
    family = config.get("model_type") or config.get("_class_name")
    kind = kind_of(model)
    is_text = kind in (Kind.TEXT, Kind.VISION)
    reads = kind not in (Kind.SPEECH, Kind.IMAGE)
    need = (
        estimate(model, use)
        if is_text
        else estimate_task(model, TYPES[kind], batch_tokens=use.prefill_step, slow_halves=use.slow_halves)
    )
    return Described(
        family=family if isinstance(family, str) else "unknown",
        kind=kind,
        parameters=_parameters(model.weights, quantised),
        quantisation=_dtype(model.weights) if quantised is None else f"{quantised[0]}-bit",
        context_length=context_length_of(config) if reads else None,
        needed_bytes=need.total_bytes,
    )


def kind_of(model: Checkpoint) -> Kind:
    config = model.config
    family = config.get("model_type")
    family = family.lower() if isinstance(family, str) else ""
    architectures = config.get("architectures")
    names = [str(name) for name in architectures] if isinstance(architectures, list) else []
    if any(name in model.names for name in _PIPELINES):
        return Kind.IMAGE
    if any(name.endswith("ForSequenceClassification") for name in names):
        return Kind.RANKING
    if any(word in family for word in _SPEECH):
        return Kind.SPEECH
    if family in _ENCODERS or any(name in model.names for name in _SENTENCES):
        return Kind.EMBEDDING
    if any(key in config for key in ("vision_config", "vision_tower", "vision_model", "visual")):
        return Kind.VISION
    return Kind.TEXT


def _quantisation(config: Mapping[str, Value]) -> tuple[int, int] | None:
    """Bits of each number, and how many share a scale and a bias; None: it is not quantised."""
    for key in ("quantization", "quantization_config"):
        said = config.get(key)
        if isinstance(said, dict) and isinstance(bits := said.get("bits"), int) and 0 < bits <= 32:
            group = said.get("group_size")
            return bits, group if isinstance(group, int) and group > 0 else _GROUP
    return None


def _parameters(weights: Mapping[str, int], quantised: tuple[int, int] | None) -> int:
    """Packed ones by their bits. Their scales and biases are none."""
    plain = sum(size * 8 // _BITS[dtype] for dtype, size in weights.items() if dtype in _BITS)
    if quantised is None:
        return plain
    bits, group = quantised
    packed = weights.get("U32", 0) * 8 // bits
    return packed + max(0, plain - 2 * packed // group)


def _dtype(weights: Mapping[str, int]) -> str:
    """Of most of it."""
    known = {dtype: size for dtype, size in weights.items() if dtype in _BITS}
    return max(known, key=lambda dtype: known[dtype]).lower() if known else "unknown"
