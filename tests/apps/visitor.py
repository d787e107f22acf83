"""What the visitors of real applications share. See README.md for the variables."""

import asyncio
import http.client
import json
import os
import ssl
import sys
from base64 import b64encode
from urllib.parse import urlsplit

from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.asyncio.client import connect

URL = os.environ["APP_URL"]
USER = os.environ.get("APP_USER", "")
QUIET = float(os.environ.get("APP_QUIET", "0"))
PATIENCE = float(os.environ["APP_PATIENCE"])
HEADER = os.environ.get("APP_HEADER", "X-Auth-Username")
# Whom a forgery names.
STRANGER = "mallory"

_URL = urlsplit(URL)
_TRUST = None
if _URL.scheme == "https":
    _TRUST = ssl.create_default_context(cafile=os.environ["APP_CA"])

Lines = list[tuple[str, str]]


def tell(**facts) -> None:
    """Tells the test a line of facts."""
    print(json.dumps(facts), flush=True)


def connection() -> http.client.HTTPConnection:
    if _TRUST is not None:
        return http.client.HTTPSConnection(_URL.netloc, timeout=PATIENCE, context=_TRUST)
    return http.client.HTTPConnection(_URL.netloc, timeout=PATIENCE)


def ask(
    method: str, path: str, lines: Lines, body: bytes = b"", on: http.client.HTTPConnection | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Sends header lines as they are, repeated ones included."""
    link = on or connection()
    link.putrequest(method, path)
    for name, value in lines:
        link.putheader(name, value)
    if body:
        link.putheader("Content-Length", str(len(body)))
    link.endheaders(body)
    answer = link.getresponse()
    content = answer.read()
    if on is None:
        link.close()
    return answer.status, answer.headers, content


def password() -> Lines:
    """The visitor's password, for the gateway; nothing where there is none."""
    if not USER:
        return []
    pair = f"{USER}:{os.environ['APP_PASSWORD']}"
    return [("Authorization", "Basic " + b64encode(pair.encode()).decode())]


def log_in() -> Lines:
    """The session's cookie, as a browser would send it."""
    if not USER:
        return []
    status, headers, _ = ask("GET", "/", password())
    cookies = [line.split(";")[0] for line in headers.get_all("Set-Cookie") or []]
    session = [line for line in cookies if line.startswith("__Host-gateway-")]
    assert len(session) == 1, (status, cookies)
    return [("Cookie", session[0])]


def open_socket(path: str, lines: Lines, subprotocols: list[str] | None = None):
    """A WebSocket as a browser opens it: with the page's origin, and no pings of its own.

    Not of `websockets.sync`: it reads and writes in two threads, and over TLS one connection in some
    hundreds ends at once."""
    scheme = "wss" if _TRUST else "ws"
    return connect(
        f"{scheme}://{_URL.netloc}{path}",
        origin=f"{_URL.scheme}://{_URL.netloc}",
        additional_headers=lines,
        subprotocols=subprotocols,
        ssl=_TRUST,
        open_timeout=PATIENCE,
        ping_interval=None,
        max_size=None,
        proxy=None,
    )


async def rest() -> None:
    """Does nothing for as long as the test wants."""
    await asyncio.sleep(QUIET)


def forgeries() -> list[tuple[str, Lines]]:
    """Ways to name oneself to a back-end that reads HEADER, each with a label."""
    name, under = HEADER, HEADER.replace("-", "_")
    spellings = [
        name,
        name.lower(),
        name.upper(),
        under,
        under.lower(),
        under.upper(),
        name.replace("-", "_", 1),
        name.replace("-", "."),
        name.replace("-", "--"),
        name + "_",
        "X-Auth-Username",
        "X_Auth_Username",
        "X-Remote-User",
        "X_Remote_User",
        "Remote-User",
        "Remote_User",
    ]
    alone = [(spelling, [(spelling, STRANGER)]) for spelling in dict.fromkeys(spellings)]
    return alone + [
        ("twice", [(name, STRANGER), (name, STRANGER)]),
        ("both spellings", [(name, STRANGER), (under, STRANGER)]),
        ("space after the value", [(name, STRANGER + " ")]),
        ("space after the name", [(name + " ", STRANGER)]),
        ("in Connection", [("Connection", name), (name, STRANGER)]),
    ]


async def forge(who) -> None:
    """Tries each forgery with `who`, which takes header lines and returns the name that the
    back-end believes. Tells the name, or the status of a refusal: 0 where it is the connection's
    end."""
    session = log_in()
    for label, lines in forgeries():
        try:
            tell(forgery=label, who=await who(session, lines))
        except Refused as refused:
            tell(forgery=label, refused=refused.status)
        except InvalidStatus as refused:
            tell(forgery=label, refused=refused.response.status_code)
        except InvalidMessage:
            tell(forgery=label, refused=0)


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def main(**modes) -> None:
    """Runs what the command line names."""
    asyncio.run(modes[sys.argv[1]]())
