"""Talks to a WebSocket echo. See README.md for the variables."""

import os
import ssl

from websockets.sync.client import connect

headers = {}
if os.environ.get("WS_AUTHORIZATION"):
    headers["Authorization"] = os.environ["WS_AUTHORIZATION"]
url = os.environ["WS_URL"]
trust = None
if url.startswith("wss:"):
    trust = ssl.create_default_context(cafile=os.environ.get("CONNECT_CA") or None)

large = bytes(range(256)) * 4096
with connect(
    url,
    additional_headers=headers,
    ssl=trust,
    subprotocols=["first", "second"],
    max_size=None,
    proxy=None,
) as socket:
    assert socket.subprotocol == "first", socket.subprotocol
    socket.send("grüße")
    assert socket.recv() == "grüße"
    socket.send(large)
    assert socket.recv() == large
    socket.send(["frag", "men", "ted"])
    assert socket.recv() == "fragmented"
    assert socket.ping(b"are you there").wait(10), "no pong"
    socket.close(4321, "bye")
assert (socket.close_code, socket.close_reason) == (4321, "bye"), socket.close_code
print("ECHOED by websockets")
