"""Which labels are disabled: kept over restarts, logouts and the removal of plists."""

import os
import plistlib
from pathlib import Path
from xml.parsers.expat import ExpatError


class Overrides:
    def __init__(self, path: Path, *, disabled_at_first: bool) -> None:
        self._path = path
        self._disabled_at_first = disabled_at_first
        self._disabled: dict[str, bool] = {}

    def read(self) -> str | None:
        """Take over what the file says; returns why it could not be used."""
        try:
            stored = plistlib.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ExpatError, ValueError, TypeError, LookupError, AttributeError) as error:
            return f"{self._path}: {error}"
        if isinstance(stored, dict):
            self._disabled = {str(label): value is True for label, value in stored.items()}
        return None

    def entries(self) -> list[tuple[str, bool]]:
        return sorted(self._disabled.items())

    def is_disabled(self, label: str) -> bool:
        """A label that is disabled at first has an entry from the first time it is named."""
        if self._disabled_at_first:
            self._disabled.setdefault(label, True)
        return self._disabled.get(label, False)

    def set_disabled(self, label: str, *, disabled: bool) -> None:
        """Durable when it returns. Raises OSError, or ValueError for a label that no plist can hold.

        Then nothing has changed.
        """
        changed = self._disabled | {label: disabled}
        content = plistlib.dumps(changed)
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        self._disabled = changed
