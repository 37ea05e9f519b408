"""A port once promised never slides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.config import HubConfig, ModelConfig
from mlxhub.core.ports import assign_ports
from mlxhub.errors import ConfigError


def hub(*models: ModelConfig, port: int = 8000) -> HubConfig:
    return HubConfig(port=port, models=models)


def model(name: str, port: int | None = None) -> ModelConfig:
    return ModelConfig(name=name, model_path="builtin:demo", port=port)


def test_the_first_free_port_is_taken_past_what_others_hold() -> None:
    config = hub(model("a"), model("b", 47851), model("c"))
    ports = assign_ports(config, {}, lambda port: port != 47850)
    assert ports == {"a": 47852, "b": 47851, "c": 47853}


def test_a_promise_holds_when_a_stranger_sits_on_the_port() -> None:
    assert assign_ports(hub(model("a")), {"a": 47850}, lambda _port: False) == {"a": 47850}


def test_a_promised_port_stays_reserved_for_a_model_that_is_away() -> None:
    assert assign_ports(hub(model("b")), {"a": 47850}, lambda _port: True) == {"b": 47851}


def test_a_port_given_to_another_than_it_was_promised_to_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="port 47850 was assigned to model"):
        assign_ports(hub(model("a"), model("b", 47850)), {"a": 47850}, lambda _port: True)


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), unique_by=lambda pair: pair[0]),
    st.dictionaries(st.sampled_from("abcdefghxyz"), st.integers(47850, 47860), max_size=5),
    st.sets(st.integers(47850, 47870)),
)
def test_ports_are_distinct_and_promises_kept(
    named: list[tuple[str, bool]], remembered: dict[str, int], busy: set[int]
) -> None:
    unique = {name: port for port, name in {port: name for name, port in remembered.items()}.items()}
    models = [model(name, 48000 + ord(name) if given else None) for name, given in named]
    ports = assign_ports(hub(*models), unique, lambda port: port not in busy)
    assert len(set(ports.values())) == len(ports) == len(models)
    assert all(ports[m.name] == unique[m.name] for m in models if m.port is None and m.name in unique)
    assert assign_ports(hub(*models), unique | ports, lambda _port: False) == ports
