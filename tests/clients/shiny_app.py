"""A Shiny app that shows who its visitor is, and answers over its WebSocket.

Start: python -m shiny run --host 127.0.0.1 --port PORT shiny_app.py
Elements: #who (the identity header of the upgrade request), #word (input), #echo (output).
"""

from shiny import App, Inputs, Outputs, Session, reactive, render, ui

app_ui = ui.page_fluid(
    ui.tags.p("Shiny sees you as ", ui.output_text("who", inline=True)),
    ui.input_text("word", "Word", ""),
    ui.output_text("echo"),
    title="Shiny",
)


def server(input: Inputs, output: Outputs, session: Session) -> None:
    @render.text
    def who() -> str:
        # Every occurrence: two of them must not look like one.
        names = session.http_conn.headers.getlist("X-Auth-Username")
        return " and ".join(names) or "nobody"

    @render.text
    @reactive.event(input.word)
    def echo() -> str:
        return f"echo: {input.word()}"


app = App(app_ui, server)
