"""The kinds of models there are, by what they take and give."""

from enum import StrEnum


class ModelType(StrEnum):
    """As hub.yaml says it. ECHO: the engine of tests."""

    LM = "lm"
    MULTIMODAL = "multimodal"
    EMBEDDINGS = "embeddings"
    WHISPER = "whisper"
    IMAGE_GENERATION = "image-generation"
    IMAGE_EDIT = "image-edit"
    COMMAND = "command"
    ECHO = "echo"


# What a person may write.
NAMED_TYPES = tuple(kind for kind in ModelType if kind is not ModelType.ECHO)
