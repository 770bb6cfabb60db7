// MCP servers behind the gateway, and their tools as they were accepted.

import { get, path, post, remove } from './api.js';
import { ask, copied, empty, facts, group, h, heading, moment, notice, pager, section, short, shown, table, tell } from './dom.js';

// What accepting found, shown with its server until the person goes elsewhere.
let accepted;

const address = (name) => `#/servers/${encodeURIComponent(name)}`;

export async function list({ params, signal }) {
  const after = params.get('after') ?? undefined;
  const page = await get('mcp', { after, limit: 50 }, signal);
  accepted = undefined;
  const rows = page.items.map((server) => [
    h('a', { href: address(server.name) }, ...shown(server.name)),
    String(server.tools.length),
    upstream(server.upstream),
    h('code', ...shown(server.url)),
    moment(server.created_at),
  ]);
  return group(
    heading('Tool servers'),
    rows.length
      ? table('MCP servers', ['Name', 'Tools', 'Upstream', 'Agents reach it at', 'Added'], rows)
      : empty(h('p', 'No MCP server is behind the gateway.'), h('p', 'Put one there: ', h('code', 'chancery mcp add NAME --url URL'))),
    pager({ after, next: page.next, change: (place) => `#/servers${place ? `?after=${place}` : ''}` }),
  );
}

export async function detail(name, { signal, reload }) {
  const server = await get(path('mcp', name), {}, signal);
  if (accepted?.id !== server.id) accepted = undefined;
  const accept = async () => {
    const act = () => post(path('mcp', name, 'accept'));
    const body = h('p', 'The gateway asks the server what its tools are and pins them by their digests. Definitions that changed since are callable again. What is found in them is shown afterwards.');
    const answer = await ask({ title: `Accept the tools of ${server.name} as they are now?`, confirm: 'Accept', body, act });
    if (!answer) return;
    const digests = new Map(server.tools.map((tool) => [tool.name, tool.digest]));
    const changed = answer.tools.filter((tool) => digests.get(tool.name) !== tool.digest).map((tool) => tool.name);
    const names = new Set(answer.tools.map((tool) => tool.name));
    accepted = { id: answer.id, changed, gone: [...digests.keys()].filter((name) => !names.has(name)), findings: answer.findings ?? [] };
    await reload();
    tell('The tools were accepted.');
  };
  const takeAway = async () => {
    const act = () => remove(path('mcp', name));
    const body = h('p', 'Agents can no longer call its tools. Identity documents that name it stay as they are.');
    if (!(await ask({ title: `Remove ${server.name}?`, confirm: 'Remove', danger: true, body, act }))) return;
    location.hash = '#/servers';
    tell(`${server.name} was removed.`);
  };
  return group(
    heading(shown(server.name), {
      back: { href: '#/servers', text: 'Tool servers' },
      actions: [h('button', { type: 'button', onclick: accept }, 'Accept tools'), h('button.danger', { type: 'button', onclick: takeAway }, 'Remove')],
    }),
    accepted && told(accepted),
    server.findings?.length > 0 && findings(server.findings),
    facts([
      ['Id', copied(server.id)],
      ['Agents reach it at', copied(server.url)],
      ['Upstream', upstream(server.upstream)],
      ['Plain bearer tokens', server.bearer_until ? ['accepted until ', moment(server.bearer_until)] : 'refused'],
      ['Added', moment(server.created_at)],
    ]),
    section(`Tools (${server.tools.length})`, server.tools.length
      ? h('ul.tools', server.tools.map(tool))
      : empty(h('p', 'The server had no tools when they were accepted.'))),
  );
}

function upstream(it) {
  return h('code', ...shown(it.kind === 'http' ? it.url : [it.command, ...it.args].join(' ')));
}

function tool(it) {
  const text = shown(it.description ?? '');
  const hidden = text.some((part) => typeof part !== 'string');
  return h('li',
    h('h3', h('code', ...shown(it.name)), ' ', h('span.small', short(it.digest))),
    hidden && notice('bad', h('p', 'The description has characters that cannot be seen. They are written out below, in boxes.')),
    it.description ? h('p.said', text) : h('p.small', 'It has no description.'));
}

function told({ changed, gone, findings: found }) {
  return [
    notice('good',
      h('p', changed.length ? ['New or changed: ', names(changed), '.'] : 'No definition had changed.'),
      gone.length > 0 && h('p', 'No longer there: ', names(gone), '.')),
    found.length > 0 && findings(found),
  ];
}

const names = (list) => list.map((name, at) => [at > 0 && ', ', h('code', ...shown(name))]);

function findings(found) {
  return notice('bad', h('p', h('strong', 'Look at these definitions before agents use them:')), h('ul', found.map((words) => h('li', ...shown(words)))));
}
