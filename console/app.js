// The frame: signing in and out, the pages by their addresses, and what is around every page.
//
// A page is a function of its parameters that answers with its content once all of it is known; until
// then the page before stays, so nothing jumps.

import { endSession, get, session, takeFromAddress, takeQuestionFromAddress, whoIs } from './api.js';
import { ask, failure, h, shown, tell } from './dom.js';
import * as agents from './agents.js';
import * as overview from './overview.js';
import * as owners from './owners.js';
import * as policies from './policies.js';
import * as record from './record.js';
import * as servers from './servers.js';
import { invitationPage, signInPage } from './sign-in.js';
import * as you from './you.js';

const PAGES = [
  { name: 'Overview', at: '', show: overview.overview },
  { name: 'Agents', at: 'agents', show: agents.list, detail: agents.detail },
  { name: 'Tool servers', at: 'servers', show: servers.list, detail: servers.detail },
  { name: 'Policies', at: 'policies', show: policies.list, detail: policies.detail },
  { name: 'Record', at: 'record', show: record.list, detail: record.detail },
  { name: 'Owners', at: 'owners', show: owners.owners, detail: owners.detail },
  { name: 'Keys', at: 'keys', show: owners.keys },
  { name: 'Your sign-in', at: 'you', show: you.you, isAside: true },
];

const main = document.getElementById('main');
const side = document.getElementById('side');
const menu = document.getElementById('menu');
const progress = document.getElementById('progress');

let underway = new AbortController();

// The address of the page that is shown; undefined until there was one, and while nobody is signed in.
let shownAt;

// The question of an agent that the person came from to sign in.
let question = takeQuestionFromAddress();

// Who is signed in, as far as that is known.
let me;

/** Shows the page that the address names; `isArrival` when the person went there just now. */
async function show(isArrival) {
  if (!session.isBegun()) return signIn();
  if (me?.signed_in_with === 'recovery_code') return recover();
  if (question) return goOn();
  underway.abort();
  const { signal } = (underway = new AbortController());
  const [where, query] = location.hash.replace(/^#\/?/, '').split('?');
  let [at, ...rest] = where.split('/').map(decodeURIComponentSafely);
  // Whom a provider signed in has no role, and so nothing to see on the overview.
  if (at === '' && me?.signed_in_with === 'provider') at = 'you';
  const page = PAGES.find((page) => page.at === at);
  const waiting = setTimeout(() => {
    progress.hidden = false;
    main.setAttribute('aria-busy', 'true');
    if (shownAt === undefined) main.replaceChildren(h('p.loading', 'Loading…'));
  }, shownAt === undefined ? 0 : 150);
  let content;
  try {
    const context = { signal, params: new URLSearchParams(query), reload: () => show(false) };
    if (!page || (rest.length && !page.detail)) content = missing();
    else content = await (rest.length ? page.detail(rest.join('/'), context) : page.show(context));
  } catch (error) {
    if (signal.aborted || error.status === 401) return;
    content = h('div', h('h1', { tabindex: '-1' }, page?.name ?? 'Chancery'), failure(error, isPassing(error) && (() => show(false))),
      page && rest.length > 0 && h('p', h('a', { href: `#/${page.at}` }, `Back to ${page.name.toLowerCase()}`)));
  } finally {
    clearTimeout(waiting);
    if (!signal.aborted) {
      progress.hidden = true;
      main.removeAttribute('aria-busy');
    }
  }
  if (signal.aborted) return;
  main.replaceChildren(content);
  const title = main.querySelector('h1');
  document.title = `${title?.textContent ?? 'Page'} · Chancery`;
  mark(page);
  if (isArrival && shownAt !== undefined) {
    scrollTo(0, 0);
    title?.focus({ preventScroll: true });
  } else if (shownAt !== undefined && document.activeElement === document.body) {
    // The control that had the focus was replaced together with the page.
    title?.focus({ preventScroll: true });
  }
  shownAt = where;
}

/** Whether trying again may help. */
const isPassing = ({ status }) => status === undefined || status === 0 || status === 429 || status >= 500;

function missing() {
  return h('div', h('h1', { tabindex: '-1' }, 'There is no such page'), h('p', h('a', { href: '#/' }, 'Go to the overview')));
}

function decodeURIComponentSafely(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function mark(page) {
  for (const link of document.querySelectorAll('#side a')) {
    if (link.dataset.at === page?.at) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

/** Begins with the login that is kept, or else with the one in the address. */
async function arrive() {
  const { login: secret, invite } = takeFromAddress();
  if (invite) return follow(invite);
  const isSomebody = session.isBegun();
  if (secret && !isSomebody) session.begin(secret);
  await enter();
  if (secret && isSomebody && secret !== session.secret()) await offer(secret);
}

/**
 * Begins with the login that is kept: one question tells whether it holds, so that one that does not
 * is refused, and recorded as refused, once.
 */
async function enter() {
  me = undefined;
  if (!session.isBegun()) return signIn();
  if (shownAt === undefined) main.replaceChildren(h('p.loading', 'Loading…'));
  showFrame();
  try {
    showWho(await get('whoami'));
  } catch (error) {
    if (error.status !== 401) main.replaceChildren(h('h1', { tabindex: '-1' }, 'Chancery'), failure(error, enter));
    return;
  }
  await show(true);
}

/** Shows the invitation of a link; whoever is signed in already is told, and may stay. */
async function follow(invitation) {
  if (session.isBegun() && !me) me = await get('whoami').catch(() => undefined);
  const stays = session.isBegun() ? me : undefined;
  outside();
  main.replaceChildren(h('p.loading', 'Loading…'));
  const leave = (event) => {
    event.preventDefault();
    enter();
  };
  const signedIn = (who) => {
    begun(who);
    location.hash = '#/you';
    tell('Your passkey is enrolled, and you are signed in.');
  };
  main.replaceChildren(await invitationPage({ invitation, me: stays && nameOf(stays), signedIn, leave }));
  document.title = 'Invitation · Chancery';
  main.querySelector('h1')?.focus({ preventScroll: true });
}

/**
 * Lets the person go on to the question that they came from. They go by themselves: a link of anybody brought them here, and
 * must not have a question answered by what was consented to before.
 */
function goOn() {
  const href = question;
  outside();
  document.title = 'An agent asks · Chancery';
  const notNow = (event) => {
    event.preventDefault();
    question = undefined;
    enter();
  };
  main.replaceChildren(h('div.sign-in',
    h('h1', { tabindex: '-1' }, 'An agent asks to act in your name'),
    h('p.lead', 'You are signed in as ', h('strong', ...shown(me ? nameOf(me) : 'somebody')), '. Read what it asks before you decide.'),
    h('p', h('a.button.primary.wide', { href }, 'See the question')),
    h('p', h('a', { href: '#/', onclick: notNow }, 'Not now'))));
  main.querySelector('a')?.focus();
}

/** The one page of whoever signed in by a recovery code. */
function recover() {
  const who = me;
  outside();
  document.title = 'A new passkey · Chancery';
  const enrolled = async () => {
    await enter();
    location.hash = '#/you';
    tell('Your new passkey is enrolled.');
  };
  main.replaceChildren(you.recover({ me: who, enrolled, leave: () => leave() }));
  main.querySelector('input')?.focus();
}

/** Signs in by the login of a link; whoever is signed in already is asked when it is somebody else's. */
async function offer(secret) {
  // The login that was kept is over.
  if (!session.isBegun()) return begin(secret);
  const next = await whoIs(secret).catch((error) => error);
  if (next instanceof Error) return tell(next.status === 401 ? 'The login of that link is not valid. You stay signed in.' : next.message);
  if (me && nameOf(me) === nameOf(next)) return begin(secret);
  await ask({
    title: h('span', 'Sign in as ', ...shown(nameOf(next)), '?'),
    body: h('p', 'You are signed in as ', h('strong', ...shown(me ? nameOf(me) : 'somebody else')), '. The link that was opened carries another login: go on only if you asked for it.'),
    confirm: 'Sign in',
    act: () => begin(secret),
  });
}

async function begin(secret) {
  session.begin(secret);
  await enter();
}

/** The links, and room for who is signed in. */
function showFrame() {
  side.hidden = menu.hidden = false;
  document.body.classList.add('signed-in');
  const links = PAGES.filter((page) => !page.isAside).map(({ name, at }) => h('li', h('a', { href: `#/${at}`, 'data-at': at }, name)));
  document.getElementById('nav').replaceChildren(h('ul', links));
  const who = document.getElementById('who');
  const out = h('button.quiet', { type: 'button', onclick: () => leave() }, 'Sign out');
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const own = h('a', { href: '#/you', 'data-at': 'you' }, 'Your sign-in');
  who.replaceChildren(h('p.name', '\u00a0'), own, out, h('p.small', `Times are in ${zone}.`));
}

const nameOf = ({ kind, id }) => (kind === 'local_administrator' ? 'Local administrator' : id);

function showWho(who) {
  me = who;
  const { roles = [] } = who;
  const name = h('strong', nameOf(who));
  document.querySelector('#who .name').replaceChildren(name, ...(roles.length ? [h('br'), h('span.small', roles.join(', '))] : []));
}

async function leave() {
  // A login is forgotten here. A session is ended by the authority, which takes its cookie from the browser: until it has
  // answered, the person is still signed in, and is told so.
  if (session.secret()) session.end();
  try {
    if (session.isBegun()) await endSession();
  } catch (error) {
    if (error.status !== 401) return tell(`You are still signed in. ${error.message}`);
  }
  session.end();
  signIn();
  tell('Signed out.');
}

/** Takes away what is around a page for whoever is signed in. */
function outside() {
  underway.abort();
  shownAt = undefined;
  side.hidden = menu.hidden = progress.hidden = true;
  main.removeAttribute('aria-busy');
  document.body.classList.remove('signed-in');
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
}

/** Somebody has just signed in. */
function begun(who) {
  shownAt = '';
  if (who.signed_in_with === 'recovery_code') {
    me = who;
    return recover();
  }
  showFrame();
  showWho(who);
  return show(true);
}

/** The page that signs in; `why` is shown above it. */
function signIn(why) {
  me = undefined;
  outside();
  document.title = 'Sign in · Chancery';
  main.replaceChildren(signInPage({ why, signedIn: begun, next: question }));
  main.querySelector('button')?.focus();
}

menu.addEventListener('click', () => openMenu(menu.getAttribute('aria-expanded') !== 'true'));
addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && menu.getAttribute('aria-expanded') === 'true') {
    openMenu(false);
    menu.focus();
  }
});
function openMenu(open) {
  menu.setAttribute('aria-expanded', String(open));
  side.classList.toggle('open', open);
}

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener('signed-out', (event) => {
  const why = { login: 'That login is not valid, or no longer. Get a new one.', session: 'Your session is over. Sign in again.' };
  signIn(why[event.detail]);
});
addEventListener('hashchange', () => {
  openMenu(false);
  if (/^#(login|invite)=/.test(location.hash)) arrive();
  else show(true);
});

arrive();
