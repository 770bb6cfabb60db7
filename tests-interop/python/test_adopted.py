"""The official Python client, which nobody registered beforehand: it finds the authority from the first refusal, says who
it is by a document at its own URL or by registering itself, sends its person to the authority, and calls a tool."""

import html
import http.server
import json
import re
import threading
import unittest
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from authority import Authority
from clients import answer, connected, refusal
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata
from servers import EVERYTHING
from test_oauth import Memory

CALLBACK = "http://127.0.0.1:8976/callback"
METADATA = {
    "client_name": "A notebook",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}


class Documents(http.server.BaseHTTPRequestHandler):
    """Serves the document of the client."""

    def do_GET(self) -> None:
        """Answers with a document that is about its own URL."""
        url = f"http://127.0.0.1:{self.server.server_port}{self.path}"
        body = json.dumps({"client_id": url, **METADATA}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


class Browser:
    """The browser of a person, who agrees to one tool; a second person agrees too where that is needed."""

    def __init__(self, authority: Authority, callback: str = CALLBACK) -> None:
        self.authority = authority
        self.callback = callback
        self.headers = {"authorization": f"Bearer {authority.login()}"}
        self.told: dict[str, list[str]] = {}

    async def follow(self, url: str) -> str:
        """Opens the page that a client sends its person to, and agrees; answers with where the browser is sent."""
        location = await self._agree(url)
        if location is None:
            self.authority.activate_waiting()
            location = await self._agree(url)
        assert location is not None and location.startswith(self.callback), location
        self.told = parse_qs(urlsplit(location).query)
        return location

    async def arrive(self) -> AuthorizationCodeResult:
        """What the client is told at its redirect URI."""
        told = {name: values[0] for name, values in self.told.items()}
        return AuthorizationCodeResult(code=told["code"], state=told["state"], iss=told["iss"])

    async def _agree(self, url: str) -> str | None:
        async with httpx2.AsyncClient(headers=self.headers) as browser:
            page = await browser.get(url)
            assert page.status_code == 200, page.text
            hidden = re.findall(r'<input type="hidden" name="(.*?)" value="(.*?)"', page.text)
            form = {name: html.unescape(value) for name, value in hidden}
            tools = re.findall(r'<input type="checkbox" name="(.*?)"[^>]*> <bdi>(.*?)<', page.text)
            form |= {name: "on" for name, tool in tools if tool == EVERYTHING.permitted[0]}
            form["answer"] = "approve"
            answered = await browser.post(urljoin(url, "/oauth/authorize/adopt"), data=form)
            return answered.headers.get("location")


class ClientThatNobodyRegistered(unittest.IsolatedAsyncioTestCase):
    """One authority for both ways of saying who one is."""

    authority: Authority

    @classmethod
    def setUpClass(cls) -> None:
        cls.authority = Authority()
        cls.addClassCleanup(cls.authority.stop)
        # An explicit exception: the Python client cannot bind its token to a key.
        cls.authority.add_server(EVERYTHING.name, EVERYTHING.command, "--allow-bearer", "1h")
        cls.resource = cls.authority.resource(EVERYTHING.name)
        cls.documents = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Documents)
        threading.Thread(target=cls.documents.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.documents.shutdown)

    def provider(self, storage: Memory) -> OAuthClientProvider:
        browser = Browser(self.authority)

        async def open_page(url: str) -> None:
            await browser.follow(url)

        return OAuthClientProvider(
            server_url=self.resource,
            client_metadata=OAuthClientMetadata.model_validate(METADATA),
            storage=storage,
            redirect_handler=open_page,
            callback_handler=browser.arrive,
        )

    async def test_client_known_by_a_document_signs_in(self) -> None:
        url = f"http://127.0.0.1:{self.documents.server_port}/notebook.json"
        storage = Memory()
        storage.client_info = OAuthClientInformationFull.model_validate({**METADATA, "client_id": url})
        await self.works(self.provider(storage))

    async def test_client_registers_itself_while_that_is_open(self) -> None:
        self.authority.open_registration()
        storage = Memory()
        await self.works(self.provider(storage))
        assert storage.client_info is not None and storage.client_info.client_id is not None
        self.assertTrue(storage.client_info.client_id.startswith("cli_"))

    async def works(self, provider: OAuthClientProvider) -> None:
        async with connected(self.resource, provider, "2026-07-28") as client:
            self.assertIn(EVERYTHING.answer, await answer(client.call_tool(*EVERYTHING.permitted)))
            self.assertNotEqual(await refusal(client.call_tool(*EVERYTHING.denied)), "")


if __name__ == "__main__":
    unittest.main()
