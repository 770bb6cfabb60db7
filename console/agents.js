// Agents: the list, and one agent with its document, its versions and the acts upon it.

import { get, path, post } from './api.js';
import {
  ask, askReason, badge, copied, distance, download, empty, facts, group, h, heading, json, moment, notice,
  pager, prose, section, sentence, short, shown, table, tell,
} from './dom.js';
import { eventTable, fromRecord } from './record.js';

const STATUSES = ['active', 'draft', 'suspended', 'retired'];

// What the last stop answered, shown with its agent until the person goes elsewhere.
let stopped;

export const agentLink = ({ id, name }) => h('a.name', { href: `#/agents/${id}` }, ...shown(name));

export async function list({ params, signal }) {
  const status = params.get('status') ?? '';
  const after = params.get('after') ?? undefined;
  const page = await get('agents', { status, after, limit: 50 }, signal);
  stopped = undefined;
  const address = (status, after) => {
    const query = new URLSearchParams({ ...(status && { status }), ...(after && { after }) });
    return `#/agents${query.size ? `?${query}` : ''}`;
  };
  const choice = (value, name) =>
    h('a', { href: address(value), 'aria-current': value === status ? 'true' : undefined }, name);
  const rows = page.items.map((agent) => [
    agentLink(agent),
    h('span.badges', badge(agent.status), agent.pending_version && agent.status !== 'draft' && badge('pending')),
    shown(agent.owner),
    [`${agent.version_number} `, short(agent.version, 8)],
    agent.document.model ? shown(agent.document.model.name) : h('span.small.none', 'not declared'),
    moment(agent.updated_at),
  ]);
  return group(
    heading('Agents'),
    h('nav.filter', { 'aria-label': 'Agents by status' }, choice('', 'All'), STATUSES.map((value) => choice(value, sentence(value).slice(0, -1)))),
    rows.length
      ? table('Agents', ['Name', 'Status', 'Owner', 'Version', 'Model', 'Changed'], rows)
      : empty(status || after
        ? h('p', status ? `No agent is ${status === 'draft' ? 'a draft' : status}.` : 'No further agents.')
        : [h('p', 'No agent is registered yet.'), h('p', 'Write down what the agent is, then register it: ', h('code', 'chancery agent register agent.yaml'))]),
    pager({ after, next: page.next, change: (place) => address(status, place) }),
  );
}

export async function detail(name, { signal, reload }) {
  const agent = await get(path('agents', name), {}, signal);
  const [versions, events] = await Promise.all([
    get(path('agents', agent.id, 'versions'), { limit: 100 }, signal),
    fromRecord(() => get('events', { agent: agent.id, newest: true, limit: 10 }, signal), (page) => lately(agent, page.items)),
  ]);
  if (stopped?.id !== agent.id) stopped = undefined;
  const pending = versions.items.find((version) => version.number === agent.pending_version);
  return group(
    heading(shown(agent.name), { back: { href: '#/agents', text: 'Agents' }, badge: badge(agent.status), actions: actions(agent, reload) }),
    stopped && receiptOf(stopped),
    agent.reason && !stopped && notice('warn', h('p', h('strong', `${agent.status === 'retired' ? 'Retired' : 'Suspended'}: `), ...shown(agent.reason))),
    pending && agent.status !== 'retired' && review(agent, pending, reload),
    agent.document.description && h('p.lead', ...shown(agent.document.description)),
    section('Identity', facts([
      ['Id', copied(agent.id)],
      ['Owner', shown(agent.owner)],
      ['Version', [`${agent.version_number} `, copied(agent.version)]],
      ['Known by', h('code', ...shown(agent.authentication.token_endpoint_auth_method))],
      ['Keys', agent.keys.length ? h('ul.plain', agent.keys.map((key) => h('li', copied(key)))) : needsKeys(agent) ? 'none: it cannot authenticate' : 'none'],
      ['Registered', moment(agent.created_at)],
      ['Changed', moment(agent.updated_at)],
      ['Ends', agent.expires_at && [moment(agent.expires_at), ` (${distance(agent.expires_at)})`]],
    ])),
    section('Document', documentFacts(agent.document), json('The document as JSON', agent.document), json('Its signature', agent.signature)),
    section('Versions', versionTable(versions.items)),
    section('Recent events', events),
  );
}

/** Whether the agent proves who it is with a key of its own. */
const needsKeys = ({ authentication: { token_endpoint_auth_method: method } }) =>
  method === 'private_key_jwt' || method === 'self_signed_tls_client_auth';

function lately(agent, events) {
  if (!events.length) return empty(h('p', 'Nothing about this agent is sealed in the record yet.'));
  return group(
    eventTable(`Recent events of ${agent.name}`, events, { isOfOneAgent: true }),
    h('p.after', h('a', { href: `#/record?agent=${agent.id}` }, 'All events of this agent')));
}

function actions(agent, reload) {
  const at = (verb) => path('agents', agent.id, verb);
  const done = async (answer, words) => {
    if (answer === undefined) return;
    stopped = answer.receipt && answer;
    await reload();
    tell(words);
  };
  const stop = (verb, title, confirm, body) => async () => {
    const answer = await askReason({ title, confirm, danger: true, body, act: (reason) => post(at(verb), { reason }) });
    await done(answer, `${agent.name} is ${answer?.status}.`);
  };
  // What is put into force is what this page showed.
  const seen = { 'if-match': `"${agent.revision}"` };
  const move = (verb, title, confirm, body, words) => async () => {
    await done(await ask({ title, confirm, body, act: () => post(at(verb), undefined, seen) }), words);
  };
  const button = (name, kind, onclick) => h(kind ? `button.${kind}` : 'button', { type: 'button', onclick }, name);
  const retire = button('Retire', 'danger', stop('retire', `Retire ${agent.name} for good?`, 'Retire',
    h('p', 'Its tokens stop working at once and it can never act again. Its id is not used again.')));
  return {
    draft: [button('Activate', 'primary', move('activate', `Activate ${agent.name}?`, 'Activate',
      h('p', 'Its document comes into force and it may ask for tokens.'), `${agent.name} is active.`)), retire],
    active: [button('Suspend', '', stop('suspend', `Suspend ${agent.name}?`, 'Suspend',
      h('p', 'Its tokens stop working at once. You can resume it later.'))), retire],
    suspended: [button('Resume', 'primary', move('resume', `Resume ${agent.name}?`, 'Resume',
      h('p', 'It may act again. Tokens from before the stop stay dead.'), `${agent.name} may act again.`)), retire],
  }[agent.status] ?? [];
}

/** What a stop answered: what stopped, what may still run, and the proof. */
export function receiptOf(answer) {
  const still = answer.may_still_run.map(({ what, until }) => [shown(what), [moment(until), ' ', h('span.small', distance(until))]]);
  return h('section.receipt', { 'aria-label': 'Receipt' },
    h('h2', `${sentence(answer.status).slice(0, -1)} `, moment(answer.stopped_at)),
    h('h3', 'What stopped'),
    h('ul', answer.stopped.map((what) => h('li', ...shown(what)))),
    h('h3', 'What may still run'),
    still.length ? table('What may still run', ['What', 'Until at the latest'], still) : h('p', 'Nothing.'),
    h('h3', 'Proof'),
    h('p.before', `Entry ${answer.receipt.index} of the record, under a checkpoint signed by the log. Whoever has the key of the log verifies it offline: `,
      h('code', 'chancery log verify --receipt FILE --key KEY')),
    h('div.actions', h('button', { type: 'button', onclick: () => download(`receipt-${answer.name ?? answer.id}-${answer.status}.json`, answer) }, 'Download the receipt'),
      h('a', { href: `#/record/${JSON.parse(answer.receipt.entry).id}` }, 'See the event')));
}

/** The version that waits for a second person: what widens, what changes, and the choice. */
function review(agent, version, reload) {
  const at = path('agents', agent.id, 'versions', String(version.number));
  const isDraft = agent.status === 'draft';
  const accept = async () => {
    const act = () => post(`${at}/accept`);
    const body = h('p', 'It comes into force at once, in place of the one before.');
    if (await ask({ title: `Accept version ${version.number}?`, confirm: 'Accept', body, act })) {
      await reload();
      tell(`Version ${version.number} is in force.`);
    }
  };
  const reject = async () => {
    const act = (reason) => post(`${at}/reject`, { reason });
    if (await askReason({ title: `Reject version ${version.number}?`, confirm: 'Reject', danger: true, act })) {
      await reload();
      tell(`Version ${version.number} was rejected.`);
    }
  };
  return h('section.review', { 'aria-label': 'Waiting for review' },
    h('h2', isDraft ? 'Waits for a second person' : `Version ${version.number} waits for a second person`),
    h('p', 'Proposed by ', h('strong', ...shown(version.proposed_by)), ' at ', moment(version.proposed_at), '.'),
    version.widens?.length > 0 && [h('p', 'It is wider than the version in force:'), h('ul', version.widens.map((what) => h('li', prose(what))))],
    !isDraft && [changes(agent.document, version.document), json('The proposed document as JSON', version.document)],
    isDraft
      ? h('p', 'Activate the agent to put it into force.')
      : h('div.actions', h('button.primary', { type: 'button', onclick: accept }, 'Accept'), h('button.danger', { type: 'button', onclick: reject }, 'Reject')));
}

function changes(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  const rows = names.flatMap((name) => (Array.isArray(before[name] ?? after[name])
    ? [[label(name), entries(before[name], after[name], 'removed'), entries(after[name], before[name], 'added')]]
    : [[label(name), plain(before[name]), plain(after[name])]]));
  return table('What changes', ['Member', 'In force', 'Proposed'], rows);
}

/** The entries of `list` that are not in `other`. */
function entries(list = [], other = [], kind) {
  const known = new Set(other.map((entry) => JSON.stringify(entry)));
  const own = list.filter((entry) => !known.has(JSON.stringify(entry)));
  if (!own.length) return h('span.small', kind === 'added' ? 'nothing new' : 'nothing that goes');
  return h('ul.plain', own.map((entry) => h('li', plain(entry))));
}

/** A value of a document in one line. */
function plain(value) {
  if (value === undefined) return h('span.small', 'absent');
  if (typeof value !== 'object') return shown(value);
  if (Array.isArray(value)) return value.map((entry, at) => [at > 0 && ', ', plain(entry)]);
  if ('tool' in value) return [h('code', `${value.server}/${value.tool}`), ` ${value.permissions.join(', ')}`];
  if ('risk' in value) return [h('code', ...shown(value.name)), ' ', badge(value.risk)];
  return Object.entries(value).map(([name, member], at) => [at > 0 && ', ', h('span.small', `${label(name)} `), plain(member)]);
}

const label = (name) => name.replaceAll('_', ' ');

function documentFacts(it) {
  const words = (...parts) => shown(parts.filter(Boolean).join(', '));
  const lines = (list, line) => list?.length > 0 && h('ul.plain', list.map((entry) => h('li', line(entry))));
  const integrity = Object.entries(it.integrity ?? {});
  return facts([
    ['Model', it.model && words(`${it.model.name}${it.model.version ? ` ${it.model.version}` : ''}`, it.model.provider)],
    ['Platform', it.platform && shown(it.platform)],
    ['Runs at', it.hosting && words(it.hosting.provider, it.hosting.region, it.hosting.environment)],
    ['Autonomy', label(it.autonomy_level)],
    ['Team', it.team && shown(it.team)],
    ['Can', lines(it.capabilities, plain)],
    ['Tools', lines(it.tools, (grant) => [h('a', { href: `#/servers/${encodeURIComponent(grant.server)}` }, h('code', `${grant.server}/${grant.tool}`)), ` ${grant.permissions.join(', ')}`]) || 'none'],
    ['Data', lines(it.data_access, (data) => [h('code', ...shown(data.resource)), ` ${data.access.join(', ')} `, badge(data.classification)])],
    ['Needs a person for', it.human_oversight && [words(...it.human_oversight.required_for), '; approved by ', words(...it.human_oversight.approvers)]],
    ['Connected to', lines(it.connected_systems, shown)],
    ['Made of', integrity.length > 0 && h('ul.plain', integrity.map(([part, digest]) => h('li', `${part} `, short(digest))))],
  ]);
}

function versionTable(versions) {
  const newest = [...versions].sort((a, b) => b.number - a.number);
  return table('Versions', ['Number', 'State', 'Digest', 'Proposed', 'Decided by', 'Widens'], newest.map((version) => [
    String(version.number),
    badge(version.state),
    short(version.digest),
    [moment(version.proposed_at), h('br'), h('span.small', 'by ', ...shown(version.proposed_by))],
    version.decided_by ? shown(version.decided_by) : h('span.small', version.state === 'pending' ? 'nobody yet' : 'not told'),
    version.widens?.length ? h('ul.plain', version.widens.map((what) => h('li', prose(what)))) : h('span.small', version.number === 1 ? 'the first' : 'nothing'),
  ]));
}
