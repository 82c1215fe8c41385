"""The Python block of docs/frontend.md, as it stands there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import READ, ROOT, Dev


@pytest.fixture
def module(dev: Dev, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Its names, with Gmail's address led to the demo Gmail."""
    monkeypatch.setenv("GRANTKEEP_URL", dev.url)
    monkeypatch.setenv("GRANTKEEP_KEY", dev.key)
    page = (ROOT / "docs" / "frontend.md").read_text()
    block = page.split("\n```python token\n")[1].split("\n```")[0]
    names: dict[str, Any] = {}
    exec(block.replace("https://gmail.googleapis.com", dev.demo), names)
    return names


def test_the_handler_answers_the_inbox(dev: Dev, module: dict[str, Any]) -> None:
    dev.connect(READ)

    answer = module["handler"]({"actor": "default"}, None)

    assert answer["statusCode"] == 200
    assert "resultSizeEstimate" in json.loads(answer["body"])


def test_the_handler_says_where_the_user_can_connect(dev: Dev, module: dict[str, Any]) -> None:
    answer = module["handler"]({"actor": "somebody"}, None)

    assert answer["statusCode"] == 409
    url = f"{dev.url}/api/oauth/gmail/authorize"
    assert json.loads(answer["body"]) == {"connect_url": url}


def test_what_no_user_can_put_right_is_told_by_its_code(
    module: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRANTKEEP_KEY", "gk_wrong")

    with pytest.raises(RuntimeError, match="unauthorized"):
        module["handler"]({"actor": "default"}, None)
