// The browser of a person, as far as these suites need one: it signs in by a header, reads the page that asks, ticks
// tools and presses a button.

import assert from 'node:assert/strict';

const ENTITIES = { '&quot;': '"', '&#39;': "'", '&lt;': '<', '&gt;': '>', '&amp;': '&' };
const plain = (text) => text.replaceAll(/&(?:quot|#39|lt|gt|amp);/g, (entity) => ENTITIES[entity]);
const attribute = (tag, name) => plain(new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1] ?? '');

export class Browser {
  constructor(login) {
    this.headers = { authorization: `Bearer ${login}` };
  }

  /** Opens the page that a client sends its person to. */
  async open(url) {
    const response = await fetch(url, { headers: this.headers, redirect: 'manual' });
    return { url, status: response.status, text: await response.text() };
  }

  /** Agrees to `tools` on a page; answers with where the browser is sent, or the page that it stays at. */
  async agree(page, ...tools) {
    assert.equal(page.status, 200, page.text);
    const form = this.#form(page, 'approve');
    for (const [, tag, tool] of page.text.matchAll(/(<input type="checkbox"[^>]*>) <bdi>([^<]*)/g)) {
      if (tools.includes(plain(tool))) form.append(attribute(tag, 'name'), 'on');
    }
    return this.#send(page, form);
  }

  /** Answers the question whether a registered agent may act, with `approve` or `deny`. */
  async answer(page, answer) {
    assert.equal(page.status, 200, page.text);
    return this.#send(page, this.#form(page, answer));
  }

  /** Sends the code that stands on the page for it; answers with the page that asks. */
  async enter(page) {
    assert.equal(page.status, 200, page.text);
    const [tag] = /<input id="user_code"[^>]*>/.exec(page.text);
    const form = new URLSearchParams({ user_code: attribute(tag, 'value') });
    const { origin } = new URL(page.url);
    const url = new URL('/device', page.url);
    const response = await fetch(url, { method: 'POST', headers: { ...this.headers, origin }, body: form });
    return { url, status: response.status, text: await response.text() };
  }

  #form(page, answer) {
    const form = new URLSearchParams({ answer });
    for (const [tag] of page.text.matchAll(/<input type="hidden"[^>]*>/g)) {
      form.append(attribute(tag, 'name'), attribute(tag, 'value'));
    }
    return form;
  }

  /** Sends the form to where the page says; answers with where the browser is sent, or the page that it stays at. */
  async #send(page, form) {
    const { origin } = new URL(page.url);
    const [tag] = /<form [^>]*>/.exec(page.text);
    const response = await fetch(new URL(attribute(tag, 'action'), page.url), {
      method: 'POST',
      headers: { ...this.headers, origin },
      body: form,
      redirect: 'manual',
    });
    const location = response.headers.get('location');
    return { location: location && new URL(location), text: await response.text() };
  }
}
