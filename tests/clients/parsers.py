"""Two independent HTTP/1.1 parsers, h11 and llhttp (in httptools), judge messages.

In, on stdin: for each case one byte, Q (a request) or A (an answer to GET /), the length as four bytes,
and that many bytes. Out, on stdout: one line of JSON, what each parser makes of the first message.
"""

import json
import struct
import sys

import h11
import httptools


def text(data):
    return bytes(data).decode("latin-1")


def message(start, fields, body, end):
    fields = [[text(name).lower(), text(value)] for name, value in fields]
    return {"start": start, "fields": fields, "body": text(body), "end": end}


def by_h11(kind, data):
    if kind == b"Q":
        conn = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    else:
        conn = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        conn.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
        conn.send(h11.EndOfMessage())
    conn.receive_data(data)
    start, fields, body = None, [], b""

    def end():
        return len(data) - len(conn.trailing_data[0])

    try:
        while True:
            event = conn.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                if start is None:
                    return {"waiting": None}
                return {"message": message(start, fields, body, None)}
            if isinstance(event, h11.Data):
                body += event.data
                continue
            if isinstance(event, h11.EndOfMessage):
                return {"message": message(start, fields, body, end())}
            version = text(event.http_version)
            if kind == b"Q":
                start = [text(event.method), text(event.target), version]
            else:
                start = [version, str(event.status_code), text(event.reason)]
            fields = list(event.headers)
            if isinstance(event, h11.InformationalResponse):
                return {"message": message(start, fields, body, end())}
    except h11.RemoteProtocolError as error:
        return {"refused": str(error)}


class Sink:
    def __init__(self):
        self.line, self.fields, self.body = b"", [], b""
        self.in_head, self.complete = True, False

    def on_url(self, part):
        self.line += part

    on_status = on_url

    def on_header(self, name, value):
        # What comes later is a trailer.
        if self.in_head:
            self.fields.append((name, value))

    def on_headers_complete(self):
        self.in_head = False

    def on_body(self, part):
        self.body += part

    def on_message_complete(self):
        self.complete = True


def by_llhttp(kind, data):
    sink = Sink()
    request = kind == b"Q"
    parser = (httptools.HttpRequestParser if request else httptools.HttpResponseParser)(sink)
    end = None
    # Byte by byte: nothing else tells where the first message ends.
    for at in range(len(data)):
        try:
            parser.feed_data(data[at : at + 1])
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            if not sink.complete:
                return {"refused": str(error)}
        if sink.complete:
            end = at + 1
            break
    if sink.in_head:
        return {"waiting": None}
    version = parser.get_http_version()
    if request:
        start = [text(parser.get_method()), text(sink.line), version]
    else:
        start = [version, str(parser.get_status_code()), text(sink.line)]
    return {"message": message(start, sink.fields, sink.body, end)}


def main():
    while kind := sys.stdin.buffer.read(1):
        (length,) = struct.unpack(">I", sys.stdin.buffer.read(4))
        data = sys.stdin.buffer.read(length)
        print(json.dumps({"h11": by_h11(kind, data), "llhttp": by_llhttp(kind, data)}))


main()
