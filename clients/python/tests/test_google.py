"""Google's own libraries with these credentials, against ``cargo dev`` and its demo Gmail."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import google.auth.exceptions
import google.oauth2.credentials
import pytest
from google.auth.transport.requests import AuthorizedSession, Request
from googleapiclient.discovery import build

from conftest import READ, SEND, Dev
from grantkeep.google import Credentials, RefreshError, credentials

MAIL = "https://mail.google.com/"
MODIFY = "https://www.googleapis.com/auth/gmail.modify"


def _credentials(dev: Dev, **more: Any) -> Credentials:
    return credentials("gmail", client=dev.client(), **more)


def _gmail(dev: Dev, creds: Credentials) -> Any:
    """Google's client with its own description of Gmail, led to the demo provider."""
    options = {"api_endpoint": dev.demo}
    return build("gmail", "v1", credentials=creds, client_options=options, static_discovery=True)


def _address(dev: Dev, creds: Credentials) -> str:
    with _gmail(dev, creds) as gmail:
        profile = gmail.users().getProfile(userId="me").execute()
    return str(profile["emailAddress"])


def test_googles_client_works_with_nothing_but_the_credentials(dev: Dev) -> None:
    dev.connect(READ)

    with _gmail(dev, _credentials(dev)) as gmail:
        found = gmail.users().messages().list(userId="me", maxResults=5).execute()

    assert "resultSizeEstimate" in found


def test_the_environment_is_enough(dev: Dev, monkeypatch: pytest.MonkeyPatch) -> None:
    dev.connect(READ)
    monkeypatch.setenv("GRANTKEEP_URL", dev.url)
    monkeypatch.setenv("GRANTKEEP_KEY", dev.key)

    assert _address(dev, credentials("gmail")) == "alice@example.test"


def test_no_refresh_token_and_no_client_secret_are_held(dev: Dev) -> None:
    dev.connect(READ)
    creds = _credentials(dev)
    creds.refresh(Request())

    assert isinstance(creds, google.oauth2.credentials.Credentials)
    assert creds.valid and not creds.expired
    assert creds.account == "alice@example.test"
    held = json.loads(creds.to_json())
    assert not {"refresh_token", "client_id", "client_secret"} & set(held)


def test_after_a_401_the_token_is_replaced_once_and_the_call_works(dev: Dev) -> None:
    dev.connect(READ)
    creds = _credentials(dev)
    assert _address(dev, creds) == "alice@example.test"
    dead = creds.token
    dev.control("POST", "expire-access-tokens")
    before = dev.token_requests()

    assert _address(dev, creds) == "alice@example.test"
    assert creds.token != dead
    assert dev.token_requests() == before + 1


def test_requests_session_recovers_from_a_401_too(dev: Dev) -> None:
    dev.connect(READ)
    with AuthorizedSession(_credentials(dev)) as session:
        url = f"{dev.demo}/gmail/v1/users/me/profile"
        assert session.get(url, timeout=10).status_code == 200
        dev.control("POST", "expire-access-tokens")

        assert session.get(url, timeout=10).status_code == 200


def test_tokens_that_live_shorter_than_google_auth_likes_work(dev: Dev) -> None:
    dev.control("PATCH", "knobs", '{"access_token_lifetime_s": 120}')
    dev.connect(READ)
    creds = _credentials(dev)

    for _ in range(3):
        assert _address(dev, creds) == "alice@example.test"
    # Nobody was told that a good token had been rejected.
    assert dev.token_requests() == 1

    dev.control("POST", "expire-access-tokens")
    assert _address(dev, creds) == "alice@example.test"
    assert dev.token_requests() == 2


def test_a_dead_grant_is_google_auths_error_with_the_address_for_the_user(dev: Dev) -> None:
    dev.connect(READ)
    creds = _credentials(dev)
    assert _address(dev, creds)
    dev.control("POST", "kill-grants")

    with pytest.raises(google.auth.exceptions.RefreshError) as raised:
        _address(dev, creds)

    error = raised.value
    assert isinstance(error, RefreshError) and not error.retryable
    assert error.code == "reauthorization_required"
    assert error.connect_url and error.connect_url.startswith(f"{dev.url}/api/oauth/gmail/")
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.connect_url) == (error.code, error.connect_url)


def test_what_passes_is_marked_as_such(dev: Dev) -> None:
    dev.connect(READ)
    creds = _credentials(dev)
    assert _address(dev, creds)
    dev.control("POST", "expire-access-tokens")
    dev.control("PATCH", "knobs", '{"fail_next_n": 9, "token_status": 503}')

    with pytest.raises(RefreshError) as raised:
        _address(dev, creds)

    assert (raised.value.code, raised.value.retryable) == ("provider_unavailable", True)


def test_has_scopes_knows_what_the_user_unticked(dev: Dev) -> None:
    # Asked for, and not granted: google-auth's own would say yes.
    dev.connect(READ)
    dev.connect(READ, SEND, ticked=[READ])
    creds = _credentials(dev)

    assert creds.has_scopes([READ])
    assert not creds.has_scopes([SEND])
    assert not creds.has_scopes([READ, SEND])
    assert creds.has_scopes([])
    assert creds.has_scopes(["email", "openid"])
    assert creds.granted_scopes and SEND not in creds.granted_scopes


def test_has_scopes_counts_a_broader_scope(dev: Dev) -> None:
    dev.connect(MODIFY, ticked=[MODIFY])
    creds = _credentials(dev)

    assert creds.has_scopes([READ])
    assert not creds.has_scopes([MAIL])


def test_has_scopes_does_not_guess_where_nothing_is_connected(dev: Dev) -> None:
    with pytest.raises(RefreshError) as raised:
        _credentials(dev).has_scopes([READ])

    assert raised.value.code == "not_connected"


def test_a_scope_that_is_needed_and_missing_is_an_error_before_the_call(dev: Dev) -> None:
    dev.connect(READ)

    with pytest.raises(RefreshError) as raised:
        _address(dev, _credentials(dev, scopes=[READ, SEND]))

    assert raised.value.code == "insufficient_scope"
    assert raised.value.error.missing_scopes == (SEND,)
    assert raised.value.connect_url and "gmail.send" in raised.value.connect_url


def test_copies_keep_what_they_are_for(dev: Dev) -> None:
    dev.connect(READ, account="alice")
    dev.connect(READ, account="bob")
    bob = _credentials(dev, account="bob@example.test")
    bob.refresh(Request())

    billed = bob.with_quota_project("project-1")
    headers: dict[str, str] = {}
    billed.before_request(Request(), "GET", "https://gmail.googleapis.com", headers)

    assert headers["x-goog-user-project"] == "project-1"
    assert headers["authorization"] == f"Bearer {bob.token}"
    assert _address(dev, billed.with_account("alice@example.test")) == "alice@example.test"
    assert _address(dev, copy.deepcopy(bob)) == "bob@example.test"
    assert bob.quota_project_id is None


def test_a_pickle_works_elsewhere_and_holds_no_secret(
    dev: Dev, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev.connect(READ)
    creds = _credentials(dev)
    creds.refresh(Request())

    pickled = pickle.dumps(creds)

    assert creds.token and creds.token.encode() not in pickled
    assert dev.key.encode() not in pickled
    monkeypatch.setenv("GRANTKEEP_KEY", dev.key)
    assert _address(dev, pickle.loads(pickled)) == "alice@example.test"
