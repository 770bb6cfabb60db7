"""The official Python client, with a bearer token or with a way to get one; and how a refusal looks,
whichever way it arrives."""

import contextlib
from collections.abc import AsyncIterator, Awaitable

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

# How the revision of the protocol is agreed, and the revision that each must end up with.
MODES = {"2026-07-28": "2026-07-28", "auto": "2026-07-28", "legacy": "2025-11-25"}


class Bearer(httpx2.Auth):
    """Presents `token` as a bearer token."""

    def __init__(self, token: str) -> None:
        self.token = token

    def auth_flow(self, request: httpx2.Request):
        """Adds the header; a refusal is the caller's to see."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


@contextlib.asynccontextmanager
async def connected(url: str, auth: httpx2.Auth, mode: str) -> AsyncIterator[Client]:
    """A client that has agreed on a revision with the server at `url`."""
    async with (
        httpx2.AsyncClient(auth=auth, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


async def answer(call: Awaitable[CallToolResult]) -> str:
    """The text of a result that must be an answer."""
    result = await call
    assert not result.is_error, f"the call was refused: {_text(result)}"
    return _text(result)


async def refusal(call: Awaitable[CallToolResult]) -> str:
    """The text of a refusal, whether it comes as a protocol error or as a result that is an error."""
    try:
        result = await call
    except MCPError as error:
        return error.message
    assert result.is_error, f"the call was answered: {_text(result)}"
    return _text(result)


def _text(result: CallToolResult) -> str:
    return "\n".join(getattr(part, "text", "") for part in result.content)
