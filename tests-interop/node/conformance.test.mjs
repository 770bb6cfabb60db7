// The conformance suite of MCP against our authorization server: its metadata, and the authorization code grant for a client
// that registered itself, with a person who agrees. `docs/clients.md` says how to run it by hand.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { Authority } from './authority.mjs';
import { everything } from './servers.mjs';

const PORT = 7998;
const CALLBACK = `http://127.0.0.1:${PORT}/callback`;
const MANIFEST = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json');
const { bin } = createRequire(import.meta.url)(MANIFEST);
const CONFORMANCE = join(dirname(MANIFEST), typeof bin === 'string' ? bin : bin.conformance);

describe('the conformance suite of MCP', () => {
  let authority, client;

  before(async () => {
    // The person says yes by itself.
    authority = await Authority.start({}, '--test-login', 'alice@example.com');
    // An explicit exception: the client of the suite cannot bind its token to a key.
    await authority.addServer(everything, '--allow-bearer', '1h');
    await authority.openRegistration();
    const metadata = {
      client_name: 'The conformance suite',
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
    const response = await fetch(`${authority.url}/oauth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(metadata),
    });
    assert.equal(response.status, 201);
    client = (await response.json()).client_id;
  });
  after(async () => authority?.stop());

  test('finds nothing wrong with the authorization server', async () => {
    const words = ['--url', authority.url, '--client-id', client, '--resource', authority.resource(everything.name)];
    const child = spawn(process.execPath, [CONFORMANCE, 'authorization', ...words, '--port', `${PORT}`]);
    let said = '';
    let agreed;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        said += data;
        const [, url] = /(http:\S+\/oauth\/authorize\?\S+)\s/.exec(said) ?? [];
        // What a browser does that is sent there.
        if (url) agreed ??= fetch(url);
      });
    }
    const code = await new Promise((resolve) => child.once('exit', resolve));
    await agreed;
    assert.equal(code, 0, said);
    assert.match(said, /authorization-server-metadata-endpoint: 2 passed, 0 failed/);
    assert.match(said, /authorization-code-grant: 1 passed, 0 failed/);
    assert.match(said, /Total: 3 passed, 0 failed/);
  });
});
