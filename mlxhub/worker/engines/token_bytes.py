"""The bytes that a token stands for, which need not be whole characters."""

from typing import Any

from mlx_lm.tokenizer_utils import BPEStreamingDetokenizer, SPMStreamingDetokenizer

_WORD_BEGINS = "\u2581"
_BYTE_TOKEN_LENGTH = len("<0x00>")


class TokenBytes:
    """`tokenizer` as mlx-lm wraps it. Told by the kind of detokenizer that mlx-lm found to fit it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        kind = type(tokenizer.detokenizer)
        self._is_byte_level = issubclass(kind, BPEStreamingDetokenizer)
        self._marks_words = issubclass(kind, SPMStreamingDetokenizer)

    def __call__(self, token: int) -> bytes:
        spelled = self._tokenizer.convert_ids_to_tokens(token)
        if not isinstance(spelled, str):  # the model has more numbers than its tokenizer has tokens
            return b""
        if self._is_byte_level:
            return b"".join(_BYTES.get(char, char.encode()) for char in spelled)
        if self._marks_words:
            if spelled.startswith("<0x") and len(spelled) == _BYTE_TOKEN_LENGTH:
                return bytes([int(spelled[3:5], 16)])
            return spelled.replace(_WORD_BEGINS, " ").encode()
        decoded: str = self._tokenizer.decode([token])
        return decoded.encode()


def _byte_level_alphabet() -> dict[str, bytes]:
    """GPT-2's: what prints stands for itself, and the other bytes, in order, for characters from 256 on."""
    printing = {*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1)}
    printing |= set(range(ord("\u00ae"), ord("\u00ff") + 1))
    others = [byte for byte in range(256) if byte not in printing]
    alphabet = {chr(byte): bytes([byte]) for byte in printing}
    return alphabet | {chr(256 + place): bytes([byte]) for place, byte in enumerate(others)}


_BYTES = _byte_level_alphabet()
