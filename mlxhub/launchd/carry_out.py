"""Taking the steps of a plan, stage by stage."""

import plistlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
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
from mlxhub.errors import LaunchdError, MlxhubError, PlanFailed
from mlxhub.files.manifest import forget, record_all
from mlxhub.files.replaced import keep_copy
from mlxhub.files.runs import make_new_beginning
from mlxhub.files.state import remove_file, touch_private, write_atomically
from mlxhub.launchd.contract import Launchd

# launchd refuses plists that others may write; all else is our own.
PLIST_MODE = 0o644
# Each may drain for as long as its ExitTimeOut; one after the other would be too long.
CONCURRENT_BOOTOUTS = 16
# Interpreters start at the speed of the cores; more at once only make all of them late.
CONCURRENT_STARTS = 6

# Returns when the process of this label, started just now, is ready; raises MlxhubError that says why not.
AwaitReady = Callable[[str], None]
# Is held around each stage, from before its first step until what it started is ready. Takes the labels of
# the stage, and is left with PlanFailed, which says why by label, where any of it failed.
During = Callable[[tuple[str, ...]], AbstractContextManager[None]]


def nothing_during(_labels: tuple[str, ...]) -> AbstractContextManager[None]:
    """For who has nothing to hold while a stage is taken."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan. `failed`: why, by label. `kept`: copies of files that were not ours."""

    plan: Plan
    failed: dict[str, MlxhubError]
    not_begun: tuple[str, ...]
    kept: tuple[Path, ...]

    @property
    def ok(self) -> bool:
        return not self.failed and not self.not_begun

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
    during: During = nothing_during
    _failed: dict[str, MlxhubError] = field(default_factory=dict)
    _not_begun: list[str] = field(default_factory=list)
    _kept: list[Path] = field(default_factory=list)

    def take(self, plan: Plan) -> Applied:
        """An agent that fails keeps the others of its stage from nothing."""
        halted = False
        for stage in plan.stages:
            if halted:
                self._not_begun += stage.labels
            else:
                self._take_guarded(stage)
                halted = stage.gates and bool(self._failed_of(stage))
        rest = tuple(label for label in dict.fromkeys(self._not_begun) if label not in self._failed)
        return Applied(plan, self._failed, rest, tuple(self._kept))

    def _take_guarded(self, stage: Stage) -> None:
        """What `during` itself raises fails all of the stage, unless that has failures of its own."""
        try:
            with self.during(stage.labels):
                self._take_stage(stage)
                self._raise_failure(stage)
        except MlxhubError as error:
            if not self._failed_of(stage):
                self._failed |= dict.fromkeys(stage.labels, error)

    def _raise_failure(self, stage: Stage) -> None:
        if failed := self._failed_of(stage):
            raise PlanFailed(failed)

    def _failed_of(self, stage: Stage) -> dict[str, MlxhubError]:
        return {label: self._failed[label] for label in stage.labels if label in self._failed}

    def _take_stage(self, stage: Stage) -> None:
        """Files are written before anything is stopped for them: a full disk must interrupt nobody."""
        for step in stage.steps:
            if isinstance(step, SetAside):
                self._attempt(step.label, self._set_aside)
        writes = [step for step in stage.steps if isinstance(step, WritePlist)]
        self._write([write for write in writes if write.label not in self._failed])
        if writes and stage.gates and self._failed_of(stage):
            self._not_begun += stage.labels
            return
        stops = self._left(step.label for step in stage.steps if isinstance(step, Bootout))
        with ThreadPoolExecutor(CONCURRENT_BOOTOUTS, "bootout") as threads:
            list(threads.map(lambda label: self._attempt(label, self._bootout), stops))
        self._remove(self._left(step.label for step in stage.steps if isinstance(step, RemovePlist)))
        self._start(stage)

    def _start(self, stage: Stage) -> None:
        with ThreadPoolExecutor(CONCURRENT_STARTS, "start") as threads:
            list(
                threads.map(
                    lambda label: self._attempt(label, lambda _: self._start_one(label, stage)),
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
        except OSError as error:
            self._failed[label] = MlxhubError(f"The system refused a step of it: {error}")

    def _bootout(self, label: str) -> None:
        self._session().bootout(label)

    def _session(self) -> Launchd:
        assert self.launchd is not None, "without a session nothing is loaded and nothing wanted"
        return self.launchd

    def _set_aside(self, label: str) -> None:
        self._kept.append(keep_copy(self.paths, self.paths.plist(label)))

    def _write(self, steps: list[WritePlist]) -> None:
        """The manifest says what will be written before it is."""
        contents = {step.label: step.plist for step in steps}
        if not contents:
            return
        try:
            record_all(
                self.paths, [(self.paths.plist(label), plist, label) for label, plist in contents.items()]
            )
        except MlxhubError as error:
            self._failed |= dict.fromkeys(contents, error)
        for label in self._left(contents):
            self._attempt(label, lambda label: self._write_one(label, contents[label]))

    def _write_one(self, label: str, plist: bytes) -> None:
        """launchd would create its log readable for all, and does not create the directory for sure."""
        write_atomically(self.paths.plist(label), plist, mode=PLIST_MODE)
        touch_private(Path(plistlib.loads(plist)["StandardOutPath"]))

    def _remove(self, labels: list[str]) -> None:
        switched_off = self._switched_off(labels)
        for label in labels:
            self._attempt(label, lambda label: self._remove_one(label, enable=label in switched_off))

    def _switched_off(self, labels: list[str]) -> frozenset[str]:
        """Any of them may be where launchd does not tell."""
        if self.launchd is None or not labels:
            return frozenset()
        try:
            return self.launchd.disabled_labels()
        except LaunchdError:
            return frozenset(labels)

    def _remove_one(self, label: str, *, enable: bool) -> None:
        """No trace stays of a label that somebody switched off."""
        if enable:
            self._session().enable(label)
        remove_file(self.paths.plist(label))
        forget(self.paths, self.paths.plist(label))

    def _start_one(self, label: str, stage: Stage) -> None:
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
