"""A running ``cargo dev``, and its demo user."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from grantkeep import Client

ROOT = Path(__file__).resolve().parents[3]

#: Seconds that it may take to build and start.
START = 900

READ = "https://www.googleapis.com/auth/gmail.readonly"
SEND = "https://www.googleapis.com/auth/gmail.send"


class _Stay(urllib.request.HTTPRedirectHandler):
    """The demo user follows redirects one by one, to carry each server's cookies."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass
class Dev:
    """What ``cargo dev`` printed about itself."""

    url: str
    key: str
    secret: str
    demo: str
    page: str

    def client(self) -> Client:
        """With the key that may do everything."""
        return Client(self.url, self.key)

    def ask(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> str:
        """A request's answer: where it redirects to, or its text."""
        return self._open(method, url, body, headers or {})[0]

    def _open(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[str, list[str]]:
        request = urllib.request.Request(url, method=method, data=body, headers=headers)
        opener = urllib.request.build_opener(_Stay)
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.read().decode(), answer.headers.get_all("set-cookie", [])
        except urllib.error.HTTPError as answer:
            with answer:
                if answer.code not in (302, 303):
                    raise AssertionError(f"{answer.code} {answer.read().decode()}") from None
                cookies = answer.headers.get_all("set-cookie", [])
                return answer.headers["location"], cookies

    def connect(
        self,
        *scopes: str,
        ticked: list[str] | None = None,
        provider: str = "gmail",
        account: str = "alice",
    ) -> None:
        """Asks for scopes and ticks all or some, as actor and workspace ``default``."""
        query = f"{urlsplit(self.page).query}&{urlencode({'scope': ' '.join(scopes)})}"
        begin = f"{self.url}/api/oauth/{provider}/authorize?{query}"
        consent, cookies = self._open("GET", begin, None, {})
        form = [
            ("request", urlsplit(consent).query),
            ("account", f"{account}@example.test"),
            ("decision", "allow"),
            *(("scope", scope) for scope in (scopes if ticked is None else ticked)),
        ]
        callback = self.ask("POST", consent.split("?")[0], body=urlencode(form).encode())
        cookie = "; ".join(cookie.split(";")[0] for cookie in cookies)
        self.ask("GET", callback, headers={"Cookie": cookie})

    def disconnect_all(self) -> None:
        """As before the first consent."""
        key = {"Authorization": f"Bearer {self.key}"}
        listed = self.ask("GET", f"{self.url}/api/connections", headers=key)
        for connection in json.loads(listed)["connections"]:
            self.ask("DELETE", f"{self.url}/api/connections/{connection['id']}", headers=key)

    def control(self, method: str, path: str, body: str | None = None) -> str:
        """Steers the demo provider."""
        sent = None if body is None else body.encode()
        return self.ask(method, f"{self.demo}/control/{path}", body=sent)

    def token_requests(self) -> int:
        """How often the demo provider's token endpoint was asked."""
        requests = json.loads(self.control("GET", "requests"))
        return sum(request["endpoint"] == "/token" for request in requests)


def environment() -> dict[str, str]:
    """Of this process, without what would steer Grantkeep."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "RUSTUP_HOME")
        or name.startswith(("CARGO_", "PIP_", "GRANTKEEP_DEVPG"))
        or name.lower().endswith(("_proxy", "_cert_file", "_ca_bundle"))
    }


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Sees to the end of a process group, and that it begins in time."""
    # Not asked to stop but killed, `cargo dev` ends its Postgres all the same.
    watch = threading.Timer(START, process.kill)
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


@pytest.fixture(scope="session")
def running() -> Iterator[Dev]:
    """One for all tests: starting it takes seconds."""
    process = subprocess.Popen(
        ["cargo", "dev"],
        cwd=ROOT,
        env={**environment(), "PORT": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    with ended(process):
        yield said(process)


def said(process: subprocess.Popen[str]) -> Dev:
    """What a ``cargo dev`` says about itself, once it is ready."""
    text = ""
    assert process.stdout is not None
    for line in process.stdout:
        text += line
        if line.startswith("Stop with Ctrl-C"):
            break
    else:
        raise AssertionError(f"cargo dev did not start:\n{text}")

    def find(pattern: str) -> str:
        found = re.search(pattern, text)
        assert found, f"{pattern} is not in\n{text}"
        return found[1]

    return Dev(
        url=find(r"GRANTKEEP_URL='([^']+)'"),
        key=find(r"GRANTKEEP_KEY='([^']+)'"),
        secret=find(r"SESSION_SECRET='([^']+)'"),
        demo=find(r"the demo provider at (\S+)"),
        page=find(r"(http\S+/connect\?session=\S+)"),
    )


@pytest.fixture
def dev(running: Dev) -> Dev:
    """With nothing connected, and a demo provider that nobody steered or asked."""
    running.disconnect_all()
    knobs = json.loads(running.control("GET", "knobs"))
    running.control("PATCH", "knobs", json.dumps(dict.fromkeys(knobs)))
    running.control("DELETE", "requests")
    return running
