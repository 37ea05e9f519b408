"""What `mlxhub status` says beside its table."""

from mlxhub.cli.tables import limits_lines
from mlxhub.core.lifecycle import ProcessState
from mlxhub.protocol.hub import ControllerView, Counts, GroupView, HubStatus, MemoryHolder, MemoryView

SEEN = HubStatus(
    controller=ControllerView(
        process=ProcessState.RUNNING, pid=1, host="127.0.0.1", port=8000, label="io.mlxhub.controller"
    ),
    models=[],
    memory=MemoryView(limit_bytes=5_000_000_000),
    counts=Counts(models=0, running=0, loaded=0),
)


def test_who_holds_memory_and_who_is_in_a_group_have_a_line_each() -> None:
    seen = SEEN.model_copy(
        update={
            "groups": [
                GroupView(name="large", max_loaded=2, loaded=["a"]),
                GroupView(name="small", max_loaded=1, loaded=[]),
            ],
            "memory": MemoryView(
                limit_bytes=5_000_000_000,
                reserved_bytes=3_200_000_000,
                holders=[
                    MemoryHolder(name="a", reserved_bytes=3_000_000_000),
                    MemoryHolder(name="b", reserved_bytes=200_000_000),
                ],
            ),
        }
    )
    assert limits_lines(seen) == [
        "memory  3.2 GB of 5.0 GB reserved: a 3.0 GB, b 200 MB",
        "group large  1 of 2 loaded: a",
        "group small  0 of 1 loaded",
    ]


def test_without_groups_and_with_nothing_loaded_there_are_none() -> None:
    assert limits_lines(SEEN) == []
