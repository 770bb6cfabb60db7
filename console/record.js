// The record: events newest first, and one event with its proof.

import { description, get, path, session } from './api.js';
import {
  badge, copied, download, empty, facts, group, h, heading, json, moment, notice, pager, prose, section, select,
  sentence, shown, table,
} from './dom.js';

const LIMIT = 50;

// The refusal to read the record, once there was one, and the login that it was for. Each refusal is
// recorded, so pages that show a part of the record beside other things do not ask again and again.
let withheld = {};

/**
 * `read()`, a part of the record that a page shows beside other things, and what `render` makes of it;
 * when this login may not read the record, a line that says so.
 */
export async function fromRecord(read, render) {
  const secret = session.secret();
  try {
    if (withheld.secret === secret) throw withheld.refusal;
    return render(await read());
  } catch (error) {
    if (error.status !== 403) throw error;
    withheld = { secret, refusal: error };
    return empty(h('p', 'This login may not read the record: ', prose(error.message), '.'));
  }
}

/** Events as a table; without the column of agents when all are about one. */
export function eventTable(name, logged, { isOfOneAgent = false } = {}) {
  const columns = ['Entry', 'When', 'Event', !isOfOneAgent && 'Agent', 'What', 'Outcome'];
  const rows = logged.map(({ index, event }) => [
    h('span.small', String(index)),
    moment(event.at),
    h('a', { href: `#/record/${event.id}` }, h('code', event.kind)),
    !isOfOneAgent && (event.agent ? h('a.name', { href: `#/agents/${event.agent.id}` }, ...shown(event.agent.name)) : h('span.small.none', 'none')),
    what(event),
    outcome(event),
  ]);
  return table(name, columns.filter(Boolean), rows.map((cells) => cells.filter(Boolean)));
}

/** What an event is about, in one line. */
function what(event) {
  const { server, policy, handle, purpose, method, path, claimed_client_id: claimed } = event.facts ?? {};
  const by = h('span.small', 'by ', ...shown(event.actor.id || event.actor.kind.replaceAll('_', ' ')));
  const why = event.decision?.effect === 'deny' && h('p.small', prose(event.decision.reason));
  if (event.call) return [h('code', ...shown(event.call.tool ?? event.call.action)), why];
  if (event.reason) return shown(event.reason);
  if (path) return [h('code', ...shown(`${method} ${path}`)), ' ', by, why];
  if (claimed) return [h('span.small', 'claimed to be '), h('code', ...shown(claimed))];
  const subject = server ?? policy ?? handle ?? purpose ?? event.token?.audience;
  return subject ? shown(subject) : by;
}

function outcome(event) {
  const isRefusal = /\.(denied|refused)$/.test(event.kind) || event.decision?.effect === 'deny';
  return isRefusal ? badge(event.outcome === 'ok' ? 'denied' : event.outcome, 'bad') : badge(event.outcome);
}

export async function list({ params, signal }) {
  const kind = params.get('kind') ?? '';
  const name = params.get('agent') ?? '';
  const after = params.get('after') ?? undefined;
  const [kinds, agent] = await Promise.all([kindNames(), name && findAgent(name, signal)]);
  const isUnknown = name && !agent;
  const page = isUnknown
    ? { items: [] }
    : await get('events', { kind, agent: agent?.id, after, newest: true, limit: LIMIT }, signal);
  const address = (place) => {
    const query = new URLSearchParams({ ...(kind && { kind }), ...(name && { agent: name }), ...(place && { after: place }) });
    return `#/record${query.size ? `?${query}` : ''}`;
  };
  return group(
    heading('Record'),
    filters(kinds, kind, agent?.name ?? name),
    isUnknown && notice('warn', h('p', 'No agent has the name or id ', h('code', ...shown(name)), '.')),
    page.items.length
      ? eventTable('Events, the newest first', page.items)
      : !isUnknown && empty(h('p', after ? 'No older events.' : kind || name ? 'No event fits the filter.' : 'Nothing is sealed in the record yet.')),
    pager({ after, next: page.next, first: 'Newest', further: 'Older', change: address }),
  );
}

function filters(kinds, kind, agent) {
  const wanted = select([['', 'All kinds'], ...kinds.map((name) => [name, name])], kind);
  const about = h('input', { type: 'search', value: agent, autocomplete: 'off', spellcheck: 'false', placeholder: 'name or id' });
  const apply = (event) => {
    event?.preventDefault();
    const query = new URLSearchParams({ ...(wanted.value && { kind: wanted.value }), ...(about.value.trim() && { agent: about.value.trim() }) });
    location.hash = `#/record${query.size ? `?${query}` : ''}`;
  };
  const label = (words, control) => h('label', h('span', words), control);
  return h('form.filters', { role: 'search', onsubmit: apply },
    label('Kind', wanted), label('Agent', about), h('button', { type: 'submit' }, 'Filter'));
}

/** Every kind of event, as the description of the API lists them. */
async function kindNames() {
  const { components } = await description();
  return components?.schemas?.EventKind?.oneOf?.map((kind) => kind.const) ?? [];
}

async function findAgent(name, signal) {
  try {
    return await get(path('agents', name), {}, signal);
  } catch (error) {
    if (error.status === 404) return undefined;
    throw error;
  }
}

export async function detail(id, { signal }) {
  const [receipt, { components }] = await Promise.all([get(path('receipts', id), {}, signal), description()]);
  const event = JSON.parse(receipt.entry);
  const meaning = components?.schemas?.EventKind?.oneOf?.find((kind) => kind.const === event.kind)?.description;
  const { actor, agent, call, decision, token } = event;
  return group(
    heading(h('code', event.kind), {
      back: { href: '#/record', text: 'Record' }, badge: outcome(event),
      actions: [h('button', { type: 'button', onclick: () => download(`receipt-${event.id}.json`, receipt) }, 'Download the receipt')],
    }),
    meaning && h('p.lead', sentence(meaning)),
    facts([
      ['When', moment(event.at)],
      ['Place', `entry ${receipt.index}`],
      ['Id', copied(event.id)],
      ['Outcome', h('code', ...shown(event.outcome))],
      ['Reason', event.reason && shown(event.reason)],
      ['Actor', [shown(actor.id || 'unknown'), ' ', h('span.small', actor.kind.replaceAll('_', ' '))]],
      ['On behalf of', event.subject && shown(event.subject)],
      ['Trace', event.traceparent && h('code', ...shown(event.traceparent))],
    ]),
    agent && section('Agent', facts([
      ['Name', h('a', { href: `#/agents/${agent.id}` }, ...shown(agent.name))],
      ['Id', h('code', agent.id)],
      ['Version', agent.version && copied(agent.version)],
      ['Model', agent.model && shown(agent.model)],
    ])),
    call && section('Call', facts([
      ['Tool', call.tool && h('code', ...shown(call.tool))],
      ['Action', h('code', ...shown(call.action))],
      ['On', h('code', ...shown(call.resource))],
      ['Digest of the arguments', call.args_digest && copied(call.args_digest)],
    ])),
    decision && section('Decision', facts([
      ['Effect', badge(decision.effect)],
      ['Why', prose(decision.reason)],
      ['Code', h('code', decision.code)],
      ['Decided by', decision.policies.length > 0 && decision.policies.map((name, at) => [at > 0 && ', ', h('code', ...shown(name))])],
      ['Snapshot', String(decision.snapshot)],
      ['Id', h('code', decision.id)],
    ])),
    token && section('Token', facts([
      ['Id', h('code', token.jti)],
      ['For', h('code', ...shown(token.audience))],
      ['Ends', moment(new Date(token.expires_at * 1000).toISOString())],
      ['Bound to the key', token.jkt ? copied(token.jkt) : token.x5t ? 'none' : 'none: a bearer token'],
      ['Bound to the certificate', token.x5t && copied(token.x5t)],
    ])),
    event.facts && section('Further facts', facts(Object.entries(event.facts).map(([name, value]) => [name.replaceAll('_', ' '), h('span.fact', ...shown(value))]))),
    section('Proof',
      h('p', 'The receipt proves that exactly these bytes are entry ', String(receipt.index), ' of the log. It is verified offline with the key of the log: ',
        h('code', 'chancery log verify --receipt FILE --key KEY')),
      json('The event as JSON', event), json('The receipt as JSON', receipt)),
  );
}
