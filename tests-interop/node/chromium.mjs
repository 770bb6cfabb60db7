// The browser of the suites about people: headless Chromium with an authenticator that it pretends to have. Without
// playwright-core or Chromium their steps are skipped and say so. With CHANCERY_PICTURES each page that a suite looks at is
// left as a picture in that folder.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];
const PICTURES = process.env.CHANCERY_PICTURES;
const PHONE = { width: 390, height: 844 };

/** The size of a page on a desk. */
export const DESKTOP = { width: 1280, height: 900 };

/** An authenticator in the device, which verifies its person. */
export const AUTHENTICATOR = {
  protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
  automaticPresenceSimulation: true,
};

const playwright = await import('playwright-core').catch(() => undefined);
const missing = [!playwright && 'playwright-core', !existsSync(CHROMIUM) && `Chromium at ${CHROMIUM}`].filter(Boolean);

/** Why there is no browser, when there is none. */
export const skip = missing.length > 0 && `not run: ${missing.join(' and ')} missing`;
if (skip) console.log(`browser: ${skip}`);

/** A step of a story; skipped, and counted as that, where there is no browser. */
export const step = (name, run) => test(name, { skip }, run);

export const launch = () => playwright.chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

/** Looks at the page in two widths: nothing may stick out, and a picture is left where they are wanted. */
export async function look(page, name) {
  for (const [kind, size] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    await page.setViewportSize(size);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= size.width, `${name} is ${width} wide on ${size.width}`);
    if (PICTURES) await page.screenshot({ path: join(PICTURES, `${name}-${kind}.png`), fullPage: true });
  }
  await page.setViewportSize(DESKTOP);
}
