"""One JSON request with a time limit, by the standard library."""

from __future__ import annotations

import http.client
import ipaddress
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any
from urllib.parse import urlsplit

from grantkeep.errors import GrantkeepError

#: Bytes of an answer that are read at the most; Grantkeep's are some kilobytes.
_MOST = 1 << 20


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key is for one address alone."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def origin(address: str) -> str:
    """Scheme, host and port. ``ValueError`` for plain http to another machine."""
    parts = urlsplit(address.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("GRANTKEEP_URL must be an origin such as https://auth.example.com")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("GRANTKEEP_URL must be https (plain http only on loopback)")
    return f"{parts.scheme}://{parts.netloc}"


def post_json(url: str, key: str, body: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """The members of a 2xx answer's JSON; everything else is raised."""
    request = urllib.request.Request(
        url,
        method="POST",
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "grantkeep-python/0.1",
        },
    )
    try:
        with _OPENER.open(request, timeout=timeout) as response:
            status, headers, text = response.status, response.headers, response.read(_MOST)
    except urllib.error.HTTPError as error:
        with error:
            raise _of_answer(error.code, error.headers, error.read(_MOST)) from None
    except (urllib.error.URLError, TimeoutError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(error, TimeoutError) or isinstance(reason, TimeoutError):
            raise GrantkeepError("timeout", f"no answer within {timeout:g} s") from error
        raise GrantkeepError(
            "unreachable", f"{origin(url)} did not answer: check GRANTKEEP_URL"
        ) from error
    members = _members(text)
    if members is None:
        raise _of_answer(status, headers, b"")
    return members


def _of_answer(status: int, headers: Message, text: bytes) -> GrantkeepError:
    members = _members(text) or {}
    code = members.get("code")
    if not isinstance(code, str):
        detail = f"status {status}, and not from Grantkeep: check GRANTKEEP_URL"
        return GrantkeepError("unexpected_answer", detail, status=status)
    try:
        retry_after = float(headers.get("Retry-After", ""))
    except ValueError:
        retry_after = None
    detail = str(members.get("detail", ""))
    return GrantkeepError(code, detail, status=status, retry_after=retry_after, members=members)


def _members(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
