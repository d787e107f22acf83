"""Visits streamlit_app.py. See README.md."""

import asyncio

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

import visitor


class Session:
    """A session of Streamlit's own protocol: protocol buffers on a WebSocket."""

    def __init__(self, socket) -> None:
        assert socket.subprotocol == "streamlit", socket.subprotocol
        self.socket = socket
        self.button = ""
        self.texts: dict[str, str] = {}

    async def begin(self) -> "Session":
        self.texts = await self.run(BackMsg())
        return self

    async def run(self, message: BackMsg) -> dict[str, str]:
        """Lets the script run; returns its texts, by the word before their colon."""
        message.rerun_script.query_string = ""
        await self.socket.send(message.SerializeToString())
        texts = {}
        async with asyncio.timeout(visitor.PATIENCE):
            while True:
                said = ForwardMsg.FromString(await self.socket.recv())
                kind = said.WhichOneof("type")
                if kind == "delta" and said.delta.WhichOneof("type") == "new_element":
                    element = said.delta.new_element
                    if element.HasField("text"):
                        key, _, value = element.text.body.partition(": ")
                        texts[key] = value
                    elif element.HasField("button"):
                        self.button = element.button.id
                # A run that another one overtakes ends as well, before that one begins.
                elif kind == "script_finished" and {"who", "count"} <= texts.keys():
                    assert said.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY, said
                    return texts

    async def press(self) -> str:
        message = BackMsg()
        widget = message.rerun_script.widget_states.widgets.add()
        widget.id = self.button
        widget.trigger_value = True
        return (await self.run(message))["count"]


async def who(session: visitor.Lines, forged: visitor.Lines) -> str:
    async with visitor.open_socket(PATH, session + forged, PROTOCOLS) as socket:
        return (await Session(socket).begin()).texts["who"]


async def use() -> None:
    async with visitor.open_socket(PATH, visitor.log_in(), PROTOCOLS) as socket:
        streamlit = await Session(socket).begin()
        counts = [streamlit.texts["count"], await streamlit.press(), await streamlit.press()]
        visitor.tell(who=streamlit.texts["who"], counts=counts)
        await visitor.rest()
        visitor.tell(counts=[await streamlit.press()])


PATH = "/_stcore/stream"
PROTOCOLS = ["streamlit"]

if __name__ == "__main__":
    visitor.main(forge=lambda: visitor.forge(who), use=use)
