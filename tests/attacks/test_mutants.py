"""Remove one defence, and a named test fails.

There are many; each run takes some, other ones each time. `--all-mutations` takes them all.
"""

import pytest

from tests.attacks.mutants import Mutant, Mutation, chosen_of, read_mutations

EVERY = 45
LISTED = [*read_mutations("models"), *read_mutations("outbound")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mutation" in metafunc.fixturenames:
        metafunc.parametrize("mutation", chosen_of(LISTED, EVERY, metafunc.config), ids=str)


@pytest.fixture(scope="module")
def mutant(tmp_path_factory: pytest.TempPathFactory) -> Mutant:
    return Mutant(tmp_path_factory.mktemp("mutant"))


def test_without_it_its_test_fails(mutant: Mutant, mutation: Mutation) -> None:
    assert not mutant.survives(mutation)


def test_in_a_copy_without_a_mutation_they_pass(mutant: Mutant) -> None:
    """Else they would fail of the copy itself."""
    for mutation in LISTED[:: len(LISTED) // 3]:
        assert mutant.survives(Mutation(mutation.file, mutation.old, mutation.old, mutation.test))
