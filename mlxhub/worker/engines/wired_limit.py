"""How much memory MLX may keep from being paged out."""

import mlx.core as mx
from mlx_lm.generate import generation_stream
from mlx_lm.utils import maybe_set_recommended_wired_limit


class WiredLimit:
    """What is recommended for this machine, from now until `restore`. Without a Metal GPU there is none."""

    def __init__(self) -> None:
        self._before: int | None = maybe_set_recommended_wired_limit()

    def restore(self) -> None:
        """Once what is being computed is done. A second time changes nothing."""
        before, self._before = self._before, None
        if before is not None:
            mx.synchronize(generation_stream)
            mx.set_wired_limit(before)
