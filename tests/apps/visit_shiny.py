"""Visits a Shiny app, of R or Python. See README.md."""

import json
import sys

from websockets.exceptions import ConnectionClosed

import visitor


class Session:
    """A session of Shiny's own protocol: JSON messages on a WebSocket."""

    def __init__(self, socket) -> None:
        self.socket = socket
        shown = {f".clientdata_output_{name}_hidden": False for name in ["who", "echo"]}
        self.send("init", {"word": "", **shown})

    def send(self, method: str, data: dict) -> None:
        self.socket.send(json.dumps({"method": method, "data": data}))

    def output(self, name: str, wanted=lambda value: True) -> str:
        """Waits for an output's value."""
        until = visitor.deadline()
        while True:
            message = json.loads(self.socket.recv(timeout=visitor.left(until)))
            value = (message.get("values") or {}).get(name)
            if value is not None and wanted(value):
                return value

    def echo(self, word: str) -> str:
        self.send("update", {"word": word})
        return self.output("echo", lambda value: word in value)


def who(session: visitor.Lines, forged: visitor.Lines) -> str:
    with visitor.open_socket(PATH, session + forged) as socket:
        return Session(socket).output("who")


def use() -> None:
    with visitor.open_socket(PATH, visitor.log_in()) as socket:
        shiny = Session(socket)
        name = shiny.output("who")
        visitor.tell(who=name, echo=shiny.echo(f"first of {name}"))
        visitor.rest()
        # The same socket: it was not closed meanwhile.
        visitor.tell(echo=shiny.echo(f"second of {name}"))


def rest() -> None:
    with visitor.open_socket(PATH, visitor.log_in()) as socket:
        name = Session(socket).output("who")
        visitor.rest()
        closed = False
        try:
            while socket.recv(timeout=0):
                pass
        except ConnectionClosed:
            closed = True
        visitor.tell(who=name, closed=closed)


PATH = "/websocket/"

if __name__ == "__main__":
    {"forge": lambda: visitor.forge(who), "rest": rest, "use": use}[sys.argv[1]]()
