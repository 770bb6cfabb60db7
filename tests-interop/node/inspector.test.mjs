// The MCP Inspector, from its command line, as whoever tries a server out has it: it lists what the agent may call, calls a
// tool, and tells why it may not call another.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { Authority } from './authority.mjs';
import { everything } from './servers.mjs';

const MANIFEST = createRequire(import.meta.url).resolve('@modelcontextprotocol/inspector/package.json');
const { bin } = createRequire(import.meta.url)(MANIFEST);
const INSPECTOR = join(dirname(MANIFEST), bin['mcp-inspector']);

describe('the MCP Inspector', () => {
  let authority, token;

  /** Runs one method; answers with the JSON that is printed, or throws with what was said. */
  async function inspect(...words) {
    const line = [INSPECTOR, '--cli', authority.resource(everything.name), '--transport', 'http'];
    const header = ['--header', `Authorization: Bearer ${token}`];
    const { stdout } = await promisify(execFile)(process.execPath, [...line, ...header, ...words], { timeout: 60_000 });
    return JSON.parse(stdout);
  }

  before(async () => {
    authority = await Authority.start();
    // An explicit exception: the Inspector presents a token, and no proof.
    await authority.addServer(everything, '--allow-bearer', '1h');
    const agent = await authority.registerAgent(everything, everything.permitted.name);
    ({ access_token: token } = await authority.mint(agent, everything, '--bearer'));
  });
  after(async () => authority?.stop());

  test('lists the one tool that the agent may call', async () => {
    const { tools } = await inspect('--method', 'tools/list');
    assert.deepEqual(tools.map(({ name }) => name), [everything.permitted.name]);
  });

  test('calls it', async () => {
    const words = Object.entries(everything.permitted.arguments).flatMap(([name, value]) => ['--tool-arg', `${name}=${value}`]);
    const { content } = await inspect('--method', 'tools/call', '--tool-name', everything.permitted.name, ...words);
    assert.match(content[0].text, everything.answer);
  });

  test('tells why it may not call another', async () => {
    const words = Object.entries(everything.denied.arguments).flatMap(([name, value]) => ['--tool-arg', `${name}=${value}`]);
    await assert.rejects(inspect('--method', 'tools/call', '--tool-name', everything.denied.name, ...words), /denied: no policy permits/);
  });
});
