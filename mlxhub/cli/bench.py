"""`mlxhub bench`: how fast a model answers, alone and to several at once."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from mlxhub.cli.ask import model_target, own_target
from mlxhub.cli.completion import complete_model
from mlxhub.cli.flash import Tone, flash
from mlxhub.cli.local_hub import find_machine, open_hub
from mlxhub.cli.sheet import Column, Sheet, print_sheet
from mlxhub.clients.chat import ChatTarget
from mlxhub.clients.timed_answers import timed_answers
from mlxhub.core.speed import Speed, speed_of
from mlxhub.errors import ControllerDown, WorkerSilent

_CHARTS = (".png", ".svg")
_COLUMNS = (
    Column("STREAMS", right=True),
    Column("FIRST TOKEN", right=True),
    Column("TOKENS/S EACH", right=True),
    Column("TOKENS/S ALL", right=True),
    Column("PROMPT", right=True, spared=1),
    Column("ANSWER", right=True, spared=2),
)


class _Streams(click.ParamType[tuple[int, ...]]):
    name = "numbers"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(number) for number in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} are no numbers with commas between them, such as 1,2,4.", param, ctx)
        if not all(1 <= number <= 256 for number in numbers):
            self.fail("Each has to be from 1 to 256.", param, ctx)
        return numbers


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.option(
    "--streams",
    type=_Streams(),
    default=(1, 2, 4, 8),
    help="How many at once; 1,2,4,8 where nothing is said.",
)
@click.option(
    "--tokens",
    type=click.IntRange(2, 100_000),
    default=128,
    show_default=True,
    help="Of each answer, at most.",
)
@click.option(
    "--words", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Of each prompt."
)
@click.option(
    "--runs", type=click.IntRange(1, 100), default=3, show_default=True, help="Of which the median counts."
)
@click.option("--direct", is_flag=True, help="Ask the model at its own port, past the controller.")
@click.option(
    "--chart",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Draw it into this file: a .png or an .svg.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def bench(
    file: Path | None,
    model: str,
    streams: tuple[int, ...],
    tokens: int,
    words: int,
    runs: int,
    direct: bool,
    chart: Path | None,
    as_json: bool,
) -> None:
    """Time answers of MODEL: until the first token, tokens a second, to one and to several at once."""
    if chart is not None and chart.suffix.lower() not in _CHARTS:
        raise click.UsageError(f"A chart is a .png or an .svg, not {chart.name}.")
    if chart is not None and not chart.absolute().parent.is_dir():
        raise click.UsageError(f"{chart.absolute().parent} is no directory.")
    local = open_hub(find_machine(file))
    target = model_target(local, local.hub.find(model)) if direct else own_target(local)
    try:
        speeds = _measure(target, model, streams, tokens=tokens, words=words, runs=runs)
    except WorkerSilent:
        if direct:
            raise
        raise ControllerDown(local.controller.url) from None
    if as_json:
        click.echo(
            json.dumps(
                {"model": model, "runs": runs, "speeds": [asdict(speed) for speed in speeds]}, indent=2
            )
        )
    else:
        print_sheet(_sheet(speeds))
    if chart is not None:
        from mlxhub.cli.speed_chart import draw_speed  # noqa: PLC0415 - matplotlib takes a second

        draw_speed(speeds, model, chart)
        flash(Tone.OK, f"Drew {chart}", to_stderr=as_json)


def _measure(
    target: ChatTarget, model: str, streams: tuple[int, ...], *, tokens: int, words: int, runs: int
) -> list[Speed]:
    """The first answer, for which the model may have to be loaded, does not count."""
    console = Console(stderr=True)
    columns = (TextColumn("[dim]{task.description}[/]"), TimeElapsedColumn())
    speeds = []
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"{model}: the first answer")
        timed_answers(target, model, 1, words=words, max_tokens=2)
        for number in streams:
            answers = []
            for run in range(runs):
                progress.update(task, description=f"{model}: {number} at once, run {run + 1} of {runs}")
                answers.append(timed_answers(target, model, number, words=words, max_tokens=tokens))
            speeds.append(speed_of(answers))
    return speeds


def _sheet(speeds: list[Speed]) -> Sheet:
    return Sheet(
        _COLUMNS,
        [
            (
                str(speed.streams),
                f"{speed.first_seconds * 1000:.0f} ms",
                "-" if speed.stream_tokens_per_second is None else f"{speed.stream_tokens_per_second:.1f}",
                f"{speed.tokens_per_second:.1f}",
                f"{speed.prompt_tokens} tokens",
                f"{speed.answer_tokens} tokens",
            )
            for speed in speeds
        ],
    )


COMMANDS = {"bench": bench}
