"""examples/fastapi-worker, started by its one command."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import READ, ROOT, Dev, ended, environment, said


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def worker() -> Iterator[tuple[str, Dev]]:
    """Its address, and the ``cargo dev`` that it started."""
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "start.py"],
        cwd=ROOT / "examples" / "fastapi-worker",
        env={**environment(), "PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    with ended(process):
        dev = said(process)
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/openapi.json", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.1)
        yield address, dev


def _get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_it_lists_mail_once_the_user_has_connected(worker: tuple[str, Dev]) -> None:
    address, dev = worker
    status, refused = _get(f"{address}/mail")
    assert (status, refused["code"]) == (409, "not_connected")
    assert refused["connect_url"].startswith(f"{dev.url}/api/oauth/gmail/authorize")

    dev.connect(READ)

    status, mail = _get(f"{address}/mail?sender=ann@sender.example")
    assert status == 200
    assert {message["subject"] for message in mail} == {"Your offer", "Minutes of Monday"}
    assert _get(f"{address}/mail?sender=nobody@sender.example") == (200, [])


def test_a_dead_grant_is_told_with_the_address_for_the_user(worker: tuple[str, Dev]) -> None:
    address, dev = worker
    dev.connect(READ)
    dev.control("POST", "kill-grants")

    status, refused = _get(f"{address}/mail")

    assert (status, refused["code"]) == (409, "reauthorization_required")
    assert refused["connect_url"]
