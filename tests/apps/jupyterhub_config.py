"""A JupyterHub that believes X-Auth-Username, with Jupyter servers as plain processes.

Variables: HUB_PORT, HUB_API_PORT, HUB_PROXY_API_PORT; all files go to the working directory.
"""

import os
import sys
from pathlib import Path

from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler
from tornado.web import HTTPError

here = Path.cwd()
programs = Path(sys.executable).parent


class HeaderLogin(BaseHandler):
    async def get(self):
        # Every occurrence: two of them must not look like one.
        names = self.request.headers.get_list("X-Auth-Username")
        if not names:
            raise HTTPError(401)
        user = await self.login_user({"username": ",".join(names)})
        self.redirect(self.get_next_url(user))


class HeaderAuthenticator(Authenticator):
    auto_login = True

    def get_handlers(self, app):
        return [("/login", HeaderLogin)]

    async def authenticate(self, handler, data):
        return data["username"]


c = get_config()  # noqa: F821
c.JupyterHub.authenticator_class = HeaderAuthenticator
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(here / "{username}")
c.Spawner.cmd = [str(programs / "jupyterhub-singleuser")]
c.Spawner.environment = {"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"}
c.Spawner.args = ["--allow-root", "--log-level=WARN"]
c.Spawner.default_url = "/api/me"

c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['HUB_PORT']}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['HUB_API_PORT']}"
c.JupyterHub.db_url = f"sqlite:///{here}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(here / "cookie_secret")
c.JupyterHub.cleanup_servers = True
# Answer at once that a server is being started.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
c.ConfigurableHTTPProxy.command = [str(programs / "configurable-http-proxy")]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['HUB_PROXY_API_PORT']}"
c.ConfigurableHTTPProxy.pid_file = str(here / "proxy.pid")
