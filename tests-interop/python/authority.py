"""A running authority, and what an operator does to it on the command line.

Everything that these suites know about our own program is in this file: how it is started, which
commands there are, and what an identity document looks like. The suites themselves speak to it only
through other people's software.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

from joserfc.jwk import ECKey

PROGRAM = os.environ["CHANCERY_BIN"]
START_LIMIT = 30.0

# Who answers for the agents of these suites.
OWNER = "alice@example.com"


def identity_document(name: str, server: str, tools: list[str]) -> str:
    """The identity document of an agent that may call `tools` of `server` and no others."""
    grants = "".join(
        f"  - {{ server: {server}, tool: {tool}, permissions: [call] }}\n" for tool in tools
    )
    return f"name: {name}\nowner: {OWNER}\ntools:\n{grants}"


class Agent:
    """A registered agent, with its private key."""

    def __init__(self, view: dict, name: str, key: ECKey, key_file: pathlib.Path) -> None:
        self.id: str = view["id"]
        self.name = name
        self.key = key
        self.key_file = key_file


class Authority:
    """The program on a port of its own, with its data in a folder of its own."""

    def __init__(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="chancery-"))
        self.data = self.folder / "data"
        self.agents = 0
        self.process = subprocess.Popen(
            [PROGRAM, "up", "--data", self.data, "--listen", "127.0.0.1:0", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.url: str = self._first_line()["url"]
            self.command("owner", "add", OWNER)
        except BaseException:
            self.stop()
            raise

    def resource(self, name: str) -> str:
        """Where clients reach the MCP server `name`; also the resource that tokens are asked for."""
        return f"{self.url}/mcp/{name}"

    def administrator(self) -> str:
        """The credential of the local administrator."""
        return (self.data / "admin.token").read_text().strip()

    def command(self, *args: str | os.PathLike, rest: tuple[str, ...] = ()) -> dict | None:
        """Runs a command and answers with the JSON that it prints."""
        line = [PROGRAM, "--data", self.data, *args, "--json", *rest]
        output = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, timeout=30)
        return json.loads(output.stdout) if output.stdout.strip() else None

    def add_server(self, name: str, command: list[str], *flags: str) -> None:
        """Puts a server behind the gateway; `flags` are those of `mcp add`."""
        self.command("mcp", "add", name, *flags, rest=("--", *command))

    def register_agent(self, server: str, *tools: str) -> Agent:
        """Registers an agent with a new key, which may call `tools` of `server`."""
        self.agents += 1
        name = f"agent-{self.agents}"
        key = ECKey.generate_key("P-256")
        common = {"kid": key.thumbprint(), "alg": "ES256", "use": "sig"}
        public = {**key.as_dict(private=False), **common}

        key_file = self._write(f"{name}.key.json", json.dumps({**key.as_dict(private=True), **common}))
        key_file.chmod(0o600)
        jwks_file = self._write(f"{name}.jwks.json", json.dumps({"keys": [public]}))
        document = self._write(f"{name}.yaml", identity_document(name, server, list(tools)))
        view = self.command("agent", "register", document, "--jwks", jwks_file)
        assert view is not None
        return Agent(view, name, key, key_file)

    def mint(self, agent: Agent, server: str) -> str:
        """A token of `agent` for `server`."""
        resource = self.resource(server)
        args = ["--agent", agent.name, "--key", agent.key_file, "--resource", resource]
        token = self.command("token", "mint", *args)
        assert token is not None
        return token["access_token"]

    def login(self) -> str:
        """A login of the person for whom the agents of these suites act, as a browser would have one."""
        login = self.command("owner", "login", OWNER, "--role", "auditor")
        assert login is not None
        return login["token"]

    def activate_waiting(self) -> dict:
        """Puts the agent that waits for a second person into force."""
        waiting = self.command("agent", "list", "--status", "draft")
        assert waiting is not None
        view = self.command("agent", "activate", waiting["items"][0]["name"])
        assert view is not None
        return view

    def open_registration(self) -> None:
        """Lets clients register themselves for an hour."""
        self.command("client", "open", "--for", "1h")

    def suspend(self, agent: Agent) -> None:
        """Suspends `agent`."""
        self.command("agent", "suspend", agent.name, "--reason", "interoperability test")

    def verify_log(self) -> None:
        """Checks the whole log; raises when it does not hold."""
        self.command("log", "verify")

    def stop(self) -> None:
        """Ends the program and removes its data."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name: str, text: str) -> pathlib.Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def _first_line(self) -> dict:
        """What the program says once it can be reached: one line of JSON."""
        assert self.process.stdout is not None
        timer = threading.Timer(START_LIMIT, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise RuntimeError(f"chancery ended with {self.process.wait()} or said nothing in time")
        # The rest of what it prints must not fill the pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return json.loads(line)
