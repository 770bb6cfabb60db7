// The parts that pages are made of. Data becomes text nodes and attributes, never markup.

import { Refusal } from './api.js';

/**
 * An element: `h('a.quiet', { href }, 'text', child)`. Members named `on…` listen, members that are `true`
 * or `false` are flags, and what is null, undefined or false among the children is left out.
 */
export function h(name, ...rest) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(' ');
  const isAttributes = rest[0]?.constructor === Object;
  for (const [key, value] of Object.entries(isAttributes ? rest.shift() : {})) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'value') element.value = value;
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(key, value);
  }
  append(element, rest);
  return element;
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== undefined && child !== null && child !== false) element.append(child);
  }
}

/** `children` without an element around them. */
export function group(...children) {
  const fragment = document.createDocumentFragment();
  append(fragment, children);
  return fragment;
}

// What a person cannot see and a model reads: format and control characters, odd spaces, fillers,
// variation selectors, and everything private or unassigned. Line breaks and tabs are layout.
const INVISIBLE =
  /(?![\n\t])[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u00a0\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u202f\u205f\u2800\u3000\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]/gu;

/** `text` with every invisible character written out, as nodes; a run of one kind is counted. */
export function shown(text) {
  const nodes = [];
  let end = 0;
  let run;
  for (const match of String(text).matchAll(INVISIBLE)) {
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
    if (run && match.index === end && run.code === code) {
      run.count += 1;
      run.mark.textContent = `U+${code} × ${run.count}`;
    } else {
      if (match.index > end) nodes.push(text.slice(end, match.index));
      run = { code, count: 1, mark: h('span.invisible', { title: 'an invisible character' }, `U+${code}`) };
      nodes.push(run.mark);
    }
    end = match.index + match[0].length;
  }
  const rest = String(text).slice(end);
  if (rest) nodes.push(rest);
  return nodes;
}

const pad = (number) => String(number).padStart(2, '0');

/** A moment in local time, with UTC on hover; takes RFC 3339, or microseconds since the epoch. */
export function moment(at) {
  const date = new Date(typeof at === 'number' ? at / 1000 : at);
  if (Number.isNaN(date.getTime())) return h('span', ...shown(at));
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  const iso = date.toISOString();
  return h('time', { datetime: iso, title: `${iso} (UTC)` }, day, ' ', h('span.clock', time));
}

/** How far away a moment is, in words: `in 4 min`, `12 s ago`. */
export function distance(at) {
  const seconds = Math.round((new Date(at) - Date.now()) / 1000);
  const size = Math.abs(seconds);
  const [unit, length] = [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]].find(([, it]) => size >= it) ?? ['s', 1];
  const words = `${Math.round(size / length)} ${unit}`;
  return seconds > 0 ? `in ${words}` : `${words} ago`;
}

/** A digest, thumbprint or id: all of it to a reader and on hover, the beginning to the eye. */
export function short(text, length = 12) {
  const body = text.replace(/^sha256:/, '');
  if (body.length <= length + 4) return h('code.short', text);
  return h('code.short', { title: text }, `${text.slice(0, text.length - body.length + length)}…`);
}

/** A value in full, with a button that copies it. */
export function copied(text) {
  const button = h('button.copy', {
    type: 'button',
    onclick: async () => {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
      setTimeout(() => (button.textContent = 'Copy'), 2000);
    },
  }, 'Copy');
  return h('span.copied', h('code', ...shown(text)), ' ', button);
}

const TONES = {
  active: 'good', in_force: 'good', permit: 'good', ok: 'good', satisfied: 'good',
  draft: 'wait', pending: 'wait', verifying: 'wait',
  suspended: 'warn', error: 'bad', high: 'warn', restricted: 'warn',
  retired: 'off', superseded: 'off', rejected: 'off', disabled: 'off', not_satisfied: 'off', shipped: 'off',
  deny: 'bad', critical: 'bad',
};

/** A state as a word with a coloured mark. */
export function badge(word, tone = TONES[word] ?? 'plain') {
  return h(`span.badge.${tone}`, word.replaceAll('_', ' '));
}

/** The heading of a page, where focus goes on arrival, with the page's actions beside it. */
export function heading(title, { back, badge: mark, actions = [] } = {}) {
  return h('div.heading',
    back && h('a.back', { href: back.href }, '← ', back.text),
    h('div.row', h('h1', { tabindex: '-1' }, title), mark, h('div.actions', actions)));
}

export function section(title, ...children) {
  return h('section', h('h2', title), children);
}

/** Names and values; an absent value leaves its line out. */
export function facts(entries) {
  const lines = entries.filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false);
  return h('dl', lines.map(([name, value]) => h('div', h('dt', name), h('dd', Array.isArray(value) ? value : [value]))));
}

/**
 * A table that becomes cards on a narrow screen; the roles keep it a table to assistive technology there.
 * `columns` are names, `rows` lists of cells.
 */
export function table(label, columns, rows) {
  const head = h('tr', { role: 'row' }, columns.map((name) => h('th', { scope: 'col', role: 'columnheader' }, name)));
  const line = (cells) => h('tr', { role: 'row' },
    cells.map((cell, at) => h('td', { role: 'cell', 'data-label': columns[at] }, h('div', cell))));
  return h('table', { role: 'table', 'aria-label': label },
    h('thead', { role: 'rowgroup' }, head), h('tbody', { role: 'rowgroup' }, rows.map(line)));
}

/** What stands in place of a list that has no entries. */
export function empty(...words) {
  return h('div.empty', words);
}

export function notice(tone, ...children) {
  return h(`div.notice.${tone}`, children);
}

/** Words in which `code` between backticks is set as code. */
export function prose(text) {
  return text.split('`').map((part, at) => (at % 2 ? h('code', ...shown(part)) : shown(part)));
}

/** A refusal: what went wrong, and what to do about it. */
export function failure(error, again) {
  if (!(error instanceof Refusal)) console.error(error);
  const title = error instanceof Refusal ? error.message : 'The console could not show this.';
  return h('div.notice.bad', { role: 'alert' },
    h('p', h('strong', prose(sentence(title)))),
    error.fix && h('p', prose(sentence(error.fix))),
    error.code && h('p.small', 'Code ', h('code', error.code), error.requestId && [', request ', h('code', error.requestId)]),
    again && h('p', h('button', { type: 'button', onclick: again }, 'Try again')));
}

/** Words as a sentence: the API's are lower case and without a full stop. */
export function sentence(words) {
  const text = words.trim();
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

/** Says that something was done, to the eye and to a screen reader. */
export function tell(words) {
  const place = document.getElementById('told');
  place.replaceChildren(h('span', words));
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => place.replaceChildren(), 5000);
}

/** A labelled control; the hint is read with it. */
export function field(label, control, hint) {
  const id = control.id || `field-${(field.count = (field.count ?? 0) + 1)}`;
  control.id = id;
  if (hint) control.setAttribute('aria-describedby', `${id}-hint`);
  return h('div.field', h('label', { for: id }, label), control, hint && h('p.hint', { id: `${id}-hint` }, hint));
}

export function select(options, value, attributes = {}) {
  const list = options.map(([key, name]) => h('option', { value: key, selected: key === value }, name));
  return h('select', attributes, list);
}

/**
 * A dialog that does one thing: `act` runs on confirmation, its refusal is shown inside, and what it
 * answers is the answer of the dialog; undefined when the person thought better of it. Without an act
 * it tells something that only its button puts away.
 */
export function ask({ title, body = [], confirm, danger = false, act }) {
  return new Promise((resolve) => {
    const problem = h('div');
    const go = h(danger ? 'button.danger' : 'button.primary', { type: 'submit' }, confirm);
    const stop = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
    let answer;
    const submit = async (event) => {
      event.preventDefault();
      if (go.disabled) return;
      go.disabled = stop.disabled = true;
      try {
        answer = await act?.();
        dialog.close();
      } catch (error) {
        problem.replaceChildren(failure(error));
        go.disabled = stop.disabled = false;
      }
    };
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' },
      h('form', { onsubmit: submit }, h('h2', { id: 'dialog-title' }, title), body, problem, h('div.actions', act && stop, go)));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(answer);
    });
    // While a request is on its way its outcome decides, not the Escape key.
    dialog.addEventListener('cancel', (event) => (go.disabled || !act) && event.preventDefault());
    addEventListener('hashchange', () => dialog.close(), { once: true });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A dialog that wants a reason in words; `act` gets it. */
export function askReason({ act, body = [], ...rest }) {
  const words = h('textarea', { rows: 3, maxlength: 500, required: true, autofocus: true });
  const labelled = field('Reason', words, 'It goes into the record.');
  return ask({ ...rest, body: [body, labelled], act: () => act(words.value.replace(/\s+/g, ' ').trim()) });
}

/** Hands `value` to the person as a JSON file. */
export function download(name, value) {
  const url = URL.createObjectURL(new Blob([`${JSON.stringify(value, null, 2)}\n`], { type: 'application/json' }));
  h('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** JSON as text to read, closed until wanted. */
export function json(summary, value) {
  return h('details', h('summary', summary), h('pre', { tabindex: '0' }, ...shown(JSON.stringify(value, null, 2))));
}

/** Links to the beginning of a list and to what follows; `change` answers the address for a place. */
export function pager({ after, next, first = 'First page', further = 'Next page', change }) {
  if (!after && !next) return undefined;
  return h('nav.pager', { 'aria-label': 'Pages of the list' },
    after ? h('a', { href: change(undefined) }, first) : h('span'),
    next ? h('a', { href: change(next) }, further) : h('span.small', 'That is all.'));
}
