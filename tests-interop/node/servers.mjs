// Third-party MCP servers, as commands that the gateway starts and speaks to over their standard
// input and output. Each names a tool that agents of these suites may call and one that they may not.

import { fileURLToPath } from 'node:url';

const packaged = (path) => fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));

/** From npm; built on the first line of the TypeScript SDK, so it speaks 2025-11-25 only. */
export const everything = {
  name: 'everything',
  command: [
    process.env.INTEROP_NODE ?? process.execPath,
    packaged('@modelcontextprotocol/server-everything/dist/index.js'),
    'stdio',
  ],
  permitted: { name: 'echo', arguments: { message: 'good morning' } },
  answer: /good morning/,
  denied: { name: 'get-sum', arguments: { a: 1, b: 2 } },
};

/** From PyPI; built on the Python SDK, so it speaks 2026-07-28 and what came before. */
export const time = {
  name: 'time',
  command: [process.env.INTEROP_PYTHON, '-m', 'mcp_server_time', '--local-timezone', 'UTC'],
  permitted: { name: 'get_current_time', arguments: { timezone: 'Etc/UTC' } },
  answer: /Etc\/UTC/,
  denied: {
    name: 'convert_time',
    arguments: { source_timezone: 'Etc/UTC', time: '12:00', target_timezone: 'Asia/Tokyo' },
  },
};
