"""What went wrong, as a program can act on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Only the user can put these right, at ``connect_url``.
_NEEDS_USER = frozenset({"not_connected", "insufficient_scope", "reauthorization_required"})

#: The same request may work later.
_PASSES = frozenset({"provider_unavailable", "storage_unavailable", "unreachable", "timeout"})


class GrantkeepError(Exception):
    """Why there is no token. Its text never holds a token or a key."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        members = members or {}
        #: Grantkeep's code, or ``unreachable``, ``timeout``, ``unexpected_answer``.
        self.code = code
        #: What to do about it, in words for developers.
        self.detail = detail
        #: The HTTP status, where there was an answer.
        self.status = status
        #: Seconds after which the same request may work.
        self.retry_after = retry_after
        #: Where to send the user, for what only the user can put right.
        self.connect_url: str | None = members.get("connect_url")
        #: For ``insufficient_scope``: what the user has not granted, and what the user has.
        self.missing_scopes: tuple[str, ...] = tuple(members.get("missing_scopes") or ())
        self.granted_scopes: tuple[str, ...] = tuple(members.get("granted_scopes") or ())
        #: For ``ambiguous_account``: the accounts to choose from.
        self.accounts: tuple[str, ...] = tuple(members.get("accounts") or ())
        #: For ``reauthorization_required``: the provider's reason.
        self.reason: str | None = members.get("reason")

    def __reduce__(self) -> tuple[Any, ...]:
        members = {
            name: getattr(self, name)
            for name in ("connect_url", "missing_scopes", "granted_scopes", "accounts", "reason")
        }
        return (_made_again, (self.code, self.detail, self.status, self.retry_after, members))

    @property
    def needs_user(self) -> bool:
        """Whether only the user can put it right, at ``connect_url``."""
        return self.code in _NEEDS_USER

    @property
    def retryable(self) -> bool:
        """Whether the same request may work later."""
        return self.code in _PASSES


def _made_again(
    code: str,
    detail: str,
    status: int | None,
    retry_after: float | None,
    members: Mapping[str, Any],
) -> GrantkeepError:
    return GrantkeepError(code, detail, status=status, retry_after=retry_after, members=members)
