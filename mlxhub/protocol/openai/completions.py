"""POST /v1/completions: what a client sends."""

from typing import Annotated, Any

from pydantic import Field

from mlxhub.protocol.openai.sampling import SamplingFields, TokenId
from mlxhub.protocol.parameters import Refused
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
    echo: bool | None = Field(None, description="Of prompts that are text, and without `logprobs`.")
    best_of: int | None = Field(None, ge=1, description="1, or as `n`.")
    logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)
    suffix: Annotated[Any, Refused("this model only continues texts.", unless=("",))] = None

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

    @property
    def echoes(self) -> list[str]:
        """What the answers to each prompt begin with, once it is checked."""
        return [prompt if self.echo and isinstance(prompt, str) else "" for prompt in self.prompts]

    def check_supported(self) -> None:
        """Raises InvalidRequest for what is valid at OpenAI's and cannot be done here."""
        if self.best_of not in (None, 1, self.answers):
            raise InvalidRequest(
                "best_of: answers are not compared here. Leave it out, or send the number of `n`.", "best_of"
            )
        if self.echo and self.logprobs is not None:
            raise InvalidRequest("echo: there are no logprobs of prompts. Leave one of the two out.", "echo")
        if self.echo and not all(isinstance(prompt, str) for prompt in self.prompts):
            raise InvalidRequest("echo: only prompts that are text are repeated, not tokens.", "echo")
