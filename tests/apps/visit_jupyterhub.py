"""Visits JupyterHub, and computes in a kernel. See README.md."""

import asyncio
import json
import uuid
from http.cookies import SimpleCookie

import visitor


class Browser:
    """Keeps cookies and follows redirects, and nothing else."""

    def __init__(self, session: visitor.Lines, forged: visitor.Lines) -> None:
        # By path and name: the hub and each server have an `_xsrf` of their own.
        self.jar: dict[tuple[str, str], str] = {}
        for _, line in session:
            name, _, value = line.partition("=")
            self.jar["/", name] = value
        self.forged = forged

    def cookies(self, path: str) -> dict[str, str]:
        """What a browser would send, the longest path last, so that it wins."""
        fitting = sorted(key for key in self.jar if path.startswith(key[0]))
        return {name: self.jar[at, name] for at, name in fitting}

    def lines(self, path: str) -> visitor.Lines:
        cookies = self.cookies(path)
        pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
        lines = [("Cookie", pairs)] if pairs else []
        if "_xsrf" in cookies:
            lines.append(("X-XSRFToken", cookies["_xsrf"]))
        return lines + self.forged + [("Content-Type", "application/json")]

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        for _ in range(20):
            status, headers, content = visitor.ask(method, path, self.lines(path), body)
            self.remember(headers.get_all("Set-Cookie") or [])
            if status in (301, 302, 303, 307):
                method, path, body = "GET", headers["Location"], b""
                assert path.startswith("/"), path
            elif 200 <= status < 300:
                return content
            else:
                raise visitor.Refused(status)
        raise RecursionError(path)

    def remember(self, fields: list[str]) -> None:
        for field in fields:
            for name, cookie in SimpleCookie(field).items():
                if cookie["max-age"] == "0" or cookie.value == "":
                    self.jar.pop((cookie["path"], name), None)
                else:
                    self.jar[cookie["path"] or "/", name] = cookie.coded_value


class Kernel:
    """A kernel, over the WebSocket of its channels."""

    def __init__(self, socket) -> None:
        self.socket = socket

    async def run(self, code: str) -> str:
        """Executes an expression; returns its value as text."""
        asked = uuid.uuid4().hex
        header = {
            "msg_id": asked,
            "msg_type": "execute_request",
            "session": asked,
            "username": "",
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        await self.socket.send(
            json.dumps(
                {
                    "header": header,
                    "parent_header": {},
                    "metadata": {},
                    "content": content,
                    "channel": "shell",
                }
            )
        )
        async with asyncio.timeout(visitor.PATIENCE):
            while True:
                said = json.loads(await self.socket.recv())
                if said["parent_header"].get("msg_id") != asked:
                    continue
                if said["msg_type"] == "execute_result":
                    return said["content"]["data"]["text/plain"]
                assert said["msg_type"] != "error", said


def is_ready(browser: Browser, name: str) -> bool:
    """Whether the hub says that the user's server is up."""
    user = json.loads(browser.ask("GET", f"/hub/api/users/{name}"))
    return bool(user["servers"].get("", {}).get("ready"))


async def who(session: visitor.Lines, forged: visitor.Lines) -> str:
    """Whom the hub logs in."""
    browser = Browser(session, forged)
    browser.ask("GET", "/hub/login?next=/hub/home")
    return json.loads(browser.ask("GET", "/hub/api/user"))["name"]


async def use() -> None:
    browser = Browser(visitor.log_in(), [])
    browser.ask("GET", "/hub/login?next=/hub/home")
    name = json.loads(browser.ask("GET", "/hub/api/user"))["name"]
    browser.ask("POST", f"/hub/api/users/{name}/server")
    async with asyncio.timeout(visitor.PATIENCE):
        while not is_ready(browser, name):
            await asyncio.sleep(0.05)
    server = f"/user/{name}/"
    # Any page sends to the hub and back (OAuth), even one that is not there; the API does not.
    try:
        browser.ask("GET", f"{server}view/nothing")
    except visitor.Refused as refused:
        assert refused.status == 404, refused.status
    me = json.loads(browser.ask("GET", f"{server}api/me"))["identity"]["username"]
    made = json.loads(browser.ask("POST", f"{server}api/kernels", b"{}"))
    channels = f"{server}api/kernels/{made['id']}/channels"
    async with visitor.open_socket(channels, browser.lines(channels)) as socket:
        kernel = Kernel(socket)
        visitor.tell(who=name, server=me, result=await kernel.run("answer = 6 * 7\nanswer"))
        await visitor.rest()
        # The same socket, and the same kernel.
        visitor.tell(result=await kernel.run("answer"))


if __name__ == "__main__":
    visitor.main(forge=lambda: visitor.forge(who), use=use)
