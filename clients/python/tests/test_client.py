"""The client, against ``cargo dev``, and against servers that misbehave."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import READ, SEND, Dev
from grantkeep import Client, GrantkeepError

KEY = "gk_tests-only"


def test_a_token_comes_with_whose_it_is_and_until_when(dev: Dev) -> None:
    dev.connect(READ)

    token = dev.client().access_token("gmail")

    assert (token.provider, token.workspace, token.actor) == ("gmail", "default", "default")
    assert token.account == "alice@example.test"
    assert READ in token.scopes and SEND not in token.scopes
    assert token.expires_at is not None and token.persisted
    left = token.expires_at - datetime.now(timezone.utc)
    assert timedelta(minutes=50) < left < timedelta(hours=1)
    assert token.access_token not in repr(token)


def test_address_and_key_are_the_environments(dev: Dev, monkeypatch: pytest.MonkeyPatch) -> None:
    dev.connect(READ)
    monkeypatch.setenv("GRANTKEEP_URL", dev.url)
    monkeypatch.setenv("GRANTKEEP_KEY", dev.key)

    assert Client().access_token("gmail").account == "alice@example.test"


@pytest.mark.parametrize("name", ["GRANTKEEP_URL", "GRANTKEEP_KEY"])
def test_a_missing_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRANTKEEP_URL", "https://auth.example")
    monkeypatch.setenv("GRANTKEEP_KEY", KEY)
    monkeypatch.setenv(name, " ")

    with pytest.raises(ValueError, match=f"{name} is not set"):
        Client()


@pytest.mark.parametrize("address", ["http://auth.example", "auth.example", "ftp://auth.example"])
def test_a_key_never_travels_unprotected(address: str) -> None:
    with pytest.raises(ValueError, match="GRANTKEEP_URL must be"):
        Client(address, KEY)


def test_nothing_connected_is_told_with_the_address_for_the_user(dev: Dev) -> None:
    with pytest.raises(GrantkeepError) as raised:
        dev.client().access_token("gmail")

    error = raised.value
    assert (error.code, error.status, error.needs_user) == ("not_connected", 404, True)
    assert error.connect_url == f"{dev.url}/api/oauth/gmail/authorize"
    assert dev.key not in str(error)


def test_a_scope_that_was_not_granted_is_named(dev: Dev) -> None:
    dev.connect(READ)

    with pytest.raises(GrantkeepError) as raised:
        dev.client().access_token("gmail", scopes=[READ, SEND])

    assert raised.value.code == "insufficient_scope"
    assert raised.value.missing_scopes == (SEND,)
    assert READ in raised.value.granted_scopes


def test_several_accounts_are_told_apart(dev: Dev) -> None:
    dev.connect(READ, account="alice")
    dev.connect(READ, account="bob")

    with pytest.raises(GrantkeepError) as raised:
        dev.client().access_token("gmail")
    bob = dev.client().access_token("gmail", account="bob@example.test")

    assert set(raised.value.accounts) == {"alice@example.test", "bob@example.test"}
    assert bob.account == "bob@example.test"


def test_a_rejected_token_is_refreshed_once_for_all_who_report_it(dev: Dev) -> None:
    dev.connect(READ)
    first = dev.client().access_token("gmail").access_token
    before = dev.token_requests()
    found: list[str] = []

    def report() -> None:
        found.append(dev.client().access_token("gmail", rejected=first).access_token)

    threads = [threading.Thread(target=report) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 5 and len(set(found)) == 1 and first not in found
    assert dev.token_requests() == before + 1


def test_a_wrong_key_is_an_error_and_not_in_it(dev: Dev) -> None:
    with pytest.raises(GrantkeepError) as raised:
        Client(dev.url, KEY).access_token("gmail")

    assert (raised.value.code, raised.value.status) == ("unauthorized", 401)
    assert KEY not in repr(raised.value)


def test_copies_are_the_same_and_pickles_hold_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("https://auth.example", KEY)

    assert copy.deepcopy(client) is client and copy.copy(client) is client
    pickled = pickle.dumps(client)
    assert KEY.encode() not in pickled
    monkeypatch.setenv("GRANTKEEP_KEY", "gk_other")
    assert repr(pickle.loads(pickled)) == "Client('https://auth.example')"


def test_errors_survive_being_sent_to_another_process() -> None:
    error = GrantkeepError("not_connected", "x", status=404, members={"connect_url": "https://a"})

    again = pickle.loads(pickle.dumps(error))

    assert (again.code, again.status, again.connect_url) == ("not_connected", 404, "https://a")


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def server() -> Iterator[Callable[[Answer], str]]:
    servers: list[ThreadingHTTPServer] = []

    def serve(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                answer(self)

            def do_GET(self) -> None:
                raise AssertionError("a redirect was followed")

            def log_message(self, *_: object) -> None:
                pass

        started = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=started.serve_forever, daemon=True).start()
        servers.append(started)
        return f"http://127.0.0.1:{started.server_port}"

    yield serve
    for started in servers:
        started.shutdown()
        started.server_close()


def _failure(url: str, timeout: float = 5.0) -> GrantkeepError:
    with pytest.raises(GrantkeepError) as raised:
        Client(url, KEY, timeout=timeout).access_token("gmail")
    return raised.value


def _say(request: BaseHTTPRequestHandler, status: int, text: str, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("content-length", str(len(text)))
    request.end_headers()
    request.wfile.write(text.encode())


def test_a_redirect_is_not_followed(server: Callable[[Answer], str]) -> None:
    url = server(lambda request: _say(request, 302, "", location="/elsewhere"))

    error = _failure(url)

    assert (error.code, error.status) == ("unexpected_answer", 302)


def test_what_passes_says_after_how_long(server: Callable[[Answer], str]) -> None:
    body = json.dumps({"code": "storage_unavailable", "detail": "later"})

    error = _failure(server(lambda request: _say(request, 503, body, retry_after="7")))

    assert (error.code, error.retry_after, error.retryable) == ("storage_unavailable", 7.0, True)


@pytest.mark.parametrize("text", ["", "[]", "{}", "<html>", '{"access_token": 1}'])
def test_what_is_no_token_is_refused(text: str, server: Callable[[Answer], str]) -> None:
    error = _failure(server(lambda request: _say(request, 200, text)))

    assert error.code == "unexpected_answer"


def test_silence_ends_in_time(server: Callable[[Answer], str]) -> None:
    done = threading.Event()

    def wait(_: BaseHTTPRequestHandler) -> None:
        done.wait(5)

    error = _failure(server(wait), timeout=0.2)

    done.set()
    assert (error.code, error.retryable) == ("timeout", True)


def test_nobody_there_is_told_without_the_path() -> None:
    error = _failure("http://127.0.0.1:1")

    assert error.code == "unreachable"
    assert "http://127.0.0.1:1 did not answer" in error.detail
