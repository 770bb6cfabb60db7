// The one door to the authority: requests to the public API, its refusals, and the login secret.
//
// The secret lives in the session storage of this tab alone and travels only as a bearer token to the
// origin that served this page.

const BASE = new URL('../v1/', import.meta.url);
const KEY = 'chancery.login';

/** A refusal: the members of an RFC 9457 problem document, or a failure to reach the authority. */
export class Refusal extends Error {
  constructor({ status = 0, code, title, fix, problems, request_id }) {
    super(title);
    Object.assign(this, { status, code, fix, problems, requestId: request_id });
  }
}

export const session = {
  secret: () => sessionStorage.getItem(KEY),
  begin: (secret) => sessionStorage.setItem(KEY, secret),
  end: () => sessionStorage.removeItem(KEY),
};

/**
 * Takes a login from the fragment (`#login=chl_…`) and removes it from the address and the history,
 * so that it is neither bookmarked nor seen over a shoulder; answers it when there was one. Links come
 * from anybody, so what becomes of it is for the person to say who is signed in.
 */
export function takeLoginFromAddress() {
  const found = /^#login=([\w-]+)$/.exec(location.hash);
  if (found) history.replaceState(null, '', `${location.pathname}${location.search}#/`);
  return found?.[1];
}

/** Who would be signed in by `secret`; the login that is kept stays as it is. */
export const whoIs = (secret) => request('GET', 'whoami', { secret });

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
    credentials: 'omit',
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
  if (answer.status === 401 && session.secret() === secret) {
    session.end();
    dispatchEvent(new CustomEvent('signed-out', { detail: Boolean(secret) }));
  }
  throw new Refusal({ title: `The authority answered ${answer.status}.`, ...parsed, status: answer.status });
}
