"""POST /v1/completions: what a client sends."""

from typing import Annotated

from pydantic import Field

from mlxhub.protocol.openai.sampling import SamplingFields, TokenId
from mlxhub.refusals import InvalidRequest

MAX_PROMPTS = 64
MAX_LOGPROBS = 5

Tokens = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]
Text = Annotated[str, Field(min_length=1)]
_Texts = Annotated[list[Text], Field(fail_fast=True)]
_TokenLists = Annotated[list[Tokens], Field(fail_fast=True)]
# pydantic writes the lengths of a union as those of a text.
_SEVERAL = Field(
    min_length=1, max_length=MAX_PROMPTS, json_schema_extra={"minItems": 1, "maxItems": MAX_PROMPTS}
)


class CompletionRequest(SamplingFields):
    prompt: Text | Tokens | Annotated[_Texts | _TokenLists, _SEVERAL]
    echo: bool | None = Field(None, json_schema_extra={"enum": [False, None]})
    suffix: str | None = Field(None, json_schema_extra={"enum": ["", None]})
    best_of: int | None = Field(None, ge=1, description="As `n`, or not at all.")
    logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)

    @property
    def top_logprobs_wanted(self) -> int | None:
        """As of GenerationRequest."""
        return self.logprobs

    @property
    def prompts(self) -> list[str | list[int]]:
        if isinstance(self.prompt, str):
            return [self.prompt]
        texts_or_lists = [one for one in self.prompt if not isinstance(one, int)]
        return [*texts_or_lists] if texts_or_lists else [[one for one in self.prompt if isinstance(one, int)]]

    def check_supported(self) -> None:
        """Raises InvalidRequest for what is valid at OpenAI's and cannot be done here."""
        refused = {
            "echo": bool(self.echo),
            "suffix": bool(self.suffix),
            "best_of": self.best_of not in (None, self.answers),
        }
        for name, is_wanted in refused.items():
            if is_wanted:
                raise InvalidRequest(f"{name}: not supported yet.", name)
