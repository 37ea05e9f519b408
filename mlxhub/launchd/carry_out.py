"""Taking the steps of a plan, stage by stage."""

import plistlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mlxhub.core.agents import model_of
from mlxhub.core.paths import Paths
from mlxhub.core.plan import (
    Bootout,
    Bootstrap,
    Change,
    Kickstart,
    Plan,
    RemovePlist,
    SetAside,
    Stage,
    WritePlist,
)
from mlxhub.core.restarts import CONTROLLER
from mlxhub.errors import MlxhubError
from mlxhub.files.manifest import forget, record_all
from mlxhub.files.replaced import keep_copy
from mlxhub.files.runs import make_new_beginning
from mlxhub.files.state import make_private_directory, remove_file, write_atomically
from mlxhub.launchd.contract import Launchd

# launchd refuses plists that others may write; all else is our own.
PLIST_MODE = 0o644
# Each may drain for as long as its ExitTimeOut; one after the other would be too long.
CONCURRENT_BOOTOUTS = 16
# Interpreters start at the speed of the cores; more at once only make all of them late.
CONCURRENT_STARTS = 6

# Returns when the process of this label, started just now, is ready; raises MlxhubError that says why not.
AwaitReady = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan. `failed`: why, by label. `kept`: copies of files that were not ours."""

    plan: Plan
    failed: dict[str, MlxhubError]
    not_begun: tuple[str, ...]
    kept: tuple[Path, ...]

    @property
    def done(self) -> dict[str, Change]:
        """What was changed, and how."""
        rest = {*self.failed, *self.not_begun}
        changes = self.plan.changes.items()
        return {label: change for label, change in changes if change is not Change.KEEP and label not in rest}


@dataclass(slots=True)
class CarryOut:
    """Takes one plan. `launchd` may be None where a plan only touches files."""

    paths: Paths
    launchd: Launchd | None
    await_ready: AwaitReady
    _failed: dict[str, MlxhubError] = field(default_factory=dict)
    _kept: list[Path] = field(default_factory=list)

    def take(self, plan: Plan) -> Applied:
        """An agent that fails keeps the others of its stage from nothing."""
        not_begun: list[str] = []
        halted = False
        for stage in plan.stages:
            if halted:
                not_begun += stage.labels
            else:
                self._take_stage(stage)
                halted = stage.gates and not self._failed.keys().isdisjoint(stage.labels)
        rest = tuple(label for label in dict.fromkeys(not_begun) if label not in self._failed)
        return Applied(plan, self._failed, rest, tuple(self._kept))

    def _take_stage(self, stage: Stage) -> None:
        """Files are written before anything is stopped for them: a full disk must interrupt nobody."""
        self._write([step for step in stage.steps if isinstance(step, SetAside | WritePlist)])
        stops = self._left(step.label for step in stage.steps if isinstance(step, Bootout))
        with ThreadPoolExecutor(CONCURRENT_BOOTOUTS, "bootout") as threads:
            list(threads.map(lambda label: self._attempt(label, self._bootout), stops))
        self._remove(self._left(step.label for step in stage.steps if isinstance(step, RemovePlist)))
        with ThreadPoolExecutor(CONCURRENT_STARTS, "start") as threads:
            list(
                threads.map(
                    lambda label: self._attempt(label, lambda _: self._start(label, stage)),
                    self._left(stage.labels),
                )
            )

    def _left(self, labels: Iterable[str]) -> list[str]:
        return [label for label in labels if label not in self._failed]

    def _attempt(self, label: str, act: Callable[[str], None]) -> None:
        try:
            act(label)
        except MlxhubError as error:
            self._failed[label] = error

    def _bootout(self, label: str) -> None:
        self._session().bootout(label)

    def _session(self) -> Launchd:
        assert self.launchd is not None, "without a session nothing is loaded and nothing wanted"
        return self.launchd

    def _write(self, steps: list[SetAside | WritePlist]) -> None:
        """The manifest says what will be written before it is."""
        writes = [step for step in steps if isinstance(step, WritePlist)]
        try:
            for step in steps:
                if isinstance(step, SetAside):
                    self._kept.append(keep_copy(self.paths, self.paths.plist(step.label)))
            if writes:
                record_all(
                    self.paths, [(self.paths.plist(each.label), each.plist, each.label) for each in writes]
                )
            for write in writes:
                write_atomically(self.paths.plist(write.label), write.plist, mode=PLIST_MODE)
                _touch_private(Path(plistlib.loads(write.plist)["StandardOutPath"]))
        except MlxhubError as error:
            self._failed |= {step.label: error for step in steps}

    def _remove(self, labels: list[str]) -> None:
        """No trace stays of a label that somebody switched off."""
        try:
            for label in labels:
                if self.launchd is not None and self.launchd.is_disabled(label):
                    self.launchd.enable(label)
                remove_file(self.paths.plist(label))
            forget(self.paths, *map(self.paths.plist, labels))
        except MlxhubError as error:
            self._failed |= dict.fromkeys(labels, error)

    def _start(self, label: str, stage: Stage) -> None:
        """With what is left of earlier deaths gone: a person asked for this start."""
        starts = [
            step for step in stage.steps if isinstance(step, Bootstrap | Kickstart) and step.label == label
        ]
        if starts:
            make_new_beginning(self.paths.run_files(model_of(label) or CONTROLLER))
        for step in starts:
            match step:
                case Bootstrap(_, generation):
                    self._session().enable(label)
                    self._session().bootstrap(self.paths.plist(label), label, generation)
                case Kickstart():
                    self._session().kickstart(label)
        if label in stage.awaits:
            self.await_ready(label)


def _touch_private(path: Path) -> None:
    """launchd would create it readable for all, and does not create its directory for sure."""
    make_private_directory(path.parent)
    path.touch(mode=0o600, exist_ok=True)
