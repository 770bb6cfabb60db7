"""FastMCP, as its users have it: given nothing but the URL of a server, it registers itself, opens the browser of its person,
listens for the answer, and calls tools."""

import asyncio
import threading
import unittest
import unittest.mock
import warnings

import fastmcp
import httpx2
from authority import Authority
from fastmcp.client.auth import OAuth
from mcp import MCPError
from servers import EVERYTHING
from test_adopted import Browser


class FastMcp(unittest.IsolatedAsyncioTestCase):
    """One authority, which lets clients register themselves."""

    authority: Authority

    @classmethod
    def setUpClass(cls) -> None:
        cls.authority = Authority()
        cls.addClassCleanup(cls.authority.stop)
        # An explicit exception: FastMCP cannot bind its token to a key.
        cls.authority.add_server(EVERYTHING.name, EVERYTHING.command, "--allow-bearer", "1h")
        cls.authority.open_registration()
        cls.resource = cls.authority.resource(EVERYTHING.name)

    async def test_client_with_nothing_but_a_url_signs_in(self) -> None:
        """The person's browser comes back to the port that FastMCP listens at."""
        browser = Browser(self.authority, "http://localhost:")

        async def visit(url: str) -> None:
            arrived = await browser.follow(url)
            async with httpx2.AsyncClient() as client:
                page = await client.get(arrived)
                self.assertEqual(page.status_code, 200, page.text)

        def open_page(url: str) -> bool:
            threading.Thread(target=asyncio.run, args=(visit(url),), daemon=True).start()
            return True

        with warnings.catch_warnings(), unittest.mock.patch("webbrowser.open", open_page):
            # Tokens in memory are what a test wants.
            warnings.simplefilter("ignore")
            auth = OAuth(client_name="A FastMCP client", callback_timeout=30)
            async with fastmcp.Client(self.resource, auth=auth, timeout=30) as client:
                tool, arguments = EVERYTHING.permitted
                result = await client.call_tool(tool, arguments)
                self.assertIn(EVERYTHING.answer, result.content[0].text)
                tool, arguments = EVERYTHING.denied
                with self.assertRaisesRegex(MCPError, "denied: no policy permits"):
                    await client.call_tool(tool, arguments)


if __name__ == "__main__":
    unittest.main()
