"""Visits streamlit_app.py. See README.md."""

import sys

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

import visitor


class Session:
    """A session of Streamlit's own protocol: protocol buffers on a WebSocket."""

    def __init__(self, socket) -> None:
        assert socket.subprotocol == "streamlit", socket.subprotocol
        self.socket = socket
        self.button = ""
        self.texts = self.run(BackMsg())

    def run(self, message: BackMsg) -> dict[str, str]:
        """Lets the script run; returns its texts, by the word before their colon."""
        message.rerun_script.query_string = ""
        self.socket.send(message.SerializeToString())
        texts = {}
        until = visitor.deadline()
        while True:
            said = ForwardMsg.FromString(self.socket.recv(timeout=visitor.left(until)))
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

    def press(self) -> str:
        message = BackMsg()
        widget = message.rerun_script.widget_states.widgets.add()
        widget.id = self.button
        widget.trigger_value = True
        return self.run(message)["count"]


def who(session: visitor.Lines, forged: visitor.Lines) -> str:
    with visitor.open_socket(PATH, session + forged, PROTOCOLS) as socket:
        return Session(socket).texts["who"]


def use() -> None:
    with visitor.open_socket(PATH, visitor.log_in(), PROTOCOLS) as socket:
        streamlit = Session(socket)
        counts = [streamlit.texts["count"], streamlit.press(), streamlit.press()]
        visitor.tell(who=streamlit.texts["who"], counts=counts)
        visitor.rest()
        visitor.tell(counts=[streamlit.press()])


PATH = "/_stcore/stream"
PROTOCOLS = ["streamlit"]

if __name__ == "__main__":
    {"forge": lambda: visitor.forge(who), "use": use}[sys.argv[1]]()
