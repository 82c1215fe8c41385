"""google-auth credentials whose tokens come from Grantkeep.

They go wherever google-auth's own do, ``googleapiclient.discovery.build`` among them, and hold no
refresh token and no client secret.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, NamedTuple

from google.auth import exceptions
from google.oauth2 import credentials as oauth2

from grantkeep.client import AccessToken, Client
from grantkeep.errors import GrantkeepError

__all__ = ["Credentials", "RefreshError", "credentials"]

#: Whether a refresh is google-auth's own before a request, and not the answer to a 401.
_BEFORE_REQUEST: ContextVar[bool] = ContextVar("_BEFORE_REQUEST", default=False)

#: Google's short names for scopes that it lists under long ones.
_LONG = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}


class _Whose(NamedTuple):
    """Which connection."""

    provider: str
    workspace: str | None
    actor: str | None
    account: str | None


class RefreshError(exceptions.RefreshError):
    """google-auth's error, with what Grantkeep said."""

    def __init__(self, error: GrantkeepError) -> None:
        super().__init__(str(error), retryable=error.retryable)
        #: What Grantkeep said, whole.
        self.error = error
        #: Such as ``reauthorization_required``.
        self.code = error.code
        #: Where to send the user, for what only the user can put right.
        self.connect_url = error.connect_url

    def __reduce__(self) -> tuple[Any, ...]:
        return (RefreshError, (self.error,))


class Credentials(oauth2.Credentials):
    """One connection's credentials. A token is asked for when the first request needs it.

    ``scopes`` are what the tokens have to be good for: without them, the user's choice on the
    consent page shows up as the API's 403. A pickle holds neither a token nor the client's key.
    """

    def __init__(
        self,
        client: Client,
        provider: str,
        *,
        workspace: str | None = None,
        actor: str | None = None,
        account: str | None = None,
        scopes: Iterable[str] | None = None,
        quota_project_id: str | None = None,
    ) -> None:
        super().__init__(
            token=None,
            scopes=None if scopes is None else list(scopes),
            quota_project_id=quota_project_id,
            account=account,
        )
        self._grantkeep = client
        self._whose = _Whose(provider, workspace, actor, account)

    @property
    def granted_scopes(self) -> list[str] | None:
        """What the user granted; ``None`` until a token was asked for."""
        granted: list[str] | None = self._granted_scopes
        return granted

    def has_scopes(self, scopes: Iterable[str]) -> bool:
        """Whether the user granted these, or broader ones that the API takes for them.

        Grantkeep is asked where what is known here does not settle it. Raises
        :class:`RefreshError` where it cannot say.
        """
        wanted = [_LONG.get(scope, scope) for scope in scopes]
        if set(wanted) <= set(self._granted_scopes or ()):
            return True
        try:
            self._take(self._ask(scopes=wanted))
        except GrantkeepError as error:
            if error.code == "insufficient_scope":
                self._granted_scopes = list(error.granted_scopes)
                return False
            raise RefreshError(error) from error
        return True

    def refresh(self, request: Any) -> None:
        """Takes a token that works.

        Called by itself, as transports do after a 401, it tells Grantkeep that the token it has
        was rejected. ``request`` is not used: Grantkeep is asked with its own time limit. Raises
        :class:`RefreshError`.
        """
        told = self.token if self._has_live_token() and not _BEFORE_REQUEST.get() else None
        try:
            self._take(self._ask(scopes=self._scopes, rejected=told))
        except GrantkeepError as error:
            raise RefreshError(error) from error

    def before_request(
        self, request: Any, method: str, url: str, headers: MutableMapping[str, str]
    ) -> None:
        """Sees to a token that works, and puts it into ``headers``."""
        mark = _BEFORE_REQUEST.set(True)
        try:
            super().before_request(request, method, url, headers)
        finally:
            _BEFORE_REQUEST.reset(mark)

    def with_non_blocking_refresh(self) -> None:
        """Changes nothing: what Grantkeep hands out was refreshed ahead already."""

    def _ask(self, *, scopes: Iterable[str] | None, rejected: str | None = None) -> AccessToken:
        provider, workspace, actor, account = self._whose
        return self._grantkeep.access_token(
            provider,
            workspace=workspace,
            actor=actor,
            account=account,
            scopes=scopes,
            rejected=rejected,
        )

    def _take(self, token: AccessToken) -> None:
        self._granted_scopes = list(token.scopes)
        self._account = token.account
        # google-auth's instants are UTC without saying so.
        self.expiry = token.expires_at and token.expires_at.astimezone(timezone.utc).replace(
            tzinfo=None
        )
        self.token = token.access_token

    def _has_live_token(self) -> bool:
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        return bool(self.token) and (self.expiry is None or now < self.expiry)

    def _make_copy(self) -> Credentials:
        copy = self._for(self._whose)
        copy.token, copy.expiry = self.token, self.expiry
        copy._granted_scopes, copy._account = self._granted_scopes, self._account
        copy._universe_domain, copy._token_uri = self._universe_domain, self._token_uri
        return copy

    def with_account(self, account: str) -> Credentials:
        """The same actor's credentials for another of their accounts."""
        return self._for(self._whose._replace(account=account))

    def _for(self, whose: _Whose) -> Credentials:
        provider, workspace, actor, account = whose
        return self.__class__(
            self._grantkeep,
            provider,
            workspace=workspace,
            actor=actor,
            account=account,
            scopes=self._scopes,
            quota_project_id=self._quota_project_id,
        )

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {**state, "token": None, "expiry": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._grantkeep = state["_grantkeep"]
        self._whose = state["_whose"]


def credentials(
    provider: str = "gmail",
    *,
    workspace: str | None = None,
    actor: str | None = None,
    account: str | None = None,
    scopes: Iterable[str] | None = None,
    quota_project_id: str | None = None,
    client: Client | None = None,
) -> Credentials:
    """Credentials of one connection, by the environment's Grantkeep unless ``client`` is given.

    >>> gmail = build("gmail", "v1", credentials=credentials("gmail", actor="user-42"))
    """
    return Credentials(
        client or Client(),
        provider,
        workspace=workspace,
        actor=actor,
        account=account,
        scopes=scopes,
        quota_project_id=quota_project_id,
    )
