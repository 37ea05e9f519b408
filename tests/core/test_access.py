"""Who may ask for what, as a judgement on values."""

import pytest

from mlxhub.core.access import (
    Head,
    Need,
    Role,
    Route,
    RouteTable,
    base_url,
    check_origin,
    check_page,
    check_role,
    is_loopback,
    needed_role,
    own_names,
)
from mlxhub.errors import MlxhubError
from mlxhub.refusals import ForeignPage, KeyMissing, KeyTooWeak, NoSuchRoute, WrongHost, WrongMethod

TABLE = RouteTable(
    Route("GET", "/hub", Need.NOTHING, is_page=True),
    Route("POST", "/hub/models/{name}/{action}", Need.ADMIN),
    Route("GET", "/v1/models/{model_id:path}", Need.API_WHERE_REQUIRED),
)
LOOPBACK = own_names("127.0.0.1", 8000)
WIDE = own_names("0.0.0.0", 8000, ["studio.local", "proxy.example:8443"])


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_a_loopback_server_answers_to_its_literal_names(host: str) -> None:
    assert LOOPBACK.include(host)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:8001", "localhost.:8000", "evil.example:8000", "0.0.0.0:8000", "127.1:8000",
        "127.0.0.1.nip.io:8000", "a@127.0.0.1:8000", "127.0.0.1:8000/v1?", "192.168.1.5:8000", "", ":8000",
        "[::]:8000", "127.0.0.1:08000",
    ],
)  # fmt: skip
def test_a_loopback_server_answers_to_nothing_else(host: str) -> None:
    assert not LOOPBACK.include(host)


@pytest.mark.parametrize(
    ("host", "included"),
    [
        ("192.168.1.5:8000", True),
        ("[fd00::7]:8000", True),
        ("192.168.1.5:80", False),
        ("0.0.0.0:8000", False),
        ("evil.example:8000", False),
        ("studio.local:8000", True),
        ("studio.local", True),
        ("proxy.example:8443", True),
        ("proxy.example", False),
    ],
)
def test_a_wide_server_answers_to_addresses_and_to_the_names_it_was_given(host: str, included: bool) -> None:
    assert WIDE.include(host) is included


def test_a_server_at_port_80_answers_without_a_port_too() -> None:
    assert own_names("127.0.0.1", 80).include("localhost")


@pytest.mark.parametrize(
    ("hosts", "origins", "refused"),
    [
        (["127.0.0.1:8000"], [], None),
        (["LOCALHOST:8000"], [], None),
        (["127.0.0.1:8000"], ["http://127.0.0.1:8000"], None),
        (["127.0.0.1:8000"], ["http://localhost:8000"], ForeignPage),
        (["127.0.0.1:8000"], ["null"], ForeignPage),
        (["127.0.0.1:8000"], [""], ForeignPage),
        (["127.0.0.1:8000"], ["http://127.0.0.1:8000", "http://127.0.0.1:8000"], ForeignPage),
        (["127.0.0.1:8000"], ["http://127.0.0.1:8000.evil.example"], ForeignPage),
        ([], [], WrongHost),
        (["127.0.0.1:8000", "127.0.0.1:8000"], [], WrongHost),
        (["evil.example:8000"], ["http://evil.example:8000"], WrongHost),
    ],
)
def test_one_host_of_ours_and_no_origin_but_its_own(
    hosts: list[str], origins: list[str], refused: type[MlxhubError] | None
) -> None:
    head = Head(hosts, origins)
    if refused is None:
        check_origin(head, LOOPBACK)
    else:
        with pytest.raises(refused):
            check_origin(head, LOOPBACK)


@pytest.mark.parametrize("site", [None, "none", "same-origin"])
def test_our_own_page_and_no_page_may_ask(site: str | None) -> None:
    check_page(Head([], [], site), is_page=False)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "twice", "", "Same-Origin"])
def test_pages_of_other_sites_may_only_lead_to_a_page(site: str) -> None:
    with pytest.raises(ForeignPage):
        check_page(Head([], [], site, "navigate", "document"), is_page=False)
    for mode, destination in [("no-cors", "document"), ("navigate", "iframe"), (None, None)]:
        with pytest.raises(ForeignPage):
            check_page(Head([], [], site, mode, destination), is_page=True)
    check_page(Head([], [], site, "navigate", "document"), is_page=True)


def test_what_is_not_in_the_table_is_not_there() -> None:
    assert TABLE.find("HEAD", "/hub").path == "/hub"
    assert TABLE.find("POST", "/hub/models/a/stop").need is Need.ADMIN
    assert TABLE.find("GET", "/v1/models/org/name\nx").need is Need.API_WHERE_REQUIRED
    for path in ("/", "//hub", "/hub/", "/hub/models/a/b/stop", "/hub/models//stop", "/v1/models/", "/HUB"):
        with pytest.raises(NoSuchRoute):
            TABLE.find("POST", path)
    with pytest.raises(WrongMethod, match="GET or HEAD"):
        TABLE.find("TRACE", "/hub")


@pytest.mark.parametrize(
    ("role", "need", "required", "refused"),
    [
        (Role.NOBODY, Need.NOTHING, True, None),
        (Role.NOBODY, Need.API_WHERE_REQUIRED, False, None),
        (Role.NOBODY, Need.API_WHERE_REQUIRED, True, KeyMissing),
        (Role.NOBODY, Need.API, False, KeyMissing),
        (Role.NOBODY, Need.ADMIN, False, KeyMissing),
        (Role.API, Need.API_WHERE_REQUIRED, True, None),
        (Role.API, Need.API, False, None),
        (Role.API, Need.ADMIN, False, KeyTooWeak),
        (Role.HUB, Need.API, True, None),
        (Role.HUB, Need.ADMIN, False, None),
    ],
)
def test_what_each_role_may(
    role: Role, need: Need, required: bool, refused: type[MlxhubError] | None
) -> None:
    needed = needed_role(need, keys_required=required)
    if refused is None:
        check_role(role, needed)
    else:
        with pytest.raises(refused):
            check_role(role, needed)


def test_addresses_as_clients_write_them() -> None:
    assert base_url("0.0.0.0", 1) == "http://127.0.0.1:1"
    assert base_url("::", 1) == "http://[::1]:1"
    assert [is_loopback(host) for host in ("localhost", "127.0.0.9", "::1", "::", "0.0.0.0", "10.0.0.1")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
