"""Remove one defence of what stands in front of both programs, and a named attack gets through."""

import os
from collections.abc import Iterator

import pytest

from tests.attacks.mutants import Mutation, chosen_of, read_mutations
from tests.attacks.quick_mutants import QuickMutants, quick_mutants

EVERY = 12
LISTED = read_mutations("guard") + (read_mutations("guard_as_root") if os.getuid() == 0 else [])
# One of each file of tests.
UNCHANGED = {mutation.test.partition("::")[0]: mutation for mutation in LISTED}


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickMutants]:
    with quick_mutants(tmp_path_factory.mktemp("mutants")) as made:
        yield made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mutation" in metafunc.fixturenames:
        metafunc.parametrize("mutation", chosen_of(LISTED, EVERY, metafunc.config), ids=str)


def test_without_it_its_test_fails(mutants: QuickMutants, mutation: Mutation) -> None:
    assert not mutants.survives(mutation)


@pytest.mark.parametrize("listed", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_in_a_copy_without_a_mutation_it_passes(mutants: QuickMutants, listed: Mutation) -> None:
    """Else it would fail of the copy itself."""
    assert mutants.survives(Mutation(listed.file, listed.old, listed.old, listed.test))
