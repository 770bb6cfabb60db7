// A person lets an agent act in their name: the agent's program sends a browser to the authority, the person signs in with a
// passkey, reads the question, decides without a script on the page, and takes it back. `node --test node/consent.test.mjs`
// with CHANCERY_BIN, where `npm ci` was run.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe } from 'node:test';

import { AUTHENTICATOR, DESKTOP, launch, look, skip, step } from './chromium.mjs';

const PROGRAM = process.env.CHANCERY_BIN;
const DESK = { name: 'desk', command: [PROGRAM, 'desk'] };
const LIMIT_MS = 15_000;

describe('a person decides whether an agent acts in their name', () => {
  let authority;
  let browser;
  let page;
  let agent;
  let grant;
  const children = [];
  const complaints = [];

  const button = (name) => page.getByRole('button', { name });
  const heading = (name) => page.getByRole('heading', { name, exact: true });

  /** Begins what a program on the person's machine does; answers with the address to open, and with how it ends. */
  async function ask(way = '--on-behalf', shown = 'authorization_url') {
    const words = ['token', 'mint', '--agent', agent.name, '--key', agent.keyFile, '--resource', authority.resource(DESK.name)];
    const child = spawn(PROGRAM, ['--data', authority.data, ...words, way, '--json']);
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr']) child[stream].on('data', (data) => { said[stream] += data; });
    children.push(child);
    const ended = new Promise((resolve) => child.once('exit', (code) => resolve({ code, ...said })));
    for (let waited = 0; waited < LIMIT_MS; waited += 20) {
      const found = new RegExp(`"${shown}":\\s*"([^"]+)"`).exec(said.stdout + said.stderr);
      if (found) return { url: found[1], ended };
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`no address: ${said.stdout}${said.stderr}`);
  }

  before(async () => {
    if (skip) return;
    const { Authority } = await import('./authority.mjs');
    authority = await Authority.start();
    await authority.addServer(DESK);
    agent = await authority.registerAgent(DESK, 'find_customer', 'get_order');
    await authority.command('agent', 'redirects', agent.name, 'http://127.0.0.1/callback');
    browser = await launch();
    const context = await browser.newContext({ viewport: DESKTOP });
    page = await context.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    page.on('pageerror', (error) => complaints.push(error.message));
    const cdp = await context.newCDPSession(page);
    await cdp.send('WebAuthn.enable');
    await cdp.send('WebAuthn.addVirtualAuthenticator', { options: AUTHENTICATOR });
    const { link } = await authority.command('owner', 'invite', 'alice@example.com', '--role', 'auditor');
    await page.goto(link);
    await page.getByLabel('Name of the passkey').fill('phone');
    await button('Make a passkey').click();
    await heading('Your sign-in').waitFor();
    await button('Sign out').click();
    await heading('Sign in').waitFor();
  });
  after(async () => {
    for (const child of children) child.kill();
    await browser?.close();
    await authority?.stop();
  });

  step('who is not signed in signs in, and comes back to the question by their own hand', async () => {
    const { url, ended } = await ask();
    await page.goto(url);
    await heading('Sign in first').waitFor();
    await look(page, 'consent-sign-in-first');
    await page.getByRole('link', { name: 'Sign in' }).click();
    await button('Sign in with a passkey').click();
    await heading('An agent asks to act in your name').waitFor();
    await look(page, 'consent-go-on');
    await page.getByRole('link', { name: 'See the question' }).click();
    await heading('May this agent act in your name?').waitFor();
    for (const text of [agent.name, agent.id, 'alice@example.com', authority.resource(DESK.name), 'find_customer, get_order']) {
      assert.ok((await page.locator('main').innerText()).includes(text), text);
    }
    assert.equal(await page.locator('script').count(), 0);
    await look(page, 'consent-question');
    await button('Yes, let it act in my name').click();
    const { code, stdout, stderr } = await ended;
    assert.equal(code, 0, stderr);
    const token = JSON.parse(stdout.slice(stdout.indexOf('{')));
    const claims = JSON.parse(Buffer.from(token.access_token.split('.')[1], 'base64url'));
    assert.match(claims.sub, /^own_/);
    assert.equal(claims.act.sub, agent.id);
    assert.ok(claims.auth_time > 0, 'when the person signed in');
    grant = claims.grant_id;
    await look(page, 'consent-done');
  });

  step('by keyboard and without a script: no is the first answer', async () => {
    const { url, ended } = await ask();
    const plain = await (await browser.newContext({ javaScriptEnabled: false, storageState: await page.context().storageState() })).newPage();
    plain.setDefaultTimeout(LIMIT_MS);
    const origin = new URL(authority.console).origin;
    // The session does not come along with the link of an agent, only with one of ours.
    await plain.goto(`${origin}${new URL(url).pathname}${new URL(url).search}`);
    await plain.getByRole('link', { name: 'I am signed in already' }).click();
    await plain.getByRole('heading', { name: 'May this agent act in your name?' }).waitFor();
    await plain.keyboard.press('Tab');
    assert.equal(await plain.evaluate(() => document.activeElement.value).catch(() => 'deny'), 'deny');
    await plain.getByRole('button', { name: 'No', exact: true }).press('Enter');
    const { code, stderr } = await ended;
    assert.notEqual(code, 0);
    assert.match(stderr, /access_denied/);
    await plain.context().close();
  });

  step('where no browser is the person brings the code to theirs, compares it, and says yes', async () => {
    const { url, ended } = await ask('--device', 'verification_uri_complete');
    const shown = new URL(url).searchParams.get('user_code');
    await page.goto(url);
    await heading('Sign in first').waitFor();
    await page.getByRole('link', { name: 'I am signed in already' }).click();
    await heading('Let an agent on a device act in your name').waitFor();
    assert.equal(await page.getByLabel('The code that the device shows').inputValue(), shown);
    await look(page, 'device-code');
    await page.getByLabel('The code that the device shows').fill(shown.toLowerCase().replace('-', ' '));
    await page.keyboard.press('Enter');
    await heading('May this agent act in your name?').waitFor();
    const asked = await page.locator('main').innerText();
    for (const text of [shown, agent.name, 'say no']) assert.ok(asked.includes(text), text);
    assert.equal(await page.locator('script').count(), 0);
    await look(page, 'device-question');
    await button('Yes, let it act in my name').click();
    await heading('The agent may act in your name').waitFor();
    await look(page, 'device-done');
    const { code, stdout, stderr } = await ended;
    assert.equal(code, 0, stderr);
    const { access_token: token } = JSON.parse(stdout.slice(stdout.indexOf('{')));
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    assert.equal(claims.act.sub, agent.id);
    assert.ok(claims.auth_time > 0, 'when the person signed in');
    await authority.command('grant', 'revoke', claims.grant_id, '--reason', 'enough');
    // Who is signed out comes back to where codes are entered.
    const origin = new URL(authority.console).origin;
    await page.goto(`${origin}/console/?return=${encodeURIComponent('/device')}`);
    await heading('An agent asks to act in your name').waitFor();
    await page.getByRole('link', { name: 'See the question' }).click();
    await heading('Let an agent on a device act in your name').waitFor();
  });

  step('the person takes it back, and it is over', async () => {
    const { items } = await authority.command('grant', 'list');
    assert.deepEqual(items.filter(({ status }) => status === 'in_force').map(({ id }) => id), [grant]);
    const stopped = await authority.command('grant', 'revoke', grant, '--reason', 'enough');
    assert.equal(stopped.status, 'revoked');
    const after = await authority.command('grant', 'list');
    assert.equal(after.items.find(({ id }) => id === grant).status, 'revoked');
    await authority.verifyLog();
  });

  step('a link of somebody leads back to nothing else', async () => {
    const origin = new URL(authority.console).origin;
    for (const bad of ['https://evil.example/', '//evil.example', '/\\evil.example', 'javascript:alert(1)', '/oauth/authorize/../../x', '/v1/agents', '/devices', '/device/../v1/agents']) {
      await page.goto(`${origin}/console/?return=${encodeURIComponent(bad)}`);
      await heading('Overview').waitFor();
      assert.equal(new URL(page.url()).search, '', bad);
    }
  });

  step('no page complained', async () => assert.deepEqual(complaints, []));
});
