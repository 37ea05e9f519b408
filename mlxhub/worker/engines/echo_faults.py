"""Makes an echo engine fail as its script says, in ways that never harm the machine."""

import mmap
import resource
import signal
import time
from pathlib import Path

import psutil

from mlxhub.errors import LoadFailed
from mlxhub.worker.engines.echo_script import AT_LOAD, LARGEST_BYTES, EchoFault, FaultKind

# What running out of memory may take. Half of it is never touched, so that the rest of the process goes on.
_OOM_BYTES = 64_000_000


class EchoFaults:
    """Of one process, with what happened in it already and what it leaked."""

    def __init__(self, name: str, faults: tuple[EchoFault, ...]) -> None:
        self._name = name
        self._faults = faults
        self._happened: set[EchoFault] = set()
        self._leaked: list[mmap.mmap] = []

    def in_load(self) -> None:
        """Raises LoadFailed or MemoryError, leaks, never returns, or ends the process; or nothing."""
        self._commit_all(AT_LOAD, b"")

    def before_token(self, token: int, prompt: bytes) -> None:
        """The first is 1. As `in_load`."""
        self._commit_all(token, prompt)

    def split_characters(self, prompt: bytes) -> bool:
        """Whether the tokens of the answer to this prompt end within characters."""
        return any(
            fault.kind is FaultKind.BAD_UTF8 and self._happens_now(fault, prompt) for fault in self._faults
        )

    @property
    def leaked_bytes(self) -> int:
        return sum(len(block) for block in self._leaked)

    def _commit_all(self, token: int, prompt: bytes) -> None:
        for fault in self._faults:
            is_here = fault.token == token and fault.kind is not FaultKind.BAD_UTF8
            if is_here and self._happens_now(fault, prompt):
                self._commit(fault)

    def _happens_now(self, fault: EchoFault, prompt: bytes) -> bool:
        if fault.word is not None and fault.word.encode() not in prompt:
            return False
        if fault.once is None:
            return True
        if fault.once.file is None:
            has_happened = fault in self._happened
            self._happened.add(fault)
            return not has_happened
        try:
            Path(fault.once.file).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _commit(self, fault: EchoFault) -> None:
        match fault.kind:
            case FaultKind.HANG_LOAD | FaultKind.HANG_STEP:
                _hang()
            case FaultKind.FAIL_LOAD:
                raise LoadFailed(self._name, "its script says so.")
            case FaultKind.LEAK:
                if self.leaked_bytes + fault.size_bytes <= LARGEST_BYTES:
                    self._leaked.append(take_memory(fault.size_bytes))
            case FaultKind.ABORT:
                _die(signal.SIGABRT)
            case FaultKind.SEGV:
                _die(signal.SIGSEGV)
            case FaultKind.OOM:
                _run_out_of_memory()


def take_memory(size_bytes: int) -> mmap.mmap:
    """Memory that is really there, each page of it, and given back as soon as it is closed."""
    block = mmap.mmap(-1, max(1, size_bytes))
    for offset in range(0, size_bytes, mmap.PAGESIZE):
        block[offset] = 1
    return block


def _hang() -> None:
    while True:
        time.sleep(60)


def _die(cause: signal.Signals) -> None:
    """As native code dies, without the core file that would be left behind."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    signal.raise_signal(cause)


def _run_out_of_memory() -> None:
    """Raises MemoryError, from the system where that limits address spaces: a Mac does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + _OOM_BYTES
    limits = [limit for limit in (wanted, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        taken = [bytearray(_OOM_BYTES // 2)]
        taken.append(bytearray(_OOM_BYTES))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    raise MemoryError
