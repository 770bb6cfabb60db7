// Official MCP clients that nobody registered beforehand: each finds the authority from the first refusal, says who it is
// by a document at its own URL or by registering itself, sends its person to the authority, fetches its tokens by the code
// that comes back, and calls a tool. Only then does the authority know it: as an agent of that person.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as FirstClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as FirstTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { Authority } from './authority.mjs';
import { Browser } from './browser.mjs';
import { answer, refusal } from './clients.mjs';
import { everything } from './servers.mjs';

const CALLBACK = 'http://localhost:8976/callback';
const INFO = { name: 'interop', version: '1.0.0' };

/** What an application keeps between the steps of signing in, as the clients ask for it. */
class Provider {
  constructor(name, clientId) {
    this.name = name;
    this.known = clientId && { client_id: clientId };
  }

  get redirectUrl() {
    return CALLBACK;
  }

  get clientMetadata() {
    return {
      client_name: this.name,
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    };
  }

  state = () => 'a state of the application';
  clientInformation = () => this.known;
  saveClientInformation = (known) => void (this.known = known);
  tokens = () => this.kept;
  saveTokens = (tokens) => void (this.kept = tokens);
  redirectToAuthorization = (url) => void (this.sentTo = url);
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  discoveryState = () => this.discovered;
  saveDiscoveryState = (state) => void (this.discovered = state);
}

const lines = [
  {
    name: 'client 2.x',
    client: () => new Client(INFO, { versionNegotiation: { mode: { pin: '2026-07-28' } } }),
    transport: (url, authProvider) => new StreamableHTTPClientTransport(url, { authProvider }),
    finish: (transport, told) => transport.finishAuth(told),
  },
  {
    name: 'sdk 1.x',
    client: () => new FirstClient(INFO),
    transport: (url, authProvider) => new FirstTransport(url, { authProvider }),
    finish: (transport, told) => transport.finishAuth(told.get('code')),
  },
];

describe('a client that nobody registered', () => {
  let authority, browser, documents, url;

  before(async () => {
    authority = await Authority.start();
    // An explicit exception: these clients cannot bind their tokens to a key.
    await authority.addServer(everything, '--allow-bearer', '1h');
    browser = new Browser(await authority.login());
    documents = createServer((request, response) => {
      const { port } = documents.address();
      const document = new Provider('An editor').clientMetadata;
      const id = { client_id: `http://127.0.0.1:${port}${request.url}` };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ ...id, ...document }));
    });
    await new Promise((resolve) => documents.listen(0, '127.0.0.1', resolve));
    url = new URL(authority.resource(everything.name));
  });
  after(async () => {
    documents?.close();
    await authority?.stop();
  });

  /** Takes a client through signing in, as far as a second person who agrees; answers with it, connected. */
  async function signIn(line, provider) {
    const sent = async () => {
      await assert.rejects(line.client().connect(line.transport(url, provider)));
      assert.ok(provider.sentTo, 'the client sends its person nowhere');
      return browser.open(provider.sentTo);
    };
    const page = await sent();
    assert.match(page.text, provider.host);
    const waits = await browser.agree(page, everything.permitted.name);
    assert.equal(waits.location, null);
    assert.match(waits.text, /A second person has to agree/);
    const agent = await authority.activateWaiting();

    const { location } = await browser.agree(await sent(), everything.permitted.name);
    assert.equal(`${location.origin}${location.pathname}`, CALLBACK);
    const told = location.searchParams;
    assert.equal(told.get('state'), provider.state());
    const transport = line.transport(url, provider);
    await line.finish(transport, told);
    const client = line.client();
    await client.connect(line.transport(url, provider));
    return { client, agent };
  }

  for (const line of lines) {
    test(`${line.name}, known by a document, signs in and becomes an agent`, async () => {
      const { port } = documents.address();
      const id = `http://127.0.0.1:${port}/${encodeURIComponent(line.name)}.json`;
      const provider = new Provider('An editor', id);
      provider.host = new RegExp(`127\\.0\\.0\\.1:${port}`);
      const { client, agent } = await signIn(line, provider);
      assert.match(await answer(client.callTool(everything.permitted)), everything.answer);
      assert.notEqual(await refusal(client.callTool(everything.denied)), '');
      assert.ok(provider.kept.refresh_token);
      const claims = JSON.parse(Buffer.from(provider.kept.access_token.split('.')[1], 'base64url'));
      assert.equal(claims.client_id, id);
      assert.equal(claims.act.sub, agent.id);

      await authority.suspend(agent);
      assert.notEqual(await refusal(client.callTool(everything.permitted)), '');
      await client.close();
    });

    test(`${line.name} registers itself while that is open`, async () => {
      const early = new Provider('A second editor');
      await assert.rejects(line.client().connect(line.transport(url, early)));
      assert.equal(early.sentTo, undefined);
      await authority.openRegistration();
      const provider = new Provider('A second editor');
      provider.host = /registered itself, unverified/;
      const { client } = await signIn(line, provider);
      assert.match(provider.known.client_id, /^cli_/);
      assert.match(await answer(client.callTool(everything.permitted)), everything.answer);

      // Its tokens are renewed, each refresh token once.
      const before = provider.kept;
      provider.kept = { ...before, access_token: 'ended' };
      const again = line.client();
      await again.connect(line.transport(url, provider));
      assert.match(await answer(again.callTool(everything.permitted)), everything.answer);
      assert.notEqual(provider.kept.refresh_token, before.refresh_token);
      await Promise.all([client.close(), again.close()]);
      await authority.command('client', 'close');
    });
  }

  test('leaves a record that holds', async () => {
    await authority.verifyLog();
  });
});
