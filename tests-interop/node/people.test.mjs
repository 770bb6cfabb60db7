// People in a browser: one follows an invitation, makes a passkey with an authenticator that the browser pretends to have,
// signs out and in, adds and revokes passkeys, and comes back by a recovery code. `node --test node/people.test.mjs` with
// CHANCERY_BIN, where `npm ci` was run; without playwright-core or Chromium it is skipped and says so. With
// CHANCERY_PICTURES it leaves pictures of the pages in that folder, to be looked at.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];
const LIMIT_MS = 15_000;
const PICTURES = process.env.CHANCERY_PICTURES;
const COOKIE = '__Host-chancery';
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

const playwright = await import('playwright-core').catch(() => undefined);
const missing = [!playwright && 'playwright-core', !existsSync(CHROMIUM) && `Chromium at ${CHROMIUM}`].filter(Boolean);
const skip = missing.length > 0 && `not run: ${missing.join(' and ')} missing`;
if (skip) console.log(`people: ${skip}`);

/** A step of the story; skipped, and counted as that, where there is no browser. */
const step = (name, run) => test(name, { skip }, run);

const AUTHENTICATOR = {
  protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
  automaticPresenceSimulation: true,
};

describe('people in the console', () => {
  let authority;
  let browser;
  let context;
  let page;
  let device;
  let codes;
  const complaints = [];

  /** Gives the page a new device to keep passkeys on; the one before is lost. */
  async function newDevice() {
    if (device) await device.cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId: device.id });
    const cdp = device?.cdp ?? (await context.newCDPSession(page));
    if (!device) await cdp.send('WebAuthn.enable');
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: AUTHENTICATOR });
    device = { cdp, id: authenticatorId };
  }

  /** Looks at the page in two widths: nothing may stick out, and a picture is left where they are wanted. */
  async function look(name) {
    for (const [kind, size] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await page.setViewportSize(size);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= size.width, `${name} is ${width} wide on ${size.width}`);
      if (PICTURES) await page.screenshot({ path: join(PICTURES, `${name}-${kind}.png`), fullPage: true });
    }
    await page.setViewportSize(DESKTOP);
  }

  const cookie = async () => (await context.cookies(authority.console)).find(({ name }) => name === COOKIE);
  const button = (name) => page.getByRole('button', { name });
  const heading = (name) => page.getByRole('heading', { name, exact: true });
  const invite = async (...roles) => (await authority.command('owner', 'invite', 'alice@example.com', ...roles.flatMap((role) => ['--role', role]))).link;
  const signOut = async () => {
    await button('Sign out').click();
    await heading('Sign in').waitFor();
  };

  before(async () => {
    if (skip) return;
    const { Authority } = await import('./authority.mjs');
    authority = await Authority.start();
    browser = await playwright.chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    context = await browser.newContext({ viewport: DESKTOP });
    page = await context.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    page.on('pageerror', (error) => complaints.push(error.message));
    // What the authority refuses is on the console of the browser as well; only the page's own faults count.
    page.on('console', (message) => message.type() === 'error' && !/status of 40[13]/.test(message.text()) && complaints.push(message.text()));
    await newDevice();
  });
  after(async () => {
    await browser?.close();
    await authority?.stop();
  });

  step('an invitation enrols a passkey and signs in', async () => {
    const link = await invite('administrator');
    assert.ok(link.startsWith(`${authority.console}#invite=chi_`), link);
    await page.goto(link);
    await heading('You are invited').waitFor();
    await page.getByText('alice@example.com').waitFor();
    assert.ok(!page.url().includes('chi_'), 'the secret is still in the address');
    await look('invitation');
    await page.getByLabel('Name of the passkey').fill('work laptop');
    await button('Make a passkey').click();
    await heading('Your sign-in').waitFor();
    await page.getByRole('table', { name: 'Passkeys' }).getByText('work laptop').waitFor();
    const kept = await cookie();
    assert.deepEqual([kept.httpOnly, kept.secure, kept.sameSite, kept.path], [true, true, 'Strict', '/']);
    const seen = await page.evaluate(() => [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)].join());
    assert.ok(!seen.includes('chs_') && !seen.includes('chl_'), seen);
    await page.goto(link);
    await page.getByText('This invitation was used').waitFor();
    await look('invitation-over');
    await page.getByRole('link', { name: 'Go on as you are' }).click();
    await heading('Overview').waitFor();
  });

  step('signing out ends the session, and the passkey begins another without a name', async () => {
    const before = await cookie();
    await signOut();
    assert.equal(await cookie(), undefined);
    await look('sign-in');
    // By keyboard: the button has the focus.
    await page.keyboard.press('Enter');
    await heading('Overview').waitFor();
    await page.getByText('alice@example.com').first().waitFor();
    const now = await cookie();
    assert.notEqual(now.value, before.value);
    await page.reload();
    await heading('Overview').waitFor();
  });

  step('recovery codes are shown once', async () => {
    await page.getByRole('link', { name: 'Your sign-in' }).click();
    await page.getByText('You have no recovery codes').waitFor();
    await button('Make codes').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('shown once').waitFor();
    codes = await dialog.locator('.codes code').allTextContents();
    assert.equal(codes.length, 10);
    await look('codes');
    await dialog.getByRole('button', { name: 'I have them' }).click();
    await page.getByText('10 codes are left.').waitFor();
    await look('you');
  });

  step('a passkey is renamed, and the command line sees the session', async () => {
    const names = ['work laptop', '"><img src=x onerror=alert(1)>', 'old laptop'];
    for (const [at, name] of names.entries()) {
      if (at === 0) continue;
      await button(`Rename ${names[at - 1]}`).click();
      await page.getByRole('dialog').getByLabel('Name').fill(name);
      await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
      await page.getByRole('table', { name: 'Passkeys' }).getByText(name, { exact: true }).waitFor();
      assert.equal(await page.locator('table img').count(), 0);
    }
    const sessions = await authority.command('owner', 'sessions', 'alice@example.com');
    assert.equal(sessions.items.length, 1);
  });

  step('a device holds one passkey, and another device another one', async () => {
    await button('Add a passkey').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('phone');
    await dialog.getByRole('button', { name: 'Make it' }).click();
    await dialog.getByText('This device has a passkey of yours already.').waitFor();
    await look('add');
    const { authenticatorId } = await device.cdp.send('WebAuthn.addVirtualAuthenticator', { options: { ...AUTHENTICATOR, transport: 'usb' } });
    await dialog.getByRole('button', { name: 'Make it' }).click();
    await page.getByRole('table', { name: 'Passkeys' }).getByText('phone').waitFor();
    await button('Revoke phone').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('phone was revoked.').waitFor();
    await device.cdp.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });
  });

  step('who signed in too long ago signs in again, and it goes on', async () => {
    // The clock of the authority is not ours to move, so its refusal is played once.
    const refusal = { status: 403, code: 'sign_in_again', title: 'this needs a sign-in of the last five minutes' };
    const answer = { status: 403, contentType: 'application/problem+json', body: JSON.stringify(refusal) };
    await page.route('**/v1/recovery-codes', (route) => (route.request().method() === 'POST' ? route.fulfill(answer) : route.continue()), { times: 1 });
    const before = await cookie();
    await button('Make new codes').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Make them' }).click();
    await page.getByRole('dialog').getByText('Sign in again').waitFor();
    await look('again');
    await page.getByRole('dialog').getByRole('button', { name: 'Use my passkey' }).click();
    await page.getByRole('dialog').locator('.codes').waitFor();
    codes = await page.getByRole('dialog').locator('.codes code').allTextContents();
    await page.getByRole('dialog').getByRole('button', { name: 'I have them' }).click();
    assert.notEqual((await cookie()).value, before.value);
  });

  step('on a lost device a recovery code leads to a new passkey and nowhere else', async () => {
    await signOut();
    await newDevice();
    await page.getByText('Other ways to sign in').click();
    await look('other-ways');
    await page.getByLabel('Recovery code').fill(codes[0]);
    await button('Use the code').click();
    await heading('A new passkey').waitFor();
    await look('recovery');
    const status = await page.evaluate(async () => (await fetch('/v1/agents')).status);
    assert.equal(status, 403);
    await page.getByLabel('Name of the passkey').fill('new laptop');
    await button('Make a passkey').click();
    await heading('Your sign-in').waitFor();
    await page.getByText('9 codes are left.').waitFor();
  });

  step('what was lost is revoked, with the codes that it made', async () => {
    await button('Revoke old laptop').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('You have no recovery codes').waitFor();
    assert.equal(await page.getByRole('table', { name: 'Passkeys' }).getByText('old laptop').count(), 0);
    await signOut();
    await page.getByText('Other ways to sign in').click();
    await page.getByLabel('Recovery code').fill(codes[1]);
    await button('Use the code').click();
    await page.getByText('That did not sign anybody in.').waitFor();
    await button('Sign in with a passkey').click();
    // The page that was left is the one that is shown.
    await heading('Your sign-in').waitFor();
  });

  step('an administrator invites and sees how others sign in', async () => {
    await page.getByRole('link', { name: 'Owners', exact: true }).click();
    await button('Invite alice@example.com').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('auditor').check();
    await dialog.getByRole('button', { name: 'Make the link' }).click();
    await dialog.getByText('#invite=chi_').waitFor();
    await look('link');
    await dialog.getByRole('button', { name: 'I have it' }).click();
    await page.getByRole('link', { name: 'alice@example.com' }).click();
    await page.getByRole('table', { name: 'Sessions' }).waitFor();
    await look('owner');
  });

  step('a page of another origin does nothing with the cookie', async () => {
    const { value } = await cookie();
    const ask = (headers) => fetch(`${authority.url}/v1/owners`, {
      method: 'POST', headers: { cookie: `${COOKIE}=${value}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ handle: 'mallory@example.com' }),
    });
    assert.equal((await ask({ 'sec-fetch-site': 'cross-site' })).status, 401);
    assert.equal((await ask({ origin: 'https://evil.example' })).status, 403);
    assert.equal((await ask({})).status, 401);
  });

  step('the command line ends the session, and the page says so', async () => {
    const { items } = await authority.command('owner', 'sessions', 'alice@example.com');
    for (const { id } of items) await authority.command('owner', 'end-session', 'alice@example.com', id, '--reason', 'a test');
    await page.getByRole('link', { name: 'Agents', exact: true }).click();
    await page.getByText('You are signed out').waitFor();
    await look('signed-out');
  });

  step('at the address, passkeys are said to be elsewhere', async () => {
    await page.goto(`${authority.url}/console/`);
    await button('Sign in with a passkey').click();
    await page.getByText(`Passkeys work at ${new URL(authority.console).origin}`).waitFor();
  });

  step('the record tells all of it and holds', async () => {
    await authority.verifyLog();
    assert.deepEqual(complaints, []);
  });
});
