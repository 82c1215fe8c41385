"""Access tokens: one request to ``/api/token``, with a service key."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from grantkeep import _http
from grantkeep.errors import GrantkeepError


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token that works, and whose it is."""

    #: Not in ``repr``, because that ends up in logs.
    access_token: str = field(repr=False)
    #: With its time zone; ``None`` where the provider does not say.
    expires_at: datetime | None
    #: What was granted.
    scopes: tuple[str, ...]
    connection_id: str
    provider: str
    workspace: str
    actor: str
    account: str
    #: False when a refreshed token could not be saved: it works all the same.
    persisted: bool


class Client:
    """Asks one Grantkeep for tokens. Threads may share it.

    Without arguments it is the environment's: ``GRANTKEEP_URL``, and ``GRANTKEEP_KEY``, a service
    key with ``read``. ``timeout`` is in seconds; an answer may wait for a refresh that another
    instance is doing, 28 seconds at the most. A pickle of it has no key: there, the environment
    has to have it.
    """

    def __init__(
        self, base_url: str | None = None, key: str | None = None, *, timeout: float = 35.0
    ) -> None:
        self._origin = _http.origin(base_url or _from_environment("GRANTKEEP_URL"))
        self._key = key or _from_environment("GRANTKEEP_KEY")
        self._timeout = timeout

    def access_token(
        self,
        provider: str,
        *,
        workspace: str | None = None,
        actor: str | None = None,
        account: str | None = None,
        scopes: Iterable[str] | str | None = None,
        min_ttl: int | None = None,
        rejected: str | None = None,
    ) -> AccessToken:
        """A token that works. Raises :class:`GrantkeepError`.

        ``workspace`` and ``actor`` are ``default`` when absent; ``account`` is needed where the
        actor has several. ``scopes`` are what the token has to be good for, ``min_ttl`` the
        seconds that it should work yet. ``rejected`` is a token that the provider's API answered
        401 to: it is refreshed if it is still the stored one.
        """
        asked = {
            "provider": provider,
            "workspace": workspace,
            "actor": actor,
            "account": account,
            "scope": _joined(scopes),
            "min_ttl": min_ttl,
            "rejected": rejected,
        }
        body = {name: value for name, value in asked.items() if value is not None}
        answer = _http.post_json(f"{self._origin}/api/token", self._key, body, self._timeout)
        return _token(answer)

    def __repr__(self) -> str:
        return f"Client({self._origin!r})"

    # It never changes, so a copy is the same; and a key has no place in a pickle.
    def __copy__(self) -> Client:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Client:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_made_again, (self._origin, self._timeout))


def _made_again(origin: str, timeout: float) -> Client:
    return Client(origin, timeout=timeout)


def _joined(scopes: Iterable[str] | str | None) -> str | None:
    if scopes is None or isinstance(scopes, str):
        return scopes
    return " ".join(scopes)


def _token(answer: dict[str, Any]) -> AccessToken:
    try:
        expires_at = answer["expires_at"]
        return AccessToken(
            access_token=answer["access_token"],
            # Python 3.10 does not read the Z.
            expires_at=datetime.fromisoformat(expires_at.replace("Z", "+00:00"))
            if expires_at
            else None,
            scopes=tuple(answer["scope"].split()),
            connection_id=answer["connection_id"],
            provider=answer["provider"],
            workspace=answer["workspace"],
            actor=answer["actor"],
            account=answer["account"],
            persisted=answer["persisted"],
        )
    except (KeyError, AttributeError, ValueError):
        detail = "this is no answer of /api/token: check GRANTKEEP_URL"
        raise GrantkeepError("unexpected_answer", detail) from None


def _from_environment(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise ValueError(f"{name} is not set, and no argument says it")
    return value
