import json
import socket
import time
from http.client import HTTPConnection, RemoteDisconnected
from urllib.parse import urlencode

import pytest

from portal.standin import Standin, StandinServer
from tests.standin.caller import CLIENT


@pytest.fixture(scope="module")
def server():
    with StandinServer(Standin(leads=1_000)) as running:
        yield running


@pytest.fixture
def http(server):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield connection
    connection.close()


@pytest.fixture(autouse=True)
def untouched(server):
    server.standin.reset()


def ask(http, method, path, body=None, headers=None):
    content = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
    http.request(method, path, content, headers or {})
    response = http.getresponse()
    raw = response.read()
    return response.status, json.loads(raw) if raw else None


@pytest.fixture
def auth(http):
    form = urlencode({**CLIENT, "grant_type": "refresh_token", "refresh_token": "standin-refresh"})
    _, answer = ask(http, "POST", "/oauth/v2/token", form)
    return {"Authorization": f"Zoho-oauthtoken {answer['access_token']}"}


def test_api_domain_is_the_address_of_the_server(http, server):
    form = urlencode({**CLIENT, "grant_type": "refresh_token", "refresh_token": "standin-refresh"})

    assert ask(http, "POST", "/oauth/v2/token", form)[1]["api_domain"] == server.url


def test_many_calls_share_one_connection_and_none_waits_for_an_acknowledgement(http, auth):
    ask(http, "GET", "/crm/v8/org", headers=auth)
    connected = http.sock
    started = time.perf_counter()
    for _ in range(50):
        assert ask(http, "GET", "/crm/v8/org", headers=auth)[0] == 200
    elapsed = time.perf_counter() - started

    assert http.sock is connected
    # With the trap of Nagle and delayed acknowledgements fifty calls take two seconds.
    assert elapsed < 1


def test_no_content_leaves_the_connection_usable(http, auth):
    assert ask(http, "GET", "/crm/v8/Leads/1", headers=auth) == (204, None)
    assert ask(http, "GET", "/crm/v8/org", headers=auth)[0] == 200


def test_chunked_body_is_read(http, auth, server):
    body = json.dumps({"data": [{"Last_Name": "Chunked"}]}).encode()
    http.request("POST", "/crm/v8/Leads", iter([body[:9], body[9:]]), auth, encode_chunked=True)

    response = http.getresponse()

    assert response.status == 201
    response.read()


def test_unknown_endpoint_is_501(http):
    status, body = ask(http, "PATCH", "/crm/v8/Leads", b"{}")

    assert (status, body["code"]) == (501, "STANDIN_NOT_BUILT")


def test_a_drop_closes_the_connection_without_an_answer(http, auth, server):
    server.standin.faults.add(path="/org", drop="before")

    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        ask(http, "GET", "/crm/v8/org", headers=auth)


def test_latency_is_real_on_this_door(http, auth, server):
    server.standin.latency_ms = 60
    started = time.perf_counter()

    ask(http, "GET", "/crm/v8/org", headers=auth)

    assert time.perf_counter() - started >= 0.06


def test_stopping_ends_idle_connections():
    with StandinServer(Standin(leads=1)) as running:
        idle = socket.create_connection(("127.0.0.1", running.port), timeout=5)
        idle.sendall(b"GET /_standin/state HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65_536).startswith(b"HTTP/1.1 200")

    assert idle.recv(10) == b""
    idle.close()


def test_control_shows_and_edits_records(http, auth, server):
    lead = server.standin.ids("Leads")[40]

    status, _ = ask(http, "POST", "/_standin/edit", {"module": "Leads", "id": lead, "values": {"City": "Elko"}})
    ask(http, "PUT", "/crm/v8/Leads", {"data": [{"id": lead, "City": "Reno"}]}, auth)
    _, seen = ask(http, "GET", f"/_standin/record?module=Leads&id={lead}")
    _, totals = ask(http, "GET", "/_standin/writes?module=Leads")
    _, rows = ask(http, "POST", "/_standin/records", {"ids": [lead], "fields": ["City"]})

    assert status == 200
    assert seen["record"]["City"] == "Reno"
    assert seen["writes"] == {"writes": 1, "effective": 1, "workflows": 1}
    assert (totals["records"], totals["effective_more_than_once"]) == (1, [])
    assert rows["data"] == [{"City": "Reno", "id": lead}]


def test_control_adds_and_removes(http):
    _, added = ask(http, "POST", "/_standin/add", {"module": "Leads", "values": {"Last_Name": "New"}})
    _, state = ask(http, "GET", "/_standin/state")
    ask(http, "POST", "/_standin/remove", {"module": "Leads", "id": added["id"]})
    _, later = ask(http, "GET", "/_standin/state")

    assert (state["records"]["Leads"], later["records"]["Leads"]) == (1_001, 1_000)


def test_control_steers_clock_latency_settings_and_faults(http, server):
    ask(http, "POST", "/_standin/clock", {"freeze": "2026-11-02T12:00:00+00:00", "advance": 30})
    ask(http, "POST", "/_standin/latency", {"ms": 3})
    ask(http, "POST", "/_standin/settings", {"concurrency": 3})
    ask(http, "POST", "/_standin/faults", [{"path": "/org", "status": 500}])
    ask(http, "POST", "/_standin/faults", {"add": [{"path": "/users", "status": 500}]})
    _, state = ask(http, "GET", "/_standin/state")
    _, faults = ask(http, "GET", "/_standin/faults")
    wrong, _ = ask(http, "POST", "/_standin/settings", {"speed": 3})
    ask(http, "POST", "/_standin/clock", {"freeze": False})

    assert state["now"] == "2026-11-02T12:00:30+00:00"
    assert (state["latency_ms"], state["settings"]["concurrency"]) == (3, 3)
    assert len(faults["faults"]) == 2
    assert wrong == 400


def test_control_revokes_mints_counts_and_resets(http, auth, server):
    assert ask(http, "GET", "/crm/v8/org", headers=auth)[0] == 200
    _, counters = ask(http, "GET", "/_standin/counters")
    _, journal = ask(http, "GET", "/_standin/journal?path=/org")
    ask(http, "POST", "/_standin/revoke", {"access": True})
    assert ask(http, "GET", "/crm/v8/org", headers=auth)[0] == 401
    _, code = ask(http, "POST", "/_standin/code", {"scopes": "ZohoCRM.org.READ"})
    _, state = ask(http, "POST", "/_standin/reset", {"leads": 20})
    _, after = ask(http, "GET", "/_standin/counters")

    assert counters["calls"]["GET /crm/v8/org"] == 1
    assert counters["token_requests"] == 1
    assert [entry["status"] for entry in journal["journal"]] == [200]
    assert code["code"]
    assert state["records"]["Leads"] == 20
    assert after["total_calls"] == 0
    server.standin.reset(leads=1_000)


def test_control_calls_are_not_counted_and_unknown_ones_are_501(http, server):
    assert ask(http, "GET", "/_standin/nothing")[0] == 501
    assert server.standin.counters.total_calls == 0
