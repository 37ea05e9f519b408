"""A program of its own around huggingface_hub, which takes a second to import: pulls models and removes them.

    pull REPO CACHE    remove REPO CACHE

It says what it does in lines of JSON, each an object with one key: `plan`, `bytes` (done of all), `checking`
(a name), then `done` or `failed`. It ends when its standard input does, and with it whoever started it.
What has come of a file stays as *.incomplete, and the next pull goes on from there. The revision's name is
written last: until then nobody takes what is there for a model.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import HfApi, constants, hf_hub_url, scan_cache_dir
from huggingface_hub.errors import CacheNotFound
from huggingface_hub.file_download import http_get
from huggingface_hub.utils._headers import build_hf_headers

from mlxhub.files.huggingface import cache_entry
from mlxhub.files.locks import try_lock
from mlxhub.files.state import write_atomically
from mlxhub.registry.hub_faults import Failed, told_as_disk_faults, told_as_faults_of
from mlxhub.registry.pulled_files import NotPullable, RemoteFile, files_to_pull

_SAY_EVERY_SECONDS = 0.2
_CHUNK_BYTES = 65_536
_READ_BYTES = 8_000_000
_ROOM_TO_LEAVE = 1_000_000_000
_LISTING_SECONDS = 30.0
_ORPHANED = 75
# The one that a repo id in hub.yaml means.
_REVISION = "main"
_COMMIT = re.compile("[0-9a-f]{40}")


class _Progress:
    def __init__(self, done: int) -> None:
        self.done = done
        self._said_at = 0.0

    def add(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self._said_at >= _SAY_EVERY_SECONDS:
            self._said_at = time.monotonic()
            _say("bytes", self.done)


class _Counted:
    """A file as huggingface_hub uses one, that counts what comes and takes no more than was promised."""

    def __init__(self, file: BinaryIO, promised: RemoteFile, progress: _Progress) -> None:
        self._file = file
        self._promised = promised
        self._progress = progress

    def write(self, data: bytes) -> int:
        if self._file.tell() + len(data) > self._promised.size:
            self._file.truncate(0)
            raise Failed("corrupt", f"More came of {self._promised.name} than was promised. Pull it again.")
        self._progress.add(len(data))
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, place: int) -> int:
        """It goes back where a server sends everything anew."""
        self._progress.add(place - self._file.tell())
        return self._file.seek(place)

    def truncate(self) -> int:
        return self._file.truncate()


def main() -> None:
    # What of a chunk has come when a connection ends is lost, and nothing is said of it until it is whole.
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK_BYTES
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        verb, repo, cache = sys.argv[1:]
        _say("done", str(_pull(repo, Path(cache))) if verb == "pull" else _remove(repo, Path(cache)))
    except Failed as failed:
        _say("failed", {"code": failed.code, "message": str(failed)})
        sys.exit(1)


def _end_with_input() -> None:
    while os.read(0, 1):  # nothing that is locked when the program ends
        pass
    os._exit(_ORPHANED)


def _say(key: str, value: object) -> None:
    sys.stdout.write(json.dumps({key: value}) + "\n")
    sys.stdout.flush()


def _pull(repo: str, cache: Path) -> Path:
    commit, files = _listing(repo)
    own = cache_entry(cache, repo)
    blobs, snapshot = own / "blobs", own / "snapshots" / commit
    with told_as_disk_faults(), _alone(cache / ".locks" / f"{own.name}.mlxhub.lock", repo):
        for directory in (blobs, snapshot, own / "refs"):
            directory.mkdir(parents=True, exist_ok=True)
        sizes = {file.digest: file.size for file in files}
        have = sum(_have(blobs / digest, size) for digest, size in sizes.items())
        total = sum(sizes.values())
        _say("plan", {"commit": commit, "files": len(files), "bytes": total, "have": have})
        free = shutil.disk_usage(blobs).free
        if total - have + _ROOM_TO_LEAVE > free:
            raise Failed(
                "disk_full",
                f"{total - have:,} bytes are still to come, and {free:,} are free on the disk of {cache}. "
                "Make room there, or set HF_HUB_CACHE to another disk.",
            )
        progress = _Progress(have)
        for file in files:
            _fetch(repo, commit, file, blobs / file.digest, progress)
            link = snapshot / file.name
            if not link.exists():
                link.parent.mkdir(exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(Path(os.path.relpath(blobs, link.parent)) / file.digest)
        write_atomically(own / "refs" / _REVISION, commit.encode(), mode=0o644)
    return snapshot


def _listing(repo: str) -> tuple[str, list[RemoteFile]]:
    """All are of one commit, whatever is pushed meanwhile."""
    with told_as_faults_of(repo):
        info = HfApi().model_info(repo, revision=_REVISION, files_metadata=True, timeout=_LISTING_SECONDS)
        if info.sha is None or not _COMMIT.fullmatch(info.sha):
            raise Failed("server", f"The server does not say which commit {repo} is at.")
        listed = [
            (each.rfilename, each.size, each.blob_id if each.lfs is None else each.lfs.sha256)
            for each in info.siblings or ()
        ]
    try:
        return info.sha, files_to_pull(listed)
    except NotPullable as error:
        raise Failed("not_a_model", f"{repo} is not pulled: {error}.") from None


def _have(blob: Path, size: int) -> int:
    """Bytes of it that need not be fetched."""
    if _is_whole(blob, size):
        return size
    incomplete = _incomplete(blob)
    return min(incomplete.stat().st_size, size) if incomplete.exists() else 0


def _is_whole(blob: Path, size: int) -> bool:
    """It got its name when it was. What a failing disk has shortened since is fetched anew."""
    return blob.exists() and blob.stat().st_size == size


def _incomplete(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")


def _fetch(repo: str, commit: str, file: RemoteFile, blob: Path, progress: _Progress) -> None:
    """Then it is there under its own name, and whole."""
    if _is_whole(blob, file.size):
        return
    incomplete = _incomplete(blob)
    with incomplete.open("ab") as opened:
        begun = opened.tell()
        if begun > file.size:
            progress.add(-file.size)
            opened.truncate(0)
            begun = 0
        with told_as_faults_of(repo):
            http_get(
                hf_hub_url(repo, file.name, revision=commit),
                _Counted(opened, file, progress),  # type: ignore[arg-type]
                resume_size=begun,
                headers=build_hf_headers(),
                expected_size=file.size,
            )
    if _digest(incomplete, file) != file.digest:
        incomplete.unlink()
        raise Failed(
            "corrupt", f"{file.name} is not what {repo} says it is. It was thrown away; pull it again."
        )
    _to_disk(incomplete)
    incomplete.replace(blob)


def _to_disk(path: Path) -> None:
    """Else a machine that loses power may keep the name and lose what is in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path, file: RemoteFile) -> str:
    """It says all the while that it checks: a large file on a slow disk takes minutes."""
    said_at = -_SAY_EVERY_SECONDS
    is_git = len(file.digest) == 40
    digest = hashlib.sha1(usedforsecurity=False) if is_git else hashlib.sha256()
    if is_git:
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as opened:
        while data := opened.read(_READ_BYTES):
            digest.update(data)
            if time.monotonic() - said_at >= _SAY_EVERY_SECONDS:
                said_at = time.monotonic()
                _say("checking", file.name)
    return digest.hexdigest()


def _remove(repo: str, cache: Path) -> int:
    """Bytes that are free again."""
    own = cache_entry(cache, repo)
    with told_as_disk_faults(), _alone(cache / ".locks" / f"{own.name}.mlxhub.lock", repo):
        try:
            scanned = scan_cache_dir(cache)
        except CacheNotFound:
            scanned = None
        found = next((each for each in (scanned.repos if scanned else ()) if each.repo_id == repo), None)
        freed = 0
        if scanned is not None and found is not None:
            strategy = scanned.delete_revisions(*(each.commit_hash for each in found.revisions))
            freed = strategy.expected_freed_size
            strategy.execute()
        # What of a pull was never finished is no revision yet.
        if own.is_dir():
            freed += sum(path.stat().st_size for path in own.rglob("*.incomplete"))
            shutil.rmtree(own)
        elif found is None:
            raise Failed("not_found", f"{repo} is not in {cache}. See: mlxhub models discover")
    return freed


@contextmanager
def _alone(lock: Path, repo: str) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = try_lock(lock)
    if descriptor is None:
        raise Failed("busy", f"Another mlxhub pulls or removes {repo} at this moment.")
    try:
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
