"""The official Python client, through the gateway, to third-party servers: what a permitted agent sees,
what it may not do, and that a stop is felt at the next call."""

import unittest

from authority import Authority
from clients import MODES, Bearer, answer, connected, refusal
from mcp import MCPError
from servers import EVERYTHING, TIME, Server


class ClientsThroughTheGateway(unittest.IsolatedAsyncioTestCase):
    """One authority, with both servers behind its gateway, for all tests."""

    authority: Authority

    @classmethod
    def setUpClass(cls) -> None:
        cls.authority = Authority()
        cls.addClassCleanup(cls.authority.stop)
        for server in (EVERYTHING, TIME):
            # An explicit exception: these clients present a bearer token.
            cls.authority.add_server(server.name, server.command, "--allow-bearer", "1h")

    async def permitted_denied_suspended(self, server: Server, mode: str) -> None:
        agent = self.authority.register_agent(server.name, server.permitted[0])
        auth = Bearer(self.authority.mint(agent, server.name))
        async with connected(self.authority.resource(server.name), auth, mode) as client:
            self.assertEqual(client.protocol_version, MODES[mode])
            listed = await client.list_tools()
            self.assertEqual([tool.name for tool in listed.tools], [server.permitted[0]])

            self.assertIn(server.answer, await answer(client.call_tool(*server.permitted)))

            reason = await refusal(client.call_tool(*server.denied))
            self.assertRegex(reason, r"(?i)permit|den(y|ied)|forbid|may not|not allowed")

            self.authority.suspend(agent)
            self.assertNotEqual(await refusal(client.call_tool(*server.permitted)), "")

    async def test_pinned_to_everything(self) -> None:
        await self.permitted_denied_suspended(EVERYTHING, "2026-07-28")

    async def test_probing_to_everything(self) -> None:
        await self.permitted_denied_suspended(EVERYTHING, "auto")

    async def test_handshake_to_everything(self) -> None:
        await self.permitted_denied_suspended(EVERYTHING, "legacy")

    async def test_pinned_to_time(self) -> None:
        await self.permitted_denied_suspended(TIME, "2026-07-28")

    async def test_probing_to_time(self) -> None:
        await self.permitted_denied_suspended(TIME, "auto")

    async def test_handshake_to_time(self) -> None:
        await self.permitted_denied_suspended(TIME, "legacy")

    async def test_token_for_one_server_is_refused_at_another(self) -> None:
        agent = self.authority.register_agent(EVERYTHING.name, EVERYTHING.permitted[0])
        auth = Bearer(self.authority.mint(agent, EVERYTHING.name))
        # Pinned, so that nothing is asked before the call that must be refused.
        async with connected(self.authority.resource(TIME.name), auth, "2026-07-28") as client:
            with self.assertRaises(MCPError):
                await client.call_tool(*TIME.permitted)

    async def test_log_of_all_this_verifies(self) -> None:
        self.authority.verify_log()
