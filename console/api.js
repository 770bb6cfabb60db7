// The one door to the authority: requests to the public API, its refusals, and what the caller signed in with.
//
// A person who signed in with a passkey is in a session of the browser: a cookie that no script can read, so all that is
// kept here is that there is one. A login secret lives in the session storage of this tab alone and travels only as a
// bearer token to the origin that served this page; while there is one, no cookie goes with it.

const BASE = new URL('../v1/', import.meta.url);
const KEY = 'chancery.login';
const COOKIE = 'chancery.session';

/** A refusal: the members of an RFC 9457 problem document, or a failure to reach the authority. */
export class Refusal extends Error {
  constructor({ status = 0, code, title, fix, problems, request_id }) {
    super(title);
    Object.assign(this, { status, code, fix, problems, requestId: request_id });
  }
}

export const session = {
  secret: () => sessionStorage.getItem(KEY),
  isBegun: () => Boolean(session.secret() ?? localStorage.getItem(COOKIE)),
  begin: (secret) => sessionStorage.setItem(KEY, secret),
  beginCookie: () => localStorage.setItem(COOKIE, 'begun'),
  end: () => {
    if (session.secret()) sessionStorage.removeItem(KEY);
    else localStorage.removeItem(COOKIE);
  },
};

/**
 * Takes a login or an invitation from the fragment (`#login=chl_…`, `#invite=chi_…`) and removes it from the address and
 * the history, so that it is neither bookmarked nor seen over a shoulder; answers `{ login, invite }`. Links come from
 * anybody, so what becomes of it is for the person to say who is there.
 */
export function takeFromAddress() {
  // A provider signed somebody in, and the browser has the cookie; whose it is, the authority says.
  if (location.hash === '#signed-in') {
    history.replaceState(null, '', `${location.pathname}${location.search}#/`);
    session.beginCookie();
    return {};
  }
  const found = /^#(login|invite)=([\w-]+)$/.exec(location.hash);
  if (found) history.replaceState(null, '', `${location.pathname}${location.search}#/`);
  return found ? { [found[1]]: found[2] } : {};
}

/** The pages at which a person is asked something. */
const QUESTIONS = ['/oauth/authorize', '/device'];

/**
 * Takes the question that a person came from to sign in (`?return=/oauth/authorize?…`, `?return=/device`) out of the
 * address. Links come from anybody, so nothing else is gone back to.
 */
export function takeQuestionFromAddress() {
  const wanted = new URLSearchParams(location.search).get('return');
  if (wanted === null) return undefined;
  history.replaceState(null, '', `${location.pathname}${location.hash}`);
  if (!QUESTIONS.some((path) => wanted === path || wanted.startsWith(`${path}?`))) return undefined;
  const url = new URL(wanted, location.origin);
  return url.origin === location.origin && QUESTIONS.includes(url.pathname) ? url.pathname + url.search : undefined;
}

/** Who would be signed in by `secret`; the login that is kept stays as it is. */
export const whoIs = (secret) => request('GET', 'whoami', { secret });

/** Ends the session of this browser, whatever login this tab holds. */
export const endSession = () => request('POST', 'sessions/current/end', { secret: null });

/** Asks what needs nobody to be signed in and answers with a cookie, whatever login this tab holds. */
export const postAsNobody = (where, body) => request('POST', where, { body, secret: null });

/** The path below `/v1/` of `parts`, each escaped. */
export const path = (...parts) => parts.map(encodeURIComponent).join('/');

export const get = (where, query, signal) => request('GET', where, { query, signal });
export const post = (where, body, headers) => request('POST', where, { body, headers });
export const put = (where, body, headers) => request('PUT', where, { body, headers });
export const remove = (where) => request('DELETE', where, {});

/** Every entry of a list, page after page, up to `most`; `isWhole` tells whether that was all. */
export async function all(where, query, signal, most = 2000) {
  const items = [];
  let after;
  do {
    const page = await get(where, { ...query, limit: 500, after }, signal);
    items.push(...page.items);
    after = page.next;
  } while (after && items.length < most);
  return { items, isWhole: !after };
}

/** What the authority says about its own API, fetched once. */
export function description() {
  known ??= fetch(new URL('../openapi.json', import.meta.url), { credentials: 'omit' })
    .then((answer) => answer.json())
    .catch(() => ({}));
  return known;
}
let known;

async function request(method, where, { query = {}, body, headers = {}, signal, secret = session.secret() }) {
  const url = new URL(where, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') url.searchParams.set(name, value);
  }
  const answer = await fetch(url, {
    method,
    signal,
    headers: {
      ...(secret && { authorization: `Bearer ${secret}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: 'no-store',
    credentials: secret ? 'omit' : 'same-origin',
    redirect: 'error',
  }).catch((error) => {
    if (error.name === 'AbortError') throw error;
    throw new Refusal({
      code: 'unreachable',
      title: 'The authority does not answer.',
      fix: 'Check that it runs (`chancery status`), then try again.',
    });
  });
  const parsed = await answer.json().catch(() => undefined);
  if (answer.ok) return parsed;
  // A passkey or a code that did not hold is the affair of whoever tried it, and ends nothing.
  if (answer.status === 401 && parsed?.code === 'unauthenticated' && session.secret() === secret) {
    const what = secret ? 'login' : session.isBegun() && 'session';
    session.end();
    dispatchEvent(new CustomEvent('signed-out', { detail: what }));
  }
  throw new Refusal({ title: `The authority answered ${answer.status}.`, ...parsed, status: answer.status });
}
