"""Installs what is missing, starts ``cargo dev`` unless the environment says where a Grantkeep is,
and serves the worker. Needs nothing but Python."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENV = HERE / ".venv"
REQUIREMENTS = HERE / "requirements.txt"


def install() -> None:
    """Once for each version of the requirements."""
    note = VENV / "installed"
    wanted = REQUIREMENTS.read_text()
    if note.exists() and note.read_text() == wanted:
        return
    print("installing into .venv …", flush=True)
    venv.create(VENV, with_pip=True, clear=True)
    quietly = ["install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
    subprocess.run([VENV / "bin" / "pip", *quietly], cwd=HERE, check=True)
    note.write_text(wanted)


def cargo_dev() -> tuple[subprocess.Popen[str], dict[str, str]]:
    """It, and what the worker needs in its environment."""
    process = subprocess.Popen(
        ["cargo", "dev"],
        cwd=ROOT,
        env={**os.environ, "PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        said += line
        if line.startswith("Stop with Ctrl-C"):
            break
    else:
        sys.exit("cargo dev did not start")
    settings = dict(re.findall(r"([A-Z_]+)='([^']*)'", said))
    if demo := re.search(r"the demo provider at (\S+)", said):
        settings["GMAIL_API"] = demo[1]
        deliver(demo[1])
        print("\nConnect Gmail as Alice on the page above: two messages wait for her.", flush=True)
    return process, settings


def deliver(demo: str) -> None:
    """Some mail to find."""
    messages = [
        {
            "account": "alice@example.test",
            "from": "Ann Bell <ann@sender.example>",
            "subject": subject,
            "text": "See below.",
        }
        for subject in ("Your offer", "Minutes of Monday")
    ]
    body = json.dumps(messages).encode()
    with urllib.request.urlopen(f"{demo}/control/messages", data=body, timeout=10):
        pass


def main() -> int:
    """Ends with the worker's code."""
    install()
    environment = dict(os.environ)
    dev = None
    if not os.environ.get("GRANTKEEP_URL"):
        dev, settings = cargo_dev()
        environment |= settings
    port = os.environ.get("PORT", "8000")
    print(f"\nThe worker: http://127.0.0.1:{port}/mail, and /docs to try it\n", flush=True)
    command = [str(VENV / "bin" / "uvicorn"), "main:app", "--host", "127.0.0.1", "--port", port]
    worker = subprocess.Popen(command, cwd=HERE, env=environment)
    # Ctrl-C reaches all of them; who is told alone passes it on.
    signal.signal(signal.SIGINT, lambda *_: worker.send_signal(signal.SIGINT))
    signal.signal(signal.SIGTERM, lambda *_: worker.terminate())
    try:
        return worker.wait()
    finally:
        if dev is not None:
            dev.terminate()
            dev.wait()


if __name__ == "__main__":
    sys.exit(main())
