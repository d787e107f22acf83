"""WebSockets of three libraries, each as client and as server, through the gateway.

Starts the servers and prints their port, reads the gateway's port, runs every client against every
server, and compares the raw bytes on both sides of the gateway. See README.md for the variables.

    client -- plain tap -- TLS -- gateway -- plain tap -- server
"""

import asyncio
import os
import ssl
import sys

import aiohttp
import aiohttp.web
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.exceptions
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

HOST = os.environ["WS_HOST"]
AUTHORIZATION = os.environ["WS_AUTHORIZATION"]
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]
NOISE = os.urandom(1 << 20)
LIMIT = 4 << 20
WITHIN = 60
ENDINGS = [(1000, ""), (3000, "grüße"), (4999, "x" * 123), None]
ENDINGS_EACH = int(os.environ.get("WS_ENDINGS", len(ENDINGS)))


class Tap:
    """Relays connections one after the other and keeps what passes behind the heads."""

    def __init__(self, target):
        self.target = target
        self.streams = []

    async def serve(self):
        server = await asyncio.start_server(self.relay, "127.0.0.1", 0, limit=LIMIT)
        return server.sockets[0].getsockname()[1]

    async def relay(self, reader, writer):
        far_reader, far_writer = await self.target()
        up, down, over = bytearray(), bytearray(), asyncio.Event()
        self.streams.append((up, down, over))
        await asyncio.gather(pump(reader, far_writer, up), pump(far_reader, writer, down))
        over.set()

    async def take(self):
        ((up, down, over),) = self.streams
        self.streams = []
        await asyncio.wait_for(over.wait(), WITHIN)
        return [bytes(stream).partition(b"\r\n\r\n")[2] for stream in (up, down)]


async def pump(reader, writer, record):
    try:
        while data := await reader.read(65536):
            record += data
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
    except ConnectionError:
        writer.close()


# Servers: they echo, and at the text "close" they close with 4001.


async def websockets_server(compressed):
    async def echo(socket):
        async for message in socket:
            if message == "close":
                await socket.close(4001, "as you wish")
                return
            await socket.send(message)

    server = await websockets.asyncio.server.serve(
        echo,
        "127.0.0.1",
        0,
        compression="deflate" if compressed else None,
        max_size=LIMIT,
        ping_interval=None,
    )
    return server.sockets[0].getsockname()[1]


async def aiohttp_server(compressed):
    async def echo(request):
        socket = aiohttp.web.WebSocketResponse(max_msg_size=LIMIT, compress=compressed)
        await socket.prepare(request)
        async for message in socket:
            if message.data == "close":
                await socket.close(code=4001, message=b"as you wish")
            elif message.type == aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type == aiohttp.WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    app = aiohttp.web.Application()
    app.router.add_get("/ws", echo)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner.addresses[0][1]


async def wsproto_server(compressed):
    async def echo(reader, writer):
        socket = WSConnection(ConnectionType.SERVER)
        while data := await reader.read(65536):
            socket.receive_data(data)
            for event in socket.events():
                if isinstance(event, Request):
                    extensions = [PerMessageDeflate()] if compressed else []
                    writer.write(socket.send(AcceptConnection(extensions=extensions)))
                elif isinstance(event, TextMessage) and event.data == "close":
                    writer.write(socket.send(CloseConnection(4001, "as you wish")))
                elif isinstance(event, (TextMessage, BytesMessage)):
                    # Fragments stay fragments.
                    kind = type(event)
                    writer.write(
                        socket.send(kind(event.data, message_finished=event.message_finished))
                    )
                elif isinstance(event, Ping):
                    writer.write(socket.send(event.response()))
                elif isinstance(event, CloseConnection) and socket.state.name != "CLOSED":
                    writer.write(socket.send(event.response()))
            await writer.drain()
            if socket.state.name == "CLOSED":
                break
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, limit=LIMIT)
    return server.sockets[0].getsockname()[1]


# Clients: each yields send, receive (a whole message), ping, close, and closed (the code).


class WebsocketsClient:
    async def open(self, port, compressed):
        factory = ClientPerMessageDeflateFactory()
        self.socket = await websockets.asyncio.client.connect(
            f"ws://{HOST}/ws",
            host="127.0.0.1",
            port=port,
            additional_headers={"Authorization": AUTHORIZATION},
            compression=None,
            extensions=[factory] if compressed else None,
            max_size=LIMIT,
            ping_interval=None,
            proxy=None,
        )
        assert bool(self.socket.protocol.extensions) == compressed

    async def send(self, message):
        await self.socket.send(message)

    async def send_fragments(self, parts):
        await self.socket.send(parts)

    async def receive(self):
        return await self.socket.recv()

    async def ping(self):
        await (await self.socket.ping(b"there?"))

    async def close(self, code, reason):
        await self.socket.close(code, reason)

    async def closed(self):
        try:
            await self.socket.recv()
        except websockets.exceptions.ConnectionClosed:
            pass
        await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason


class AiohttpClient:
    async def open(self, port, compressed):
        self.session = aiohttp.ClientSession()
        self.socket = await self.session.ws_connect(
            f"http://127.0.0.1:{port}/ws",
            headers={"Host": HOST, "Authorization": AUTHORIZATION},
            compress=15 if compressed else 0,
            max_msg_size=LIMIT,
            autoping=False,
        )
        assert bool(self.socket.compress) == compressed

    async def send(self, message):
        if isinstance(message, str):
            await self.socket.send_str(message)
        else:
            await self.socket.send_bytes(message)

    send_fragments = None

    async def receive(self):
        return (await self.socket.receive()).data

    async def ping(self):
        await self.socket.ping(b"there?")
        message = await self.socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"there?"), message

    async def close(self, code, reason):
        await self.socket.close(code=code, message=reason.encode())

    async def closed(self):
        # aiohttp tells the code of whoever closed, and a reason only of the peer.
        if self.socket.closed:
            await self.session.close()
            return self.socket.close_code, None
        message = await self.socket.receive()
        assert message.type == aiohttp.WSMsgType.CLOSE, message
        await self.session.close()
        return message.data, message.extra


class WsprotoClient:
    async def open(self, port, compressed):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)
        self.socket = WSConnection(ConnectionType.CLIENT)
        extension = PerMessageDeflate()
        request = Request(
            host=HOST,
            target="/ws",
            extra_headers=[(b"Authorization", AUTHORIZATION.encode())],
            extensions=[extension] if compressed else [],
        )
        self.events = []
        await self.write(request)
        assert isinstance(await self.event(), AcceptConnection)
        assert extension.enabled() == compressed

    async def write(self, event):
        self.writer.write(self.socket.send(event))
        await self.writer.drain()

    async def event(self):
        while not self.events:
            data = await self.reader.read(65536)
            self.socket.receive_data(data or None)
            self.events += self.socket.events()
        return self.events.pop(0)

    async def send(self, message):
        # Echoes of large messages come while we write: both at once, or both stand still.
        await self.send_fragments([message])

    async def send_fragments(self, parts):
        kind = TextMessage if isinstance(parts[0], str) else BytesMessage
        for at, part in enumerate(parts):
            await self.write(kind(part, message_finished=at + 1 == len(parts)))

    async def receive(self):
        whole = []
        while True:
            event = await self.event()
            whole.append(event.data)
            if event.message_finished:
                return (b"" if isinstance(event, BytesMessage) else "").join(whole)

    async def ping(self):
        await self.write(Ping(b"there?"))
        event = await self.event()
        assert isinstance(event, Pong) and bytes(event.payload) == b"there?", event

    async def close(self, code, reason):
        await self.write(CloseConnection(code, reason))

    async def closed(self):
        event = await self.event()
        assert isinstance(event, CloseConnection), event
        if self.socket.state.name == "REMOTE_CLOSING":
            await self.write(event.response())
        assert await self.reader.read() == b""
        self.writer.close()
        return event.code, event.reason


async def talk(client, port, compressed, ending):
    await client.open(port, compressed)

    async def echoes(message, send):
        _, echo = await asyncio.gather(send, client.receive())
        assert echo == message, len(message)

    for size in SIZES:
        await echoes(NOISE[:size], client.send(NOISE[:size]))
        text = ("grüße " * (size // 7 + 1))[: size // 2]
        await echoes(text, client.send(text))
    if client.send_fragments:
        parts = [NOISE[:1], NOISE[:126], NOISE[:70000], NOISE[:5]]
        await echoes(b"".join(parts), client.send_fragments(parts))
    await client.ping()
    if ending is None:
        await client.send("close")
    else:
        await client.close(*ending)
    return await client.closed()


async def main():
    servers = {}
    for server in [websockets_server, aiohttp_server, wsproto_server]:
        for compressed in [False, True]:
            servers[server.__name__, compressed] = await server(compressed)
    choice = {}
    back = Tap(lambda: asyncio.open_connection("127.0.0.1", choice["port"], limit=LIMIT))
    print(await back.serve(), flush=True)
    gateway = int(await asyncio.to_thread(sys.stdin.readline))
    trust = ssl.create_default_context(cafile=os.environ["CONNECT_CA"])
    front = Tap(
        lambda: asyncio.open_connection(
            "127.0.0.1", gateway, ssl=trust, server_hostname=HOST, limit=LIMIT
        )
    )
    port = await front.serve()
    passed = 0
    for (name, compressed), choice["port"] in servers.items():
        for client in [WebsocketsClient, AiohttpClient, WsprotoClient]:
            # By turns, so that a few of each pair are all of them in all.
            for turn in range(passed, passed + ENDINGS_EACH):
                ending = ENDINGS[turn % len(ENDINGS)]
                case = f"{client.__name__} {name} compressed={compressed} {ending}"
                try:
                    talking = talk(client(), port, compressed, ending)
                    code, reason = await asyncio.wait_for(talking, WITHIN)
                    expected = ending or (4001, "as you wish")
                    if ending and name == "aiohttp_server":
                        # It answers every close frame with this one.
                        expected = (1000, "")
                    assert code == expected[0], code
                    assert reason in (None, expected[1]), reason
                except BaseException:
                    print("FAILED", case, flush=True)
                    raise
                sent, received = await front.take()
                sent_on, answered = await back.take()
                assert sent == sent_on, f"{case}: changed on the way up"
                assert received == answered, f"{case}: changed on the way down"
                assert len(sent) > 100_000 and len(received) > 100_000, case
                passed += 1
    print(f"UNCHANGED in {passed} connections")


asyncio.run(main())
