"""The models that one recipe trains."""

from dataclasses import dataclass
from pathlib import Path

from mlxhub.demo import MODEL_REFERENCE, THINKING_REFERENCE, model_directory
from mlxhub.demo.golden import GOLDEN, Golden
from mlxhub.demo.thoughts import THINKING_GOLDEN


@dataclass(frozen=True, slots=True)
class Variant:
    """`reference`: what hub.yaml calls it. `thinks`: its vocabulary has the marks, its rows the thoughts."""

    reference: str
    golden: tuple[Golden, ...]
    thinks: bool
    seed: int
    steps: int

    @property
    def directory(self) -> Path:
        return model_directory(self.reference)


VARIANTS = {
    "demo": Variant(MODEL_REFERENCE, GOLDEN, thinks=False, seed=20, steps=2000),
    "demo-thinking": Variant(THINKING_REFERENCE, THINKING_GOLDEN, thinks=True, seed=20, steps=2400),
}
