"""Talks HTTP/3, and a WebSocket over it, by aioquic. See README.md for the variables."""

import asyncio
import os
import sys

import wsproto
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection, Setting
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset
from wsproto.events import BytesMessage, CloseConnection, Message, TextMessage

HOST = os.environ["H3_HOST"].encode()
AUTHORIZATION = os.environ["H3_AUTHORIZATION"].encode()


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.streams = {}
        self.ended = set()

    def quic_event_received(self, event):
        if isinstance(event, StreamReset):
            self.streams[event.stream_id].put_nowait(event)
        if isinstance(event, ConnectionTerminated):
            for queue in self.streams.values():
                queue.put_nowait(event)
        for event in self.http.handle_event(event):
            if isinstance(event, (DataReceived, HeadersReceived)):
                self.streams[event.stream_id].put_nowait(event)

    def begin(self, method, path, *fields, end=True):
        stream = self._quic.get_next_available_stream_id()
        self.streams[stream] = asyncio.Queue()
        head = [
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", HOST),
            (b":path", path),
            *fields,
            (b"authorization", AUTHORIZATION),
        ]
        self.http.send_headers(stream, head, end_stream=end)
        self.transmit()
        return stream

    def send(self, stream, data, end=False):
        self.http.send_data(stream, data, end_stream=end)
        self.transmit()

    async def answer(self, stream):
        fields, body = None, b""
        while True:
            event = await asyncio.wait_for(self.streams[stream].get(), 20)
            if isinstance(event, HeadersReceived) and fields is None:
                fields = dict(event.headers)
            elif isinstance(event, DataReceived):
                body += event.data
            else:
                sys.exit(f"broken off: {event}")
            if event.stream_ended:
                return int(fields[b":status"]), fields, body

    async def data(self, stream):
        event = await asyncio.wait_for(self.streams[stream].get(), 20)
        assert isinstance(event, (DataReceived, HeadersReceived)), event
        if event.stream_ended:
            self.ended.add(stream)
        return event


async def exchanges(client):
    large = bytes(range(256)) * 4096
    status, fields, body = await client.answer(client.begin(b"GET", b"/echo/get"))
    assert status == 200, (status, body)
    # With its length, and without.
    for fields in [[(b"content-length", str(len(large)).encode())], []]:
        stream = client.begin(b"POST", b"/echo/post", *fields, end=False)
        for at in range(0, len(large), 100_000):
            client.send(stream, large[at : at + 100_000])
        client.send(stream, b"", end=True)
        status, _, body = await client.answer(stream)
        assert status == 200 and body == large, (status, len(body))
    status, fields, body = await client.answer(client.begin(b"HEAD", b"/echo/head"))
    assert (status, body) == (200, b""), (status, body)
    # Many at once.
    streams = [client.begin(b"GET", b"/echo/many") for _ in range(100)]
    for status, _, _ in [await client.answer(stream) for stream in streams]:
        assert status == 200, status


async def websocket(client):
    settings = client.http.received_settings
    assert settings[Setting.ENABLE_CONNECT_PROTOCOL] == 1, settings
    stream = client.begin(
        b"CONNECT",
        b"/ws",
        (b":protocol", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-protocol", b"first, second"),
        end=False,
    )
    head = dict((await client.data(stream)).headers)
    assert head[b":status"] == b"200", head
    assert head[b"sec-websocket-protocol"] == b"first", head
    frames = wsproto.Connection(wsproto.ConnectionType.CLIENT)
    large = bytes(range(256)) * 4096

    async def receive():
        received = None
        while True:
            for event in frames.events():
                if isinstance(event, CloseConnection):
                    return event
                if isinstance(event, Message):
                    received = event.data if received is None else received + event.data
                    if event.message_finished:
                        return received
            frames.receive_data((await client.data(stream)).data)

    client.send(stream, frames.send(TextMessage("grüße")))
    assert await receive() == "grüße"
    client.send(stream, frames.send(BytesMessage(large)))
    assert await receive() == large
    client.send(stream, frames.send(CloseConnection(4321, "bye")))
    closed = await receive()
    assert (closed.code, closed.reason) == (4321, "bye"), closed
    client.send(stream, b"", end=True)
    while stream not in client.ended:
        await client.data(stream)


async def main():
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, server_name=HOST.decode())
    configuration.load_verify_locations(cafile=os.environ["CONNECT_CA"])
    port = int(os.environ["H3_PORT"])
    async with connect(
        "127.0.0.1", port, configuration=configuration, create_protocol=Client
    ) as client:
        if os.environ["H3_WHAT"] == "websocket":
            await client.answer(client.begin(b"GET", b"/"))
            await websocket(client)
        else:
            await exchanges(client)
    print("SERVED over HTTP/3")


asyncio.run(main())
