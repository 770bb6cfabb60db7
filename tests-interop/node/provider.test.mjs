// People who sign in with a provider that knows nothing of us, npm `oidc-provider`: by a secret and by a key of ours, with
// everything that it checks; who is signed out there, and who is disabled there.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

import { Authority } from './authority.mjs';
import { DESKTOP, launch, look, step } from './chromium.mjs';

const SECRET = 'a-secret-of-more-than-thirty-two-characters';
const LIMIT_MS = 20_000;

/** The provider, with whoever is at its keyboard. */
async function startProvider() {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const signing = { ...(await exportJWK(privateKey)), kid: 'one', use: 'sig', alg: 'ES256' };
  const { privateKey: other } = await generateKeyPair('RS256', { extractable: true });
  const second = { ...(await exportJWK(other)), kid: 'two', use: 'sig', alg: 'RS256' };
  const people = new Map();
  const state = { atKeyboard: undefined, people };
  let answer;
  const server = createServer((request, response) => answer(request, response));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    jwks: { keys: [signing, second] },
    clients: [],
    // Of its own accord it sends nothing to loopback, where the authority is.
    fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
    clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ['ES256'], idTokenSigningAlgValues: ['ES256', 'RS256'] },
    cookies: { keys: ['of the tests'] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'name'], email: ['email', 'email_verified'] },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
    pkce: { required: () => true },
    issueRefreshToken: async () => true,
    interactions: { url: (_context, interaction) => `/at/${interaction.uid}` },
    findAccount: (_context, id) => (people.has(id) ? { accountId: id, claims: () => ({ sub: id, ...people.get(id) }) } : undefined),
    async loadExistingGrant(context) {
      const grant = new context.oidc.provider.Grant({ clientId: context.oidc.client.clientId, accountId: context.oidc.session.accountId });
      grant.addOIDCScope('openid profile email offline_access');
      await grant.save();
      return grant;
    },
  });
  const callback = provider.callback();
  answer = async (request, response) => {
    if (!request.url.startsWith('/at/')) return callback(request, response);
    return provider.interactionFinished(request, response, { login: { accountId: state.atKeyboard, amr: ['pwd'] } });
  };
  return { ...state, state, provider, issuer, stop: () => new Promise((resolve) => server.close(resolve)) };
}

/** A browser that follows where it is sent, and keeps cookies by origin. */
class Browser {
  constructor() {
    this.jars = new Map();
  }

  jar({ hostname, port }) {
    const key = `${hostname}:${port}`;
    if (!this.jars.has(key)) this.jars.set(key, new Map());
    return this.jars.get(key);
  }

  async ask(address, { headers = {}, ...options } = {}) {
    const url = new URL(address);
    const jar = this.jar(url);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { ...options, headers: { ...headers, ...(cookie && { cookie }) }, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value === '' || /max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  }

  /** Opens a page and goes on until there is one to look at; answers with it and the ways that led there. */
  async open(address, from = 'same-origin') {
    const ways = [];
    for (let url = address, left = 12; left > 0; left -= 1) {
      // Usually a page of the authority's own led to the first; redirects by another site lead to the rest.
      const site = url === address ? from : 'cross-site';
      const response = await this.ask(url, { headers: { 'sec-fetch-site': site } });
      ways.push(url);
      const location = response.headers.get('location');
      if (!location) return { url, status: response.status, text: await response.text(), ways };
      url = new URL(location, url).href;
    }
    throw new Error(`round and round: ${ways.join(' ')}`);
  }
}

describe('people who sign in with oidc-provider', () => {
  let authority, idp, origin;

  const begin = (name, query = '') => `${origin}/sign-in/providers/${name}${query}`;
  const whoAmI = async (browser) => {
    const response = await browser.ask(`${origin}/v1/whoami`, { headers: { origin } });
    return response.status === 200 ? response.json() : undefined;
  };
  const until = async (what, done) => {
    for (const end = Date.now() + LIMIT_MS; Date.now() < end; await sleep(100)) if (await done()) return;
    assert.fail(what);
  };
  /** A client of the provider that is the authority. */
  async function register(name, metadata) {
    const client = {
      client_id: name,
      redirect_uris: [`${origin}/sign-in/providers/${name}/callback`],
      backchannel_logout_uri: `${origin}/sign-in/providers/${name}/logout`,
      backchannel_logout_session_required: true,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      id_token_signed_response_alg: 'ES256',
      ...metadata,
    };
    const { Client } = idp.provider;
    await Client.adapter.upsert(name, client);
    return Client.find(name);
  }

  before(async () => {
    authority = await Authority.start();
    origin = new URL(authority.console).origin;
    idp = await startProvider();
    idp.people.set('u-1', { preferred_username: 'alice', email: 'carol@example.com', email_verified: true });
    idp.people.set('u-2', { preferred_username: 'dave@example.com' });
  });
  after(async () => {
    await idp?.stop();
    await authority?.stop();
  });

  test('joins by a secret of ours, is signed out there, and comes back as the same', async () => {
    const client = await register('corp', { client_secret: SECRET, token_endpoint_auth_method: 'client_secret_basic' });
    const added = await authority.addProvider('corp', idp.issuer, 'corp', SECRET, '--join');
    assert.deepEqual([added.redirect_uri], client.redirectUris);
    assert.ok(!JSON.stringify(added).includes(SECRET));
    idp.state.atKeyboard = 'u-1';
    const browser = new Browser();
    const page = await browser.open(begin('corp'));
    assert.equal(page.status, 200, page.text);
    assert.equal(page.url, `${origin}/console/#signed-in`);
    const me = await whoAmI(browser);
    assert.equal(me.id, 'carol@example.com');
    assert.equal(me.signed_in_with, 'provider');
    assert.equal(me.roles, undefined);

    // To the question that the person came from, and with a new sign-in where one is needed.
    const next = '/oauth/authorize?client_id=a&request_uri=b';
    const anew = await browser.open(begin('corp', `?${new URLSearchParams({ next, fresh: 'yes' })}`));
    assert.equal(anew.status, 200, anew.text);
    assert.match(anew.text, /carol@example\.com/);
    assert.ok(anew.text.includes(next.replace('&', '&amp;')), anew.text);

    const { items } = await authority.command('owner', 'links', 'carol@example.com');
    assert.deepEqual(items.map(({ provider, subject, can_be_asked }) => [provider, subject, can_be_asked]), [['corp', 'u-1', true]]);
    const [session] = (await authority.command('owner', 'sessions', 'carol@example.com')).items;
    assert.equal(session.provider, 'corp');

    await client.backchannelLogout('u-1', 'another session there');
    assert.ok(await whoAmI(browser), 'another session ended');
    await client.backchannelLogout('u-1');
    await until('the session goes on', async () => !(await whoAmI(browser)));
  });

  test('is asked about again and again, and stops here when disabled there', async () => {
    const browser = new Browser();
    idp.state.atKeyboard = 'u-1';
    await browser.open(begin('corp'));
    const link = async () => (await authority.command('owner', 'links', 'carol@example.com')).items[0];
    const status = async () => (await authority.command('owner', 'list')).items.find(({ handle }) => handle === 'carol@example.com').status;
    const before = (await link()).vouched_at;
    // The record tells the time to whole seconds.
    await sleep(1_100);
    await authority.askProvidersNow();
    await until('the provider was not asked', async () => (await link()).vouched_at !== before);
    assert.equal(await status(), 'active');
    // Once more, with what it gave in the place of what it gave first.
    await authority.askProvidersNow();
    await sleep(2_000);
    assert.equal(await status(), 'active');
    assert.ok(await whoAmI(browser));

    const person = idp.people.get('u-1');
    idp.people.delete('u-1');
    await authority.askProvidersNow();
    await until('the person is still there', async () => (await status()) === 'disabled');
    assert.equal(await whoAmI(browser), undefined);

    idp.people.set('u-1', person);
    const again = new Browser();
    await again.open(begin('corp'));
    assert.equal((await whoAmI(again))?.id, 'carol@example.com');
    assert.equal(await status(), 'active');
    await authority.command('owner', 'disable', 'carol@example.com', '--reason', 'left for good');
    const page = await new Browser().open(begin('corp'));
    assert.equal(page.status, 403, page.text);
  });

  test('is linked by an administrator, with a key of ours', async () => {
    await authority.command('provider', 'remove', 'corp');
    const added = await authority.addProviderWithKey('keyed', idp.issuer, 'keyed');
    await register('keyed', { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [added.public_jwk] } });
    await authority.command('owner', 'add', 'dave@example.com');
    idp.state.atKeyboard = 'u-2';
    const nobody = await new Browser().open(begin('keyed'));
    assert.equal(nobody.status, 403, nobody.text);
    assert.match(nobody.text, /u-2/);
    await authority.command('owner', 'link', 'dave@example.com', '--provider', 'keyed', '--subject', 'u-2');
    const browser = new Browser();
    await browser.open(begin('keyed'));
    assert.equal((await whoAmI(browser)).id, 'dave@example.com');
    // A code is of no use in another browser.
    const mallory = new Browser();
    let url = begin('keyed');
    while (!url.includes('/callback?')) {
      const response = await mallory.ask(url, { headers: { 'sec-fetch-site': 'same-origin' } });
      url = new URL(response.headers.get('location'), url).href;
    }
    const alice = new Browser();
    const page = await alice.open(url, 'cross-site');
    assert.equal(page.status, 403, page.text);
    assert.equal(await whoAmI(alice), undefined);
    assert.equal((await mallory.open(url)).status, 200);
  });

  step('a browser goes there and back by the links of the console', async () => {
    const browser = await launch();
    try {
      const page = await (await browser.newContext({ viewport: DESKTOP })).newPage();
      page.setDefaultTimeout(LIMIT_MS);
      idp.state.atKeyboard = 'u-2';
      await page.goto(authority.console);
      await page.getByRole('link', { name: 'Sign in with keyed' }).waitFor();
      await look(page, 'provider-sign-in');
      await page.getByRole('link', { name: 'Sign in with keyed' }).click();
      await page.getByRole('heading', { name: 'Your sign-in' }).waitFor();
      assert.ok(page.url().startsWith(`${origin}/console/`), page.url());
      await page.getByRole('table', { name: 'Providers' }).getByText('u-2').waitFor();
      await look(page, 'provider-you');
      const cookies = await page.context().cookies(origin);
      assert.deepEqual(cookies.map(({ name, sameSite, httpOnly, secure }) => [name, sameSite, httpOnly, secure]), [['__Host-chancery', 'Strict', true, true]]);
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByRole('heading', { name: 'Sign in' }).first().waitFor();

      // From a question, by the page that asks to sign in first, and back to it.
      const question = `${authority.url}/oauth/authorize?client_id=https%3A%2F%2Fapp.example%2Fc&resource=https%3A%2F%2Fx.example&response_type=code`;
      await page.goto(question);
      await look(page, 'provider-question');
      await page.getByRole('link', { name: 'Sign in with keyed' }).click();
      // The question is at the address and people are at another host of loopback, so no page of theirs led there.
      await page.getByText('If you go on').waitFor();
      await look(page, 'provider-ask');
      await page.getByRole('link', { name: 'Sign in with keyed' }).click();
      await page.getByRole('heading', { name: 'You are signed in' }).waitFor();
      await look(page, 'provider-arrived');
      await page.getByRole('link', { name: 'Go on' }).click();
      await page.getByRole('heading', { name: 'This client cannot be recognised' }).waitFor();
    } finally {
      await browser.close();
    }
  });
});
