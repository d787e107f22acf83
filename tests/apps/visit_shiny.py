"""Visits a Shiny app, of R or Python. See README.md."""

import asyncio
import json

import visitor


class Session:
    """A session of Shiny's own protocol: JSON messages on a WebSocket."""

    def __init__(self, socket) -> None:
        self.socket = socket

    async def begin(self) -> "Session":
        shown = {f".clientdata_output_{name}_hidden": False for name in ["who", "echo"]}
        await self.send("init", {"word": "", **shown})
        return self

    async def send(self, method: str, data: dict) -> None:
        await self.socket.send(json.dumps({"method": method, "data": data}))

    async def output(self, name: str, wanted=lambda value: True) -> str:
        """Waits for an output's value."""
        async with asyncio.timeout(visitor.PATIENCE):
            while True:
                message = json.loads(await self.socket.recv())
                value = (message.get("values") or {}).get(name)
                if value is not None and wanted(value):
                    return value

    async def echo(self, word: str) -> str:
        await self.send("update", {"word": word})
        return await self.output("echo", lambda value: word in value)


async def who(session: visitor.Lines, forged: visitor.Lines) -> str:
    async with visitor.open_socket(PATH, session + forged) as socket:
        return await (await Session(socket).begin()).output("who")


async def use() -> None:
    async with visitor.open_socket(PATH, visitor.log_in()) as socket:
        shiny = await Session(socket).begin()
        name = await shiny.output("who")
        visitor.tell(who=name, echo=await shiny.echo(f"first of {name}"))
        await visitor.rest()
        # The same socket: it was not closed meanwhile.
        visitor.tell(echo=await shiny.echo(f"second of {name}"))


async def rest() -> None:
    """Does nothing until the other end has enough of it."""
    async with visitor.open_socket(PATH, visitor.log_in()) as socket:
        name = await (await Session(socket).begin()).output("who")
        async with asyncio.timeout(visitor.PATIENCE):
            await socket.wait_closed()
        visitor.tell(who=name, closed=True)


PATH = "/websocket/"

if __name__ == "__main__":
    visitor.main(forge=lambda: visitor.forge(who), rest=rest, use=use)
