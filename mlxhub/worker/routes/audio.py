"""POST /v1/audio/transcriptions, /translations and /speech."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from mlxhub.protocol.openai.audio import (
    MEDIA_TYPES,
    SpeechFormat,
    SpeechRequest,
    TimedText,
    TimedWord,
    Transcription,
    TranscriptionForm,
    TranslationForm,
    VerboseTranscription,
    as_srt,
    as_vtt,
    text_delta,
    text_done,
)
from mlxhub.protocol.parameters import ignored_header
from mlxhub.refusals import InvalidRequest
from mlxhub.web.streams import EventStream, run_unless_disconnected
from mlxhub.worker.engines.audio_requests import (
    Heard,
    HeardLanguage,
    HearingRequest,
    PreparedSound,
    Segment,
    SpeakingRequest,
    Spoken,
)
from mlxhub.worker.model_service import ModelService
from mlxhub.worker.routes.bodies import read_form_model, read_model


class AudioRoutes:
    def __init__(self, service: ModelService) -> None:
        self._service = service

    async def transcribe(self, request: Request) -> Response:
        asked = await read_form_model(request, TranscriptionForm)
        self._service.check_model(asked.model)
        wanted = HearingRequest(
            asked.file,
            language=asked.language.lower() if asked.language else None,
            prompt=asked.prompt or None,
            temperature=asked.temperature,
            words=asked.wants_words,
        )
        if asked.stream:
            return EventStream(self._events(wanted), ignored_header(asked))
        return await self._whole(request, asked, wanted)

    async def translate(self, request: Request) -> Response:
        asked = await read_form_model(request, TranslationForm)
        self._service.check_model(asked.model)
        wanted = HearingRequest(
            asked.file, translate=True, prompt=asked.prompt or None, temperature=asked.temperature
        )
        return await self._whole(request, asked, wanted)

    async def speak(self, request: Request) -> Response:
        asked = await read_model(request, SpeechRequest)
        self._service.check_model(asked.model)
        wanted = SpeakingRequest(asked.input, asked.voice, asked.speed or 1.0)
        samples, rate = await run_unless_disconnected(request.receive, self._spoken(wanted))
        form: SpeechFormat = asked.response_format or "mp3"
        sound = await asyncio.to_thread(_encoded, samples, rate, form)
        return Response(sound, headers=ignored_header(asked), media_type=MEDIA_TYPES[form])

    async def _whole(self, request: Request, asked: TranslationForm, wanted: HearingRequest) -> Response:
        heard = await run_unless_disconnected(request.receive, self._heard(wanted))
        headers = ignored_header(asked)
        match asked.response_format:
            case "text":
                return Response(f"{heard.text}\n", headers=headers, media_type="text/plain")
            case "srt":
                return Response(as_srt(heard.segments), headers=headers, media_type="text/plain")
            case "vtt":
                return Response(as_vtt(heard.segments), headers=headers, media_type="text/vtt")
            case "verbose_json":
                said: BaseModel = heard
            case _:
                said = Transcription(text=heard.text)
        body = said.model_dump_json(exclude_none=True)
        return Response(body, headers=headers, media_type="application/json")

    async def _heard(self, wanted: HearingRequest) -> VerboseTranscription:
        segments: list[Segment] = []
        language = wanted.language or ""
        async with self._service.generate([wanted]) as generation:
            prepared = generation.prepared[0]
            assert isinstance(prepared, PreparedSound)
            while generation.has_more:
                for delta in await generation.take():
                    match delta:
                        case Heard(segments=fresh):
                            segments += fresh
                        case HeardLanguage(language=told):
                            language = told
        return VerboseTranscription(
            task="translate" if wanted.translate else "transcribe",
            language=language,
            duration=round(prepared.seconds, 3),
            text="".join(segment.text for segment in segments).strip(),
            segments=[_timed(number, segment) for number, segment in enumerate(segments) if segment.text],
            words=_words(segments) if wanted.words else None,
        )

    async def _events(self, wanted: HearingRequest) -> AsyncGenerator[bytes, None]:
        texts: list[str] = []
        async with self._service.generate([wanted]) as generation:
            while generation.has_more:
                for delta in await generation.take():
                    if isinstance(delta, Heard) and (text := "".join(each.text for each in delta.segments)):
                        texts.append(text)
                        yield text_delta(text)
        yield text_done(texts)

    async def _spoken(self, wanted: SpeakingRequest) -> tuple[bytes, int]:
        """Samples as of Spoken, and their rate."""
        parts: list[bytes] = []
        rate = 0
        async with self._service.generate([wanted]) as generation:
            while generation.has_more:
                for delta in await generation.take():
                    if isinstance(delta, Spoken):
                        parts.append(delta.samples)
                        rate = delta.rate
        if not (samples := b"".join(parts)):
            raise InvalidRequest("input: the model found nothing in it to speak.", "input")
        return samples, rate


def _timed(number: int, segment: Segment) -> TimedText:
    return TimedText(
        id=number,
        start=segment.start,
        end=segment.end,
        text=segment.text,
        tokens=list(segment.tokens),
        temperature=segment.temperature,
        avg_logprob=segment.avg_logprob,
        compression_ratio=segment.compression_ratio,
        no_speech_prob=segment.no_speech_prob,
    )


def _words(segments: Sequence[Segment]) -> list[TimedWord]:
    return [
        TimedWord(word=each.word.strip(), start=each.start, end=each.end)
        for segment in segments
        for each in segment.words
    ]


def _encoded(samples: bytes, rate: int, form: SpeechFormat) -> bytes:
    import numpy as np  # noqa: PLC0415 - who does not speak needs neither

    from mlxhub.worker.media.sounds import encode_sound  # noqa: PLC0415 - likewise

    return encode_sound(np.frombuffer(samples, "<f4"), rate, form)
