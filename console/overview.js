// The overview: how many agents there are and how they stand, the record, what was refused lately.

import { all, get } from './api.js';
import { badge, copied, distance, empty, facts, group, h, heading, prose, section, shown } from './dom.js';
import { agentLink } from './agents.js';
import { eventTable, fromRecord } from './record.js';

const STATUSES = ['active', 'draft', 'suspended', 'retired'];
const REFUSALS = ['call.denied', 'call.refused', 'token.refused', 'request.refused'];

export async function overview({ signal }) {
  const lately = (kind) => get('events', { kind, newest: true, limit: 8 }, signal);
  const [counted, theRecord] = await Promise.all([
    Promise.all(STATUSES.map((status) => all('agents', { status }, signal))),
    fromRecord(async () => {
      const log = await get('log', {}, signal);
      return { log, refused: await Promise.all(REFUSALS.map(lately)) };
    }, record),
  ]);
  const waiting = counted.flatMap(({ items }) => items).filter((agent) => agent.pending_version && agent.status !== 'retired');
  return group(
    heading('Overview'),
    h('ul.counts', { 'aria-label': 'Agents by status' }, STATUSES.map((status, at) => count(status, counted[at]))),
    waiting.length > 0 && section('Waiting for a second person', h('ul.plain', waiting.map(waits))),
    h('section', theRecord),
  );
}

function record({ log, refused }) {
  const last = refused.flatMap(({ items }) => items).sort((a, b) => b.index - a.index).slice(0, 8);
  return group(
    section('Refused lately', last.length
      ? eventTable('What was refused lately', last)
      : empty(h('p', 'Nothing was refused so far. Denied calls, refused tokens and refused requests appear here.'))),
    section('The record', facts([
      ['Entries', h('span.number', log.size.toLocaleString('en'))],
      ['Waiting to be sealed', log.pending ? String(log.pending) : 'none'],
      ['Root', copied(log.root)],
      ['Origin', h('code', ...shown(log.origin))],
      ['Key of the log', copied(log.log_key)],
    ])),
  );
}

function count(status, { items, isWhole }) {
  return h('li', h('a', { href: `#/agents?status=${status}` },
    h('span.many', `${items.length}${isWhole ? '' : '+'}`), badge(status)));
}

function waits(agent) {
  return h('li', agentLink(agent), ` version ${agent.pending_version}, changed ${distance(agent.updated_at)}`,
    agent.pending_because?.length > 0 && h('span.small', ': ', prose(agent.pending_because.join(', '))));
}
