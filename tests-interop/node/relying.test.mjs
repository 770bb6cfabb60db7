// Two OAuth libraries that know nothing of us, `oauth4webapi` and `openid-client`, do what they are for: an agent by itself,
// an agent on behalf of a person, with pushed requests, PKCE and DPoP, and where no browser is; a workload of another issuer; and a resource server asks about the tokens.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import * as oauth from 'oauth4webapi';
import * as oidc from 'openid-client';

import { Authority } from './authority.mjs';
import { Browser } from './browser.mjs';
import { everything } from './servers.mjs';

const CALLBACK = 'http://127.0.0.1:7999/callback';
const GOODBYE = 'http://127.0.0.1:7999/goodbye';
const API = 'https://api.example.com/orders';
// The authority of these suites is on loopback, without TLS.
const PLAIN = { [oauth.allowInsecureRequests]: true };

/** The private key of an agent, as these libraries want it. */
async function signingKey({ privateJwk }) {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const { kty, crv, x, y, d, kid } = privateJwk;
  const key = await crypto.subtle.importKey('jwk', { kty, crv, x, y, d }, algorithm, false, ['sign']);
  return { key, kid };
}

const payload = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

describe('libraries that relying parties use', () => {
  let authority, agent, api, browser, issued;
  const resource = () => authority.resource(everything.name);

  before(async () => {
    authority = await Authority.start();
    await authority.addServer(everything);
    agent = await authority.registerAgent(everything, everything.permitted.name);
    await authority.command('agent', 'redirects', agent.name, CALLBACK);
    api = await authority.registerResource(API);
    browser = new Browser(await authority.login());
  });
  after(async () => authority?.stop());

  test('openid-client: an agent where no browser is shows a code, and asks until the person answered', async () => {
    const config = await oidc.discovery(new URL(authority.url), agent.id, undefined, oidc.PrivateKeyJwt(await signingKey(agent)), {
      algorithm: 'oauth2',
      execute: [oidc.allowInsecureRequests],
    });
    const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
    const dpop_jkt = await DPoP.calculateThumbprint();
    for (const answer of ['approve', 'deny']) {
      const waiting = await oidc.initiateDeviceAuthorization(config, { resource: resource(), dpop_jkt });
      assert.equal(waiting.interval, 5);
      const asked = oidc.pollDeviceAuthorizationGrant(config, waiting, undefined, { DPoP });
      // Nobody is asked by a link alone.
      const entry = await browser.open(waiting.verification_uri_complete);
      assert.ok(!entry.text.includes(agent.name) && entry.text.includes(waiting.user_code));
      const page = await browser.enter(entry);
      assert.ok(page.text.includes(agent.name) && page.text.includes(waiting.user_code));
      const { location } = await browser.answer(page, answer);
      assert.equal(location, null);
      if (answer === 'deny') {
        await assert.rejects(asked, { error: 'access_denied' });
        continue;
      }
      const tokens = await asked;
      const claims = payload(tokens.access_token);
      assert.match(claims.sub, /^own_/);
      assert.equal(claims.act.sub, agent.id);
      assert.equal(claims.cnf.jkt, dpop_jkt);
      const again = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
      assert.equal(payload(again.access_token).grant_id, claims.grant_id);
    }
  });

  test('openid-client: a workload that another issuer vouches for, with keys that are found by discovery', async () => {
    const { privateKey, publicKey } = await generateKeyPair('RS256');
    const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256', use: 'sig' };
    const server = createServer((request, response) => {
      const issuer = `http://127.0.0.1:${server.address().port}`;
      const known = {
        '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/jwks`, id_token_signing_alg_values_supported: ['RS256'] },
        '/jwks': { keys: [jwk] },
      };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(known[request.url]));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const issuer = `http://127.0.0.1:${server.address().port}`;
    try {
      const subject = 'repo:acme/refunds:environment:prod';
      await authority.command('issuer', 'add', 'ci', '--issuer', issuer);
      await authority.command('agent', 'trust', agent.name, '--issuer', 'ci', '--subject', subject, '--claim', 'repository_id=5678');
      const vouch = (claims) =>
        new SignJWT({ repository_id: '5678', ...claims })
          .setProtectedHeader({ alg: 'RS256', kid: 'one', typ: 'JWT' })
          .setIssuer(issuer)
          .setSubject(subject)
          .setAudience(authority.url)
          .setIssuedAt()
          .setExpirationTime('5m')
          .setJti(crypto.randomUUID())
          .sign(privateKey);
      const config = await oidc.discovery(new URL(authority.url), agent.id, undefined, oidc.None(), {
        algorithm: 'oauth2',
        execute: [oidc.allowInsecureRequests],
      });
      const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
      const present = async (claims) => {
        const parameters = { assertion: await vouch(claims), resource: resource() };
        return oidc.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:jwt-bearer', parameters, { DPoP });
      };
      const tokens = await present({});
      const claims = payload(tokens.access_token);
      assert.equal(claims.sub, agent.id);
      assert.equal(claims.cnf.jkt, await DPoP.calculateThumbprint());
      assert.equal(tokens.refresh_token, undefined);
      await assert.rejects(present({ repository_id: '1' }), { error: 'invalid_grant' });
      await authority.command('issuer', 'remove', 'ci');
      await assert.rejects(present({}), { error: 'invalid_grant' });
    } finally {
      server.close();
    }
  });

  test('openid-client: an agent by itself, and on behalf of a person until it gives its grant back', async () => {
    const config = await oidc.discovery(new URL(authority.url), agent.id, undefined, oidc.PrivateKeyJwt(await signingKey(agent)), {
      algorithm: 'oauth2',
      execute: [oidc.allowInsecureRequests],
    });
    const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
    const own = await oidc.clientCredentialsGrant(config, { resource: resource() }, { DPoP });
    assert.equal(own.token_type, 'dpop');
    assert.equal(payload(own.access_token).sub, agent.id);

    const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
    const expectedState = oidc.randomState();
    const url = await oidc.buildAuthorizationUrlWithPAR(
      config,
      {
        redirect_uri: CALLBACK,
        resource: resource(),
        state: expectedState,
        code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
        code_challenge_method: 'S256',
      },
      { DPoP },
    );
    assert.deepEqual([...url.searchParams.keys()].sort(), ['client_id', 'request_uri']);
    const { location } = await browser.answer(await browser.open(url), 'approve');
    const tokens = await oidc.authorizationCodeGrant(config, location, { pkceCodeVerifier, expectedState }, undefined, { DPoP });
    const claims = payload(tokens.access_token);
    assert.match(claims.sub, /^own_/);
    assert.equal(claims.act.sub, agent.id);

    const again = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
    assert.equal(payload(again.access_token).grant_id, claims.grant_id);
    await oidc.tokenRevocation(config, tokens.refresh_token);
    await assert.rejects(oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP }), { error: 'invalid_grant' });
    const { items } = await authority.command('grant', 'list');
    assert.equal(items.find(({ id }) => id === claims.grant_id).status, 'revoked');
  });

  test('oauth4webapi: the same by hand, with a request that is signed, and no is no', async () => {
    const issuer = new URL(authority.url);
    const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...PLAIN });
    const as = await oauth.processDiscoveryResponse(issuer, found);
    const client = { client_id: agent.id };
    const auth = oauth.PrivateKeyJwt(await signingKey(agent));
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));

    // The first answer only brings the nonce.
    const ask = async (request, process) => {
      const first = await request();
      try {
        return await process(first);
      } catch (error) {
        assert.ok(oauth.isDPoPNonceError(error), error);
        return process(await request());
      }
    };
    const parameters = { resource: resource() };
    issued = await ask(
      () => oauth.clientCredentialsGrantRequest(as, client, auth, parameters, { DPoP, ...PLAIN }),
      (response) => oauth.processClientCredentialsResponse(as, client, response),
    );
    assert.equal(payload(issued.access_token).client_id, agent.id);

    const wanted = {
      response_type: 'code',
      redirect_uri: CALLBACK,
      resource: resource(),
      state: 'a-state-of-ours',
      code_challenge: await oauth.calculatePKCECodeChallenge(oauth.generateRandomCodeVerifier()),
      code_challenge_method: 'S256',
      dpop_jkt: await DPoP.calculateThumbprint(),
    };
    const push = (request) => oauth.pushedAuthorizationRequest(as, client, auth, { client_id: agent.id, request }, PLAIN);
    // Signed by a key that is not the client's, and then by its own.
    const { privateKey: anyKey } = await oauth.generateKeyPair('ES256');
    const refused = await push(await oauth.issueRequestObject(as, client, wanted, anyKey));
    await assert.rejects(oauth.processPushedAuthorizationResponse(as, client, refused), { error: 'invalid_request_object' });
    const pushed = await push(await oauth.issueRequestObject(as, client, wanted, await signingKey(agent)));
    const { request_uri: requestUri, expires_in: life } = await oauth.processPushedAuthorizationResponse(as, client, pushed);
    assert.ok(life < 600);
    const url = new URL(as.authorization_endpoint);
    url.search = new URLSearchParams({ client_id: agent.id, request_uri: requestUri });
    const { location } = await browser.answer(await browser.open(url), 'deny');
    assert.throws(() => oauth.validateAuthResponse(as, client, location, 'a-state-of-ours'), { error: 'access_denied' });
    assert.equal(location.searchParams.get('iss'), authority.url);
  });

  test('openid-client: a person signs in to a client, which learns who it is and can do nothing', async () => {
    await authority.command('agent', 'redirects', agent.name, CALLBACK, '--after-logout', GOODBYE);
    const config = await oidc.discovery(new URL(authority.url), agent.id, undefined, oidc.PrivateKeyJwt(await signingKey(agent)), {
      execute: [oidc.allowInsecureRequests],
    });
    const { supportsPKCE } = config.serverMetadata();
    assert.ok(supportsPKCE());
    const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
    const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
    const [expectedState, expectedNonce] = [oidc.randomState(), oidc.randomNonce()];
    // A link, as ordinary relying parties make it, and nothing pushed.
    const url = oidc.buildAuthorizationUrl(config, {
      redirect_uri: CALLBACK,
      scope: 'openid profile email',
      state: expectedState,
      nonce: expectedNonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      dpop_jkt: await DPoP.calculateThumbprint(),
    });
    const { location } = await browser.answer(await browser.open(url), 'approve');
    const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
    const tokens = await oidc.authorizationCodeGrant(config, location, checks, undefined, { DPoP });
    const { sub, email, aud } = tokens.claims();
    assert.deepEqual([aud, email], [agent.id, 'alice@example.com']);
    assert.match(sub, /^own_/);
    const person = await oidc.fetchUserInfo(config, tokens.access_token, sub, { DPoP });
    assert.equal(person.preferred_username, 'alice@example.com');
    // The token is for nothing else.
    const headers = new Headers({ 'content-type': 'application/json', accept: 'application/json, text/event-stream' });
    const list = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
    const call = oidc.fetchProtectedResource(config, tokens.access_token, new URL(resource()), 'POST', list, headers, { DPoP });
    await assert.rejects(call, { status: 401 });

    // The second time the person is not asked again.
    const again = await fetch(url, { headers: browser.headers, redirect: 'manual' });
    assert.equal(again.status, 303);

    const leave = oidc.buildEndSessionUrl(config, { post_logout_redirect_uri: GOODBYE, id_token_hint: tokens.id_token, state: 'bye' });
    const asked = await browser.open(leave);
    assert.match(asked.text, /Do you want to sign out\?/);
  });

  test('oauth4webapi: a resource server asks, and gets the answer signed', async () => {
    const as = await oauth.processDiscoveryResponse(
      new URL(authority.url),
      await oauth.discoveryRequest(new URL(authority.url), { algorithm: 'oauth2', ...PLAIN }),
    );
    const client = { client_id: api.id, introspection_signed_response_alg: 'ES256' };
    const auth = oauth.PrivateKeyJwt(await signingKey(api));
    const of = async (token, requestJwtResponse) => {
      const response = await oauth.introspectionRequest(as, client, auth, token, { requestJwtResponse, ...PLAIN });
      const told = await oauth.processIntrospectionResponse(as, client, response);
      if (requestJwtResponse) await oauth.validateApplicationLevelSignature(as, response, PLAIN);
      return told;
    };
    const { access_token: token } = await authority.mint(agent, { name: everything.name });
    for (const signed of [false, true]) {
      // It is not for this resource server, which is all that it learns.
      assert.deepEqual(await of(token, signed), { active: false });
    }
  });

  test('leaves a record that holds', async () => authority.verifyLog());
});
