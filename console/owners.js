// Owners and how they sign in, and the keys that the authority signs with.

import { get, path, post } from './api.js';
import {
  ask, askReason, badge, copied, empty, field, group, h, heading, moment, notice, pager, section, select, shown,
  table, tell,
} from './dom.js';
import { fresh } from './fresh.js';
import { ofOwner } from './you.js';

const ROLES = [
  ['administrator', 'every administrative act'],
  ['approver', 'accepts, stops and resumes agents'],
  ['operator', 'stops agents, revokes tokens and grants'],
  ['auditor', 'reads everything'],
];

export async function owners({ params, signal, reload }) {
  const after = params.get('after') ?? undefined;
  const page = await get('owners', { after, limit: 50 }, signal);
  const rows = page.items.map((owner) => [
    owner.kind === 'person' ? h('a', { href: `#/owners/${encodeURIComponent(owner.handle)}` }, ...shown(owner.handle)) : shown(owner.handle),
    owner.kind,
    badge(owner.status),
    owner.members?.length ? shown(owner.members.join(', ')) : owner.kind === 'team' ? h('span.small', 'nobody') : h('span.small.none', '—'),
    moment(owner.created_at),
    owner.status === 'active' && h('span.actions',
      owner.kind === 'person' && h('button.small', { type: 'button', onclick: () => invite(owner), 'aria-label': `Invite ${owner.handle}` }, 'Invite'),
      owner.kind === 'person' && h('button.small', { type: 'button', onclick: () => login(owner), 'aria-label': `Give ${owner.handle} a login` }, 'Login'),
      h('button.small', { type: 'button', onclick: () => disable(owner, reload), 'aria-label': `Record that ${owner.handle} left` }, 'Has left')),
  ]);
  return group(
    heading('Owners', { actions: [h('button.primary', { type: 'button', onclick: () => add(reload) }, 'Add an owner')] }),
    h('p.lead', 'People and teams that answer for agents. An agent stops when nobody answers for it.'),
    rows.length ? table('Owners', ['Handle', 'Kind', 'Status', 'Members', 'Added', 'Actions'], rows) : empty(h('p', 'Nobody is known yet. Add a person or a team before the first agent.')),
    pager({ after, next: page.next, change: (place) => `#/owners${place ? `?after=${place}` : ''}` }),
  );
}

async function add(reload) {
  const handle = h('input', { required: true, autocomplete: 'off', spellcheck: 'false', autofocus: true });
  const members = h('input', { autocomplete: 'off', spellcheck: 'false' });
  const body = [
    field('Handle', handle, 'An e-mail address, or team: and a name.'),
    field('Members', members, 'For a team: the handles of its members, separated by spaces. A team that exists gets these members.'),
  ];
  const act = () => post('owners', { handle: handle.value.trim(), members: members.value.split(/[\s,]+/).filter(Boolean) });
  const owner = await ask({ title: 'Add an owner', confirm: 'Add', body, act });
  if (!owner) return;
  await reload();
  tell(`${owner.handle} was added.`);
}

async function disable(owner, reload) {
  const act = (reason) => post(path('owners', owner.handle, 'disable'), { reason });
  const body = h('p', 'All their ways to sign in end now, and agents that nobody else answers for stop.');
  if (!(await askReason({ title: `Record that ${owner.handle} left?`, confirm: 'Record it', danger: true, body, act }))) return;
  await reload();
  tell(`${owner.handle} is disabled.`);
}

/** How one person signs in. */
export async function detail(handle, { signal, reload }) {
  const [passkeys, sessions] = await Promise.all([
    get(path('owners', handle, 'passkeys'), {}, signal), get(path('owners', handle, 'sessions'), {}, signal),
  ]);
  const revoke = async (one) => {
    const act = (reason) => fresh(() => post(path('owners', handle, 'passkeys', one.id, 'revoke'), { reason }));
    const body = h('p', 'It signs nobody in any more, its sessions end, and so do the recovery codes that were made with it.');
    if (!(await askReason({ title: h('span', 'Revoke ', ...shown(one.name), '?'), confirm: 'Revoke', danger: true, body, act }))) return;
    await reload();
    tell('The passkey was revoked.');
  };
  const end = async (one) => {
    const act = (reason) => post(path('owners', handle, 'sessions', one.id, 'end'), { reason });
    if (!(await askReason({ title: 'End the session?', confirm: 'End it', act }))) return;
    await reload();
    tell('The session was ended.');
  };
  const actions = [h('button.primary', { type: 'button', onclick: () => invite({ handle }) }, 'Invite')];
  return group(heading(h('span', ...shown(handle)), { back: { href: '#/owners', text: 'Owners' }, actions }), ofOwner(passkeys.items, sessions.items, { revoke, end }));
}

/** Boxes for the roles, and what was chosen. */
function roleBoxes() {
  const boxes = ROLES.map(([role, words]) => {
    const box = h('input', { type: 'checkbox', id: `role-${role}`, name: role });
    return [box, h('p.check', box, ' ', h('label', { for: `role-${role}` }, role, ' ', h('span.small', words)))];
  });
  const chosen = () => boxes.filter(([box]) => box.checked).map(([box]) => box.name);
  return [h('fieldset', h('legend', 'Roles'), boxes.map(([, line]) => line)), chosen];
}

async function invite(owner) {
  const [boxes, chosen] = roleBoxes();
  const body = [
    h('p', 'A link by which they make a passkey, once. A later invitation takes the place of one that nobody followed.'), boxes,
  ];
  const act = () => fresh(() => post(path('owners', owner.handle, 'invitations'), { roles: chosen() }));
  const made = await ask({ title: h('span', 'Invite ', ...shown(owner.handle)), confirm: 'Make the link', body, act });
  if (!made) return;
  await ask({
    title: 'The link, shown once',
    confirm: 'I have it',
    body: [
      notice('warn', h('p', 'Hand it over on a channel that only they read: whoever opens it first makes a passkey in their name.')),
      h('p', copied(made.link)),
      h('p', ...shown(`${made.owner}: ${made.roles.join(', ')}; ends `), moment(made.expires_at)),
    ],
  });
}

async function login(owner) {
  const [boxes, chosen] = roleBoxes();
  const days = h('input', { type: 'number', min: 1, max: 90, value: '30', required: true });
  const body = [
    h('p', 'For programs and the command line. Whoever has it acts under this name; the record says that you had it made.'),
    boxes, field('Days', days, '90 at most.'),
  ];
  const act = () => fresh(() => post(path('owners', owner.handle, 'logins'), { roles: chosen(), lifetime: Number(days.value) * 86_400 }));
  const made = await ask({ title: `Give ${owner.handle} a login`, confirm: 'Make the login', body, act });
  if (!made) return;
  await ask({
    title: 'The login, shown once',
    confirm: 'I have it',
    body: [
      notice('warn', h('p', 'It is not kept and cannot be shown again. Hand it over on a channel that only they read.')),
      h('p', copied(made.token)),
      h('p', ...shown(`${made.owner}: ${made.roles.join(', ')}; ends `), moment(made.expires_at)),
      h('p.small', ...shown(`Issued by ${made.issued_by}; the record names it `), h('code', made.name)),
    ],
  });
}

const PURPOSES = {
  access_token: 'Signs access tokens.',
  document: 'Signs the versions of identity documents.',
  log: 'Signs the checkpoints of the record. It stays for the life of the log.',
};

export async function keys({ signal, reload }) {
  const page = await get('keys', {}, signal);
  const purposes = Object.keys(PURPOSES).filter((purpose) => page.items.some((key) => key.purpose === purpose));
  return group(
    heading('Keys', { actions: [h('button', { type: 'button', onclick: () => rotate(reload) }, 'Rotate a key')] }),
    purposes.map((purpose) => section(purpose.replaceAll('_', ' '), h('p', PURPOSES[purpose]), table(`Keys: ${purpose}`,
      ['Thumbprint', 'Algorithm', 'Status', 'Made', 'Verifies until'],
      page.items.filter((key) => key.purpose === purpose).map((key) => [
        copied(key.kid), key.alg, badge(key.status), moment(key.created_at),
        key.verifies_until ? moment(key.verifies_until) : h('span.small', 'as long as it signs'),
      ])))),
  );
}

async function rotate(reload) {
  const purpose = select([['access_token', 'access token'], ['document', 'document']], 'access_token');
  const body = [
    h('p', 'A new key signs from now on. The one before verifies what it signed until that has ended, so nothing breaks.'),
    field('What it signs', purpose),
  ];
  const key = await ask({ title: 'Rotate a key', confirm: 'Rotate', body, act: () => post('keys/rotate', { purpose: purpose.value }) });
  if (!key) return;
  await reload();
  tell('A new key signs from now on.');
}
