"""Visits Radicale, a calendar server. See README.md."""

import http.client
import re

import visitor

EVENT = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//gateway//tests//EN\r
BEGIN:VEVENT\r
UID:tea\r
DTSTAMP:20261122T100000Z\r
DTSTART:20261122T160000Z\r
SUMMARY:%s\r
END:VEVENT\r
END:VCALENDAR\r
"""

WHO = b'<propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>'
LIST = b'<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>'


def dav(method: str, path: str, lines: visitor.Lines, body: bytes = b"", on=None) -> bytes:
    status, _, content = visitor.ask(method, path, lines, body, on)
    if not 200 <= status < 300:
        raise visitor.Refused(status)
    return content


async def who(session: visitor.Lines, forged: visitor.Lines) -> str:
    """Whom Radicale takes for the principal (RFC 5397)."""
    xml = dav("PROPFIND", "/", session + forged + [("Depth", "0")], WHO).decode()
    found = re.search(r"current-user-principal>\s*<(?:\w+:)?href>/([^/<]*)/?</", xml)
    return found[1] if found else "nobody"


def is_refused(method: str, path: str, lines: visitor.Lines) -> bool:
    try:
        dav(method, path, lines)
    except visitor.Refused as refused:
        return refused.status == 403
    return False


async def use() -> None:
    session = visitor.log_in()
    name = await who(session, [])
    calendar, event = f"/{name}/tea/", f"/{name}/tea/tea.ics"
    # One connection as long as the gateway keeps it.
    link = visitor.connection()
    dav("MKCALENDAR", calendar, session, on=link)
    summary = f"{name}'s party".encode()
    kind = [("Content-Type", "text/calendar")]
    dav("PUT", event, session + kind, EVENT % summary, on=link)
    listed = dav("PROPFIND", calendar, session + [("Depth", "1")], LIST, on=link).decode()
    visitor.tell(
        who=name,
        stored=summary in dav("GET", event, session, on=link),
        listed=event in listed,
        others_refused=is_refused("GET", "/mallory/", session),
    )
    await visitor.rest()
    # The gateway closed the connection; the session and what was stored are there still.
    closed = False
    try:
        dav("GET", event, session, on=link)
    except (ConnectionError, http.client.HTTPException, OSError):
        closed = True
    visitor.tell(closed=closed, who=await who(session, []), stored=summary in dav("GET", event, session))


if __name__ == "__main__":
    visitor.main(forge=lambda: visitor.forge(who), use=use)
