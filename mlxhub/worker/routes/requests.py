"""From OpenAI's request fields to the engine's request."""

from mlxhub.core.config import WorkerSettings
from mlxhub.protocol.openai.sampling import SamplingFields
from mlxhub.worker.engines.engine import GenerationRequest, Prompt, SamplingOptions


def generation_request(
    fields: SamplingFields, prompt: Prompt, max_tokens: int | None, settings: WorkerSettings
) -> GenerationRequest:
    """The request first, then hub.yaml; what both leave open the engine takes from the model's own files.

    Raises InvalidRequest.
    """
    own = settings.sampling
    sampling = SamplingOptions(
        temperature=own.temperature if fields.temperature is None else fields.temperature,
        top_p=own.top_p if fields.top_p is None else fields.top_p,
        top_k=own.top_k if fields.top_k is None else max(0, fields.top_k),
        min_p=own.min_p if fields.min_p is None else fields.min_p,
        seed=fields.seed,
        presence_penalty=fields.presence_penalty or 0.0,
        frequency_penalty=fields.frequency_penalty or 0.0,
        logit_bias={int(token): bias for token, bias in (fields.logit_bias or {}).items()},
    )
    return GenerationRequest(
        prompt,
        sampling,
        max_tokens or settings.max_tokens,
        fields.stops,
        fields.top_logprobs_wanted,
        constraint=fields.constraint,
    )
