// How the person who is signed in signs in: their passkeys, recovery codes and sessions.

import { get, path, post, postAsNobody, session } from './api.js';
import { ask, badge, download, empty, field, group, h, heading, moment, notice, section, shown, table, tell } from './dom.js';
import { fresh } from './fresh.js';
import * as passkey from './passkey.js';
import { doing, nameOfDevice } from './sign-in.js';

const WITH = { passkey: 'passkey', recovery_code: 'recovery code', provider: 'provider' };

/** `act` of a button: its refusal is told where there is no dialog that shows it. */
function pressing(act) {
  return async () => {
    try {
      await act();
    } catch (error) {
      tell(`${error.message}`);
    }
  };
}

export async function you({ signal, reload }) {
  const me = await get('whoami', {}, signal);
  if (me.signed_in_with === 'provider') return byProvider(me, { signal, reload });
  if (me.signed_in_with !== 'passkey') return without(me);
  const [passkeys, codes, sessions, links, options] = await Promise.all([
    get('passkeys', {}, signal), get('recovery-codes', {}, signal), get('sessions', {}, signal), get('links', {}, signal), postAsNobody('sign-in/options'),
  ]);
  return group(
    heading('Your sign-in', { actions: [h('button.primary', { type: 'button', onclick: pressing(() => add(reload)) }, 'Add a passkey')] }),
    h('p.lead', ...shown(`${me.id}, ${(me.roles ?? []).join(', ')}`)),
    codes.left === 0 && notice('warn', h('p', 'You have no recovery codes. Without one, a lost passkey means asking for a new invitation.')),
    section('Passkeys', passkeyTable(passkeys.items, (one) => [
      h('button.small', { type: 'button', onclick: () => rename(one, reload), 'aria-label': `Rename ${one.name}` }, 'Rename'),
      h('button.small.danger', { type: 'button', onclick: () => revoke(one, passkeys.items.length, reload), 'aria-label': `Revoke ${one.name}` }, 'Revoke'),
    ])),
    section('Recovery codes',
      h('p', codes.left === 1 ? 'One code is left.' : `${codes.left || 'No'} codes are left.`, ' Each is good once, for enrolling a new passkey when all are lost.'),
      h('p.after', h('button', { type: 'button', onclick: pressing(() => makeCodes(codes.left, reload)) }, codes.left ? 'Make new codes' : 'Make codes'))),
    options.providers?.length > 0 && section('Providers', linkTable(links.items),
      options.providers.map((name) => h('p.after', h('button', { type: 'button', onclick: pressing(() => link(name)) }, 'Link ', ...shown(name))))),
    section('Sessions', ownSessions(sessions.items, reload)),
  );
}

function ownSessions(items, reload) {
  return sessionTable(items, (one) => one.current
    ? badge('this one', 'good')
    : h('button.small', { type: 'button', onclick: pressing(() => end(one, reload)) }, 'End'));
}

/** What stands here for whoever a provider signed in. */
async function byProvider(me, { signal, reload }) {
  const [sessions, links] = await Promise.all([get('sessions', {}, signal), get('links', {}, signal)]);
  return group(
    heading('Your sign-in'),
    h('p.lead', ...shown(me.id)),
    notice('info', h('p', 'A provider signed you in. What roles are for takes a passkey, which an administrator invites you to make.')),
    section('Providers', linkTable(links.items)),
    section('Sessions', ownSessions(sessions.items, reload)),
  );
}

function linkTable(items) {
  if (!items.length) return empty(h('p', 'No provider knows you.'));
  return table('Providers', ['Provider', 'It calls you', 'As', 'It last said you are there'], items.map((one) => [
    h('strong', ...shown(one.provider ?? one.issuer)), h('code', ...shown(one.subject)), one.known_as ? shown(one.known_as) : h('span.small.none', '—'),
    one.vouched_at ? moment(one.vouched_at) : h('span.small', 'not yet'),
  ]));
}

/** Sends the browser to the provider; it is linked when the person comes back. */
async function link(name) {
  const begun = await fresh(() => post('links', { provider: name }));
  if (begun) location.assign(begun.location);
}

/** What stands here for whoever signed in otherwise. */
function without(me) {
  const words = me.kind === 'local_administrator'
    ? 'The local administrator is whoever can read the data folder, and has no passkey. Add yourself as a person and invite yourself: then what you do is recorded under your name.'
    : 'You signed in with a login secret, which somebody else had made. A passkey is yours alone: ask an administrator to invite you.';
  return group(heading('Your sign-in'), empty(h('p', words)));
}

export function passkeyTable(items, actions) {
  if (!items.length) return empty(h('p', 'No passkey.'));
  return table('Passkeys', ['Name', 'May act as', 'Enrolled', 'Used last', 'Kept', 'Actions'], items.map((one) => [
    h('strong', ...shown(one.name)), one.roles.join(', '), moment(one.created_at),
    one.used_at ? moment(one.used_at) : h('span.small', 'not yet'),
    one.synced ? 'may be synced' : 'on one device', h('span.actions', actions(one)),
  ]));
}

export function sessionTable(items, action) {
  if (!items.length) return empty(h('p', 'No session.'));
  return table('Sessions', ['Signed in with', 'Began', 'Used last', 'Ends', 'Actions'], items.map((one) => [
    one.provider ? shown(one.provider) : WITH[one.signed_in_with] ?? one.signed_in_with, moment(one.began_at), moment(one.used_at), moment(one.ends_at), action(one),
  ]));
}

async function add(reload) {
  const name = h('input', { required: true, maxlength: 60, autocomplete: 'off', autofocus: true, value: nameOfDevice() });
  // The sign-in that may be needed comes before the dialog, so that there is only ever one.
  if (!(await fresh(() => post('passkeys/options')))) return;
  const made = await ask({
    title: 'Add a passkey', confirm: 'Make it', body: [h('p', 'On this device, or on a phone or a security key that the browser offers.'), field('Name', name)],
    act: async () => post('passkeys', { name: name.value, credential: await passkey.create(await post('passkeys/options')) }),
  });
  if (!made) return;
  await reload();
  tell(`${made.name} was added.`);
}

async function rename(one, reload) {
  const name = h('input', { required: true, maxlength: 60, autocomplete: 'off', autofocus: true, value: one.name });
  const act = () => post(path('passkeys', one.id, 'rename'), { name: name.value });
  if (!(await ask({ title: 'Rename the passkey', confirm: 'Rename', body: field('Name', name), act }))) return;
  await reload();
}

async function revoke(one, all, reload) {
  const body = [
    h('p', 'It signs nobody in any more, its sessions end, and so do the recovery codes that were made with it.'),
    all === 1 && notice('warn', h('p', 'It is your last one: add another first, or you need a new invitation.')),
  ];
  const sure = await ask({ title: h('span', 'Revoke ', ...shown(one.name), '?'), confirm: 'Revoke', danger: true, body, act: async () => true });
  if (!sure) return;
  try {
    if (!(await fresh(() => post(path('passkeys', one.id, 'revoke'))))) return;
  } catch (error) {
    tell(error.message);
    return;
  }
  tell(`${one.name} was revoked.`);
  await reload();
}

async function makeCodes(left, reload) {
  if (left) {
    const body = h('p', `The ${left} that you have are void from then on.`);
    if (!(await ask({ title: 'Make new recovery codes?', confirm: 'Make them', body, act: async () => true }))) return;
  }
  const made = await fresh(() => post('recovery-codes'));
  if (!made) return;
  await ask({
    title: 'Recovery codes, shown once',
    confirm: 'I have them',
    body: [
      notice('warn', h('p', 'They are not kept and cannot be shown again. Print them, or write them down, and keep them away from this device.')),
      h('ul.codes', made.codes.map((code) => h('li', h('code', code)))),
      h('p', h('button', { type: 'button', onclick: () => download('chancery-recovery-codes.json', made) }, 'Save as a file')),
    ],
  });
  await reload();
}

async function end(one, reload) {
  await post(path('sessions', one.id, 'end'));
  await reload();
  tell('The session was ended.');
}

/** The one page of whoever signed in by a recovery code. */
export function recover({ me, enrolled, leave }) {
  const name = h('input', { required: true, maxlength: 60, autocomplete: 'off', value: nameOfDevice() });
  const problem = h('div');
  const button = h('button.primary.wide', { type: 'submit' }, 'Make a passkey');
  const act = async () => {
    const credential = await passkey.create(await post('passkeys/options'));
    await post('passkeys', { name: name.value, credential });
    session.beginCookie();
    enrolled();
  };
  return h('div.sign-in',
    h('h1', { tabindex: '-1' }, 'A new passkey'),
    h('p.lead', 'You signed in by a recovery code, as ', h('strong', ...shown(me.id)), '. It is for enrolling a new passkey, within a quarter of an hour; then revoke what you lost.'),
    h('form', { onsubmit: doing(button, problem, act) }, field('Name of the passkey', name), problem, button),
    h('p', h('button.quiet', { type: 'button', onclick: leave }, 'Sign out')));
}

/** How another person signs in, for whoever manages owners; `revoke` and `end` ask for a reason. */
export function ofOwner(passkeys, sessions, { revoke: revokeOf, end: endOf }) {
  return group(
    section('Passkeys', passkeyTable(passkeys, (one) => h('button.small.danger', { type: 'button', onclick: () => revokeOf(one), 'aria-label': `Revoke ${one.name}` }, 'Revoke'))),
    section('Sessions', sessionTable(sessions, (one) => h('button.small', { type: 'button', onclick: () => endOf(one) }, 'End'))),
  );
}

