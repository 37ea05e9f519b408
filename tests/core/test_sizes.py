"""Sizes and shares, as people write them."""

import pytest

from mlxhub.core.sizes import parse_ceiling, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("48GB", 48_000_000_000),
        ("48 GB", 48_000_000_000),
        ("1.5GiB", 1_610_612_736),
        ("900MB", 900_000_000),
        ("2TB", 2_000_000_000_000),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_ceiling(text, 7) == size


@pytest.mark.parametrize("text", ["", "48", "48gb", "0GB", "-1GB", "1e3GB", "GB", "75%", "auto", "48GB\n"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "size"), [("auto", 750), ("75%", 750), ("100%", 1000), ("12.5%", 125)])
def test_a_ceiling_may_be_a_part_of_the_machine(text: str, size: int) -> None:
    assert parse_ceiling(text, 1000) == size


@pytest.mark.parametrize("text", ["0%", "101%", "999%", "-5%", "%", "Auto", "0MB"])
def test_what_is_no_ceiling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_ceiling(text, 1000)
