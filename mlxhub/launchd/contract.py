"""What the product asks of launchd; launchctl.py is the real thing, tests bring a twin."""

from pathlib import Path
from typing import Protocol

from mlxhub.core.observed import AgentState


class Launchd(Protocol):
    """Every call is idempotent, has a deadline, and returns when the fact holds.

    Raises NoSession, LaunchctlTimeout or LaunchctlFailed. Calls block: asyncio code goes through to_thread.
    """

    def require_session(self) -> None:
        """Raise NoSession unless there is a domain to run agents in."""

    def inspect(self, label: str) -> AgentState:
        """What launchd knows now. Unreadable output is ProcessState.UNKNOWN."""

    def disabled_labels(self) -> frozenset[str]:
        """What somebody switched off with `launchctl disable`, also where it is not loaded."""

    def bootstrap(self, plist: Path, label: str, generation: str) -> None:
        """Load this definition; done when `inspect` shows this generation.

        Raises AgentDisabled where somebody switched the label off, LoadingRefused where launchd does not
        have it at all.
        """

    def bootout(self, label: str) -> None:
        """Stop and unload; done when the label is unknown to launchd."""

    def kickstart(self, label: str) -> None:
        """Start now; done when there is a pid or an end to report."""

    def kill(self, label: str, signal: str) -> None:
        """Send a signal such as SIGTERM to the main process; a process that is gone is no error."""

    def enable(self, label: str) -> None:
        """Clear a leftover `disable`. Only for what a person asked for."""
