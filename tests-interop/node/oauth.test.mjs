// An official MCP client that knows only a URL and its own key: it finds the authority from the first
// refusal, asks for a token, and proves possession of a key on every call (RFC 9728, 8414, 7523, 9449).
// The token is then judged by a JOSE library that is not ours.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Client, DpopSession, PrivateKeyJwtProvider, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { calculateJwkThumbprint, createRemoteJWKSet, jwtVerify } from 'jose';

import { Authority } from './authority.mjs';
import { answer, bearer, clients, refusal } from './clients.mjs';
import { everything } from './servers.mjs';

/** Authenticates with the agent's key and binds what it gets to a second, fresh key. */
class BoundProvider extends PrivateKeyJwtProvider {
  #session = DpopSession.create();

  static of(authority, agent) {
    return new BoundProvider({
      clientId: agent.id,
      privateKey: agent.privateJwk,
      algorithm: 'ES256',
      expectedIssuer: authority.url,
      jwtLifetimeSeconds: 60,
    });
  }

  dpop() {
    return this.#session;
  }
}

describe('a client that finds its own way', () => {
  let authority, agent, provider, client;
  const resource = () => authority.resource(everything.name);

  before(async () => {
    authority = await Authority.start();
    await authority.addServer(everything);
    agent = await authority.registerAgent(everything, everything.permitted.name);
    provider = BoundProvider.of(authority, agent);
    client = new Client(
      { name: 'interop', version: '1.0.0' },
      { versionNegotiation: { mode: { pin: '2026-07-28' } } },
    );
    await client.connect(new StreamableHTTPClientTransport(new URL(resource()), { authProvider: provider }));
  });
  after(async () => {
    await client?.close();
    await authority?.stop();
  });

  test('obtains a token bound to its key and uses it', async () => {
    assert.equal(provider.tokens().token_type.toLowerCase(), 'dpop');
    assert.match(await answer(client.callTool(everything.permitted)), everything.answer);
    assert.match(await answer(client.callTool(everything.permitted)), everything.answer);
    assert.notEqual(await refusal(client.callTool(everything.denied)), '');
  });

  test('gets a token that another library verifies', async () => {
    const metadata = await json(`${authority.url}/.well-known/oauth-authorization-server`);
    assert.equal(metadata.issuer, authority.url);
    const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
    const { payload, protectedHeader } = await jwtVerify(provider.tokens().access_token, keys, {
      issuer: authority.url,
      audience: resource(),
      typ: 'at+jwt',
      algorithms: ['ES256'],
      requiredClaims: ['exp', 'iat', 'jti', 'sub', 'client_id'],
    });
    const { publicJwk } = (await provider.dpop()).keyPair;
    assert.equal(payload.cnf.jkt, await calculateJwkThumbprint(publicJwk));
    assert.equal(payload.client_id, agent.id);
    assert.ok(payload.exp - payload.iat <= 900, 'a token lives 15 minutes at most');
    assert.ok(protectedHeader.kid, 'the header names the key');
  });

  test('is refused when it presents the bound token as a bearer token', async () => {
    const { access_token: token } = provider.tokens();
    await assert.rejects(clients[0].connect(resource(), bearer(token)));
  });

  test('is refused with a token whose signature was touched', async () => {
    const { access_token: token } = provider.tokens();
    const [header, payload, signature] = token.split('.');
    const touched = signature.startsWith('A') ? `B${signature.slice(1)}` : `A${signature.slice(1)}`;
    await assert.rejects(clients[0].connect(resource(), bearer(`${header}.${payload}.${touched}`)));
  });

  test('is told where the authority is when it comes without a token', async () => {
    const response = await fetch(resource(), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    assert.equal(response.status, 401);
    const challenge = response.headers.get('www-authenticate');
    const place = /resource_metadata="([^"]+)"/.exec(challenge)?.[1];
    assert.ok(place, `no resource_metadata in ${challenge}`);
    const metadata = await json(place);
    assert.equal(metadata.resource, resource());
    assert.deepEqual(metadata.authorization_servers, [authority.url]);
  });

  // The last test: nothing works after it.
  test('is refused at its next call once it is suspended', async () => {
    await authority.suspend(agent);
    assert.notEqual(await refusal(client.callTool(everything.permitted)), '');
    await authority.verifyLog();
  });
});

async function json(url) {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  return response.json();
}
