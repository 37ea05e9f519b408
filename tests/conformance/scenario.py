"""What a scenario is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.conformance.answers import Answers
from tests.conformance.driver import Case, Job, Launchd

# rely: exact. weak: sure in substance, a code or number may vary. uncertain: any listed answer passes.
Tag = Literal["rely", "weak", "uncertain"]
Action = Callable[[Case, Job], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`job`, the one every scenario is given, runs the probe with `behaviour` from a plist with `plist`."""

    number: int
    title: str
    tag: Tag
    action: Action
    behaviour: tuple[str, ...] = ()
    plist: Mapping[str, object] = field(default_factory=dict)
    measures: tuple[str, ...] = ()  # ids of uncertain behaviours
    logs_out: bool = False  # it needs a launchd of its own, to log out of and into
    hurries: bool = False  # so long that the stand-in's clock must run faster than usual
    disables: bool = False  # which a launchd never forgets: it is done to the same labels in every run

    def run(self, launchd: Launchd, answers: Answers) -> None:
        case = Case(launchd, self.number, answers, disables=self.disables)
        self.action(case, case.job(*self.behaviour, **self.plist))


def scenario(
    number: int,
    title: str,
    tag: Tag,
    *behaviour: str,
    plist: Mapping[str, object] | None = None,
    measures: tuple[str, ...] = (),
    logs_out: bool = False,
    hurries: bool = False,
    disables: bool = False,
) -> Callable[[Action], Scenario]:
    """Make the function below it the action of a scenario."""

    def made(action: Action) -> Scenario:
        return Scenario(
            number, title, tag, action, behaviour, plist or {}, measures,
            logs_out=logs_out, hurries=hurries, disables=disables,
        )  # fmt: skip

    return made
