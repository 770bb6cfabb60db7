// The console in a browser: a person signs in by the link that carries the login, finds an agent, suspends
// it and reads the receipt. `node --test node/console.test.mjs` with CHANCERY_BIN, where `npm ci` was run; without
// playwright-core or Chromium it is skipped and says so.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];
const LIMIT_MS = 15_000;

const playwright = await import('playwright-core').catch(() => undefined);
const missing = [!playwright && 'playwright-core', !existsSync(CHROMIUM) && `Chromium at ${CHROMIUM}`].filter(Boolean);
const skip = missing.length > 0 && `not run: ${missing.join(' and ')} missing`;
if (skip) console.log(`console: ${skip}`);

/** A step of the story; skipped, and counted as that, where there is no browser. */
const step = (name, run) => test(name, { skip }, run);

describe('the console', () => {
  let authority;
  let browser;
  let page;
  let agent;
  let login;
  const complaints = [];

  before(async () => {
    if (skip) return;
    const { Authority } = await import('./authority.mjs');
    authority = await Authority.start();
    agent = await authority.registerAgent({ name: 'desk' }, 'refund');
    login = (await authority.command('owner', 'login', 'alice@example.com', '--role', 'administrator')).token;
    browser = await playwright.chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    page = await browser.newPage();
    page.setDefaultTimeout(LIMIT_MS);
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  });
  after(async () => {
    await browser?.close();
    await authority?.stop();
  });

  step('asks for a login without one', async () => {
    await page.goto(`${authority.url}/console/`);
    await page.getByText('Other ways to sign in').click();
    await page.getByLabel('Login secret').waitFor();
  });

  step('the link signs in, and the secret is gone from the address', async () => {
    // The fragment alone would not load the page anew.
    await page.goto('about:blank');
    await page.goto(`${authority.url}/console/#login=${login}`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    assert.ok(!page.url().includes(login), 'the secret is still in the address');
    await page.getByText('alice@example.com').waitFor();
  });

  step('the table of agents shows the agent', async () => {
    await page.getByRole('link', { name: 'Agents', exact: true }).click();
    const row = page.getByRole('table', { name: 'Agents' }).getByRole('row').filter({ hasText: agent.name });
    await row.getByText('active').waitFor();
  });

  step('a stop shows its receipt, and the receipt holds', async (t) => {
    await page.getByRole('link', { name: agent.name }).click();
    await page.getByRole('button', { name: 'Suspend' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill('it asked for what it should not');
    await dialog.getByRole('button', { name: 'Suspend' }).click();

    const receipt = page.getByRole('region', { name: 'Receipt' });
    await receipt.getByText('What stopped').waitFor();
    await receipt.getByRole('table', { name: 'What may still run' }).waitFor();
    await page.getByRole('button', { name: 'Resume' }).waitFor();

    const [download] = await Promise.all([page.waitForEvent('download'), receipt.getByRole('button', { name: /Download/ }).click()]);
    const file = await download.path();
    const stopped = JSON.parse(await readFile(file, 'utf8'));
    assert.equal(stopped.status, 'suspended');
    assert.equal(stopped.id, agent.id);
    await authority.command('log', 'verify', '--receipt', file);
    t.diagnostic(`receipt of entry ${stopped.receipt.index} verified`);
  });

  step('nothing ran against the policy of the page', () => {
    assert.deepEqual(complaints, []);
  });
});
