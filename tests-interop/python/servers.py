"""Third-party MCP servers, as commands that the gateway starts and speaks to over their standard
input and output. Each names a tool that agents of these suites may call and one that they may not."""

import dataclasses
import os
import pathlib
import sys

_PACKAGES = pathlib.Path(__file__).parent.parent / "node_modules"


@dataclasses.dataclass(frozen=True)
class Server:
    """A server and two of its tools."""

    name: str
    command: list[str]
    permitted: tuple[str, dict]
    answer: str
    denied: tuple[str, dict]


# From npm; built on the first line of the TypeScript SDK, so it speaks 2025-11-25 only.
EVERYTHING = Server(
    name="everything",
    command=[
        os.environ.get("INTEROP_NODE", "node"),
        str(_PACKAGES / "@modelcontextprotocol/server-everything/dist/index.js"),
        "stdio",
    ],
    permitted=("echo", {"message": "good morning"}),
    answer="good morning",
    denied=("get-sum", {"a": 1, "b": 2}),
)

# From PyPI; built on the Python SDK, so it speaks 2026-07-28 and what came before.
TIME = Server(
    name="time",
    command=[sys.executable, "-m", "mcp_server_time", "--local-timezone", "UTC"],
    permitted=("get_current_time", {"timezone": "Etc/UTC"}),
    answer="Etc/UTC",
    denied=(
        "convert_time",
        {"source_timezone": "Etc/UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"},
    ),
)
