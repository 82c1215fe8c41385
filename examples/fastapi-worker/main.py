"""A worker that reads its users' mail by Google's own client, with tokens from Grantkeep."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from google.auth.exceptions import TransportError
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from pydantic import BaseModel

from grantkeep import Client
from grantkeep.google import RefreshError, credentials

READ = "https://www.googleapis.com/auth/gmail.readonly"

app = FastAPI(title="Mail worker")
grantkeep = Client()


class Mail(BaseModel):
    """One message."""

    id: str
    sender: str
    subject: str
    snippet: str


@contextmanager
def gmail(actor: str) -> Iterator[Any]:
    """Google's client for one of our users; ``GMAIL_API`` is another address than Google's."""
    endpoint = os.environ.get("GMAIL_API")
    options = {"api_endpoint": endpoint} if endpoint else None
    creds = credentials("gmail", actor=actor, scopes=[READ], client=grantkeep)
    with build("gmail", "v1", credentials=creds, client_options=options) as service:
        yield service


@app.get("/mail")
def mail(actor: str = "default", sender: str | None = None, limit: int = 10) -> list[Mail]:
    """A user's newest messages, all or those of one sender."""
    search = f'from:"{sender.replace(chr(34), "")}"' if sender else None
    with gmail(actor) as service:
        messages = service.users().messages()
        found = messages.list(userId="me", q=search, maxResults=limit).execute()
        ids = [message["id"] for message in found.get("messages", [])]
        wanted = ["From", "Subject"]
        return [
            _mail(
                messages.get(
                    userId="me", id=one, format="metadata", metadataHeaders=wanted
                ).execute()
            )
            for one in ids
        ]


def _mail(message: dict[str, Any]) -> Mail:
    headers = {
        header["name"].lower(): header["value"]
        for header in message.get("payload", {}).get("headers", [])
    }
    return Mail(
        id=message["id"],
        sender=headers.get("from", ""),
        subject=headers.get("subject", ""),
        snippet=message.get("snippet", ""),
    )


@app.exception_handler(RefreshError)
def no_token(_: Request, error: RefreshError) -> JSONResponse:
    """The user has to connect, or it passes."""
    status = 503 if error.retryable else 409
    return JSONResponse({"code": error.code, "connect_url": error.connect_url}, status)


@app.exception_handler(HttpError)
@app.exception_handler(TransportError)
def no_gmail(_: Request, error: Exception) -> JSONResponse:
    """Gmail refused, or did not answer."""
    return JSONResponse({"code": "gmail_failed", "detail": type(error).__name__}, 502)
