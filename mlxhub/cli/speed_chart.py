"""A model's speed, drawn."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mlxhub.core.speed import Speed

_COLOUR, _OTHER = "#2f6f4f", "#8a5a2b"


def draw_speed(speeds: Sequence[Speed], model: str, file: Path) -> None:
    """A .png or an .svg, by the name of the file. Raises OSError."""
    streams = [speed.streams for speed in speeds]
    places = range(len(streams))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    together, first = figure.subplots(1, 2)
    bars = together.bar(
        places, [speed.tokens_per_second for speed in speeds], color=_COLOUR, label="all together"
    )
    together.bar_label(bars, fmt="%.0f", padding=2)
    each = [speed.stream_tokens_per_second for speed in speeds]
    known = [(place, rate) for place, rate in zip(places, each, strict=True) if rate is not None]
    together.plot(*zip(*known, strict=True), "o-", color=_OTHER, label="each, after its first token")
    together.set(title=f"{model}: tokens a second", xlabel="answers at once")
    together.margins(y=0.15)
    together.legend(frameon=False, loc="best")
    bars = first.bar(places, [speed.first_seconds * 1000 for speed in speeds], color=_COLOUR)
    first.bar_label(bars, fmt="%.0f", padding=2)
    first.set(title="until the first token, ms", xlabel="answers at once")
    first.margins(y=0.15)
    for axes in (together, first):
        axes.set_xticks(places, [str(number) for number in streams])
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=150)
