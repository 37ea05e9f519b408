"""The footprint of this process follows what it takes and gives back. Tried by whatever system runs this."""

import mmap

from mlxhub.files.footprint import footprint_reader

SIZE = 200_000_000


def test_memory_that_is_used_and_given_back_shows() -> None:
    read = footprint_reader()
    before = read()
    block = mmap.mmap(-1, SIZE)
    for offset in range(0, SIZE, mmap.PAGESIZE):
        block[offset] = 1
    used = read()
    block.close()
    after = read()
    assert before + 0.9 * SIZE < used < before + 1.3 * SIZE
    assert after < before + 0.1 * SIZE
