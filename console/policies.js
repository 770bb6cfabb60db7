// Policies: the texts in force, changing them, and explaining what they would decide.

import { all, get, path, post, put, remove } from './api.js';
import {
  ask, badge, empty, facts, failure, field, group, h, heading, json, moment, notice, prose, section, select,
  sentence, shown, table, tell,
} from './dom.js';

const KINDS = [['policies', 'Policies'], ['schema', 'Schema fragment']];
const address = (name) => `#/policies/${encodeURIComponent(name)}`;

export async function list({ params, signal }) {
  const [texts, form] = await Promise.all([get('policies', {}, signal), explainForm(params, signal)]);
  const rows = texts.items.map((text) => [
    h('a', { href: address(text.name) }, ...shown(text.name)),
    [text.kind === 'schema' ? 'schema fragment' : 'policies', text.shipped && [' ', badge('shipped')]],
    String(text.text.trimEnd().split('\n').length),
    moment(text.created_at),
  ]);
  return group(
    heading('Policies', { actions: [h('a.button.primary', { href: '#/policies/+new' }, 'Add a policy')] }),
    rows.length
      ? table('Policy texts', ['Name', 'Holds', 'Lines', 'Added'], rows)
      : empty(h('p', 'No policy text was added. The policies that come with the program decide alone: an agent may call what its identity document grants.')),
    rows.length > 0 && !texts.items.some((text) => text.shipped)
      && h('p.small.after', 'Beside these hold the policies that come with the program: an agent may call what its identity document grants.'),
    section('Explain', h('p', 'What would be decided about a call, and which policies say so. Nothing is called and nothing is recorded.'), form),
  );
}

export async function detail(name, { signal }) {
  if (name === '+new') return editor({ name: '', kind: 'policies', text: '' }, { title: 'Add a policy', back: '#/policies' });
  const [plainName, verb] = name.split('/');
  const texts = await get('policies', {}, signal);
  const text = texts.items.find((text) => text.name === plainName);
  if (!text) {
    return group(heading('There is no such policy text', { back: { href: '#/policies', text: 'Policies' } }),
      h('p', 'It was removed, or the name is another.'));
  }
  if (verb === 'replace') return editor(text, { title: ['Replace ', text.name], back: address(text.name), isReplacement: true });
  const takeAway = async () => {
    const act = () => remove(path('policies', text.name));
    const body = h('p', 'It stops deciding at once. What only it permits is denied, and what only it forbids is permitted again.');
    if (!(await ask({ title: `Remove ${text.name}?`, confirm: 'Remove', danger: true, body, act }))) return;
    location.hash = '#/policies';
    tell(`${text.name} was removed.`);
  };
  const acts = [
    h('a.button', { href: `${address(text.name)}/replace` }, 'Replace'),
    h('button.danger', { type: 'button', onclick: takeAway }, 'Remove'),
  ];
  return group(
    heading(shown(text.name), { back: { href: '#/policies', text: 'Policies' }, badge: text.shipped && badge('shipped'), actions: text.shipped ? [] : acts }),
    facts([['Id', h('code', text.id)], ['Holds', text.kind === 'schema' ? 'a schema fragment' : 'policies'], ['Added', moment(text.created_at)]]),
    h('pre.cedar', { tabindex: '0', 'aria-label': 'The text' }, cedar(text.text)),
  );
}

const TOKENS = /(\/\/[^\n]*)|("(?:[^"\\\n]|\\.)*")|(@\w+)|\b(permit|forbid|when|unless|if|then|else|in|is|has|like|true|false|principal|action|resource|context|namespace|entity|type)\b/g;
const CLASSES = ['comment', 'text', 'note', 'word'];

/** Cedar with its comments, texts, annotations and words marked. */
function cedar(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    const kind = CLASSES[match.slice(1).findIndex((found) => found !== undefined)];
    parts.push(shown(text.slice(end, match.index)), h(`span.${kind}`, ...shown(match[0])));
    end = match.index + match[0].length;
  }
  parts.push(shown(text.slice(end)));
  return parts;
}

/** The form that changes a text: it is checked first, and comes into force in a second step. */
function editor(before, { title, back, isReplacement = false }) {
  const name = h('input', {
    value: before.name, required: true, readonly: isReplacement, pattern: '[a-z0-9][a-z0-9._\\-]{0,63}',
    title: '1 to 64 of a-z, 0-9, dot, underscore, dash', autocomplete: 'off', spellcheck: 'false',
  });
  const kind = select(KINDS, before.kind);
  const text = h('textarea.code', { rows: 18, required: true, spellcheck: 'false', autocapitalize: 'off', wrap: 'off', value: before.text });
  const report = h('div.report', { 'aria-live': 'polite' });
  const check = h('button.primary', { type: 'submit' }, 'Check');
  const apply = h('button', { type: 'button', disabled: true }, isReplacement ? 'Replace the text in force' : 'Put into force');
  const proposed = () => ({ text: text.value, kind: kind.value, name: name.value });
  const change = () => {
    apply.disabled = true;
    apply.className = '';
    check.className = 'primary';
    report.replaceChildren();
  };
  name.addEventListener('input', change);
  text.addEventListener('input', change);
  kind.addEventListener('change', change);
  const submit = async (event) => {
    event.preventDefault();
    if (!name.reportValidity()) return;
    const body = proposed();
    check.disabled = true;
    try {
      const { ok, problems } = await post('policies/check', body);
      if (body.text !== text.value || body.kind !== kind.value || body.name !== name.value) return;
      report.replaceChildren(ok
        ? notice('good', h('p', 'Nothing is wrong with it. It could come into force beside the other texts.'))
        : notice('bad', h('p', h('strong', problems.length === 1 ? 'One problem:' : `${problems.length} problems:`)),
          h('ul', problems.map((problem) => h('li', prose(problem))))));
      apply.disabled = !ok;
      if (ok) {
        apply.className = 'primary';
        check.className = '';
      }
    } catch (error) {
      report.replaceChildren(failure(error));
    } finally {
      check.disabled = false;
    }
  };
  apply.addEventListener('click', async () => {
    if (!name.reportValidity()) return;
    apply.disabled = true;
    try {
      await put(path('policies', name.value), proposed());
      location.hash = address(name.value);
      tell(`${name.value} is in force.`);
    } catch (error) {
      report.replaceChildren(failure(error));
      apply.disabled = false;
    }
  });
  return group(
    heading(title, { back: { href: back, text: 'Back' } }),
    h('form.editor', { onsubmit: submit },
      h('div.columns', field('Name', name, isReplacement ? undefined : 'A text in force with this name is replaced.'), field('Holds', kind)),
      field('Text', text),
      report, h('div.actions', check, apply)),
  );
}

async function explainForm(params, signal) {
  const [agents, servers] = await Promise.all([all('agents', {}, signal, 500), all('mcp', {}, signal, 500)]);
  const option = (value) => h('option', { value });
  const tools = h('datalist', { id: 'tools' });
  const agent = h('input', { list: 'agents', required: true, autocomplete: 'off', value: params.get('agent') ?? '' });
  const server = h('input', { list: 'servers', required: true, autocomplete: 'off', value: params.get('server') ?? '' });
  const tool = h('input', { list: 'tools', required: true, autocomplete: 'off', value: params.get('tool') ?? '' });
  const args = h('textarea.code', { rows: 4, spellcheck: 'false', value: '{}' });
  const constrained = h('input', { type: 'checkbox', checked: true, id: 'constrained' });
  const answer = h('div.report', { 'aria-live': 'polite' });
  const go = h('button', { type: 'submit' }, 'Explain');
  const offer = () => tools.replaceChildren(...(servers.items.find(({ name }) => name === server.value)?.tools ?? []).map(({ name }) => option(name)));
  server.addEventListener('input', offer);
  offer();
  const submit = async (event) => {
    event.preventDefault();
    let parsed;
    try {
      parsed = JSON.parse(args.value.trim() || '{}');
    } catch (error) {
      answer.replaceChildren(notice('bad', h('p', { role: 'alert' }, `The arguments are not JSON: ${error.message}`)));
      return args.focus();
    }
    go.disabled = true;
    try {
      const asked = { agent: agent.value.trim(), server: server.value.trim(), tool: tool.value.trim(), arguments: parsed, sender_constrained: constrained.checked };
      answer.replaceChildren(explanation(await post('policies/explain', asked)));
    } catch (error) {
      answer.replaceChildren(failure(error));
    } finally {
      go.disabled = false;
    }
  };
  return h('form.explain', { onsubmit: submit },
    h('datalist', { id: 'agents' }, agents.items.filter(({ status }) => status !== 'retired').map(({ name }) => option(name))),
    h('datalist', { id: 'servers' }, servers.items.map(({ name }) => option(name))), tools,
    h('div.columns', field('Agent', agent), field('Server', server), field('Tool', tool)),
    field('Arguments', args, 'A JSON object, as the agent would send it.'),
    h('p.check', constrained, ' ', h('label', { for: 'constrained' }, 'The token is bound to a key')),
    h('div.actions', go), answer);
}

function explanation(it) {
  const { decision, candidates } = it;
  const rows = candidates.map((candidate) => [
    h('code', ...shown(candidate.id)),
    badge(candidate.effect),
    [badge(candidate.outcome), candidate.error && h('p.small', ...shown(candidate.error))],
    [shown(candidate.summary), h('br'), h('span.small', ...shown(`${candidate.source}:${candidate.line}`))],
  ]);
  return group(
    notice(decision.effect === 'permit' ? 'good' : 'bad',
      h('p', badge(decision.effect)), h('p', prose(sentence(decision.reason))),
      h('p.small', 'Code ', h('code', decision.code), `, snapshot ${decision.snapshot}`,
        decision.policies.length > 0 && [', decided by ', decision.policies.map((name, at) => [at > 0 && ', ', h('code', ...shown(name))])])),
    rows.length ? table('Policies that could have mattered', ['Policy', 'Effect', 'Outcome', 'About'], rows) : h('p.small', 'No policy was asked.'),
    json('The answer as JSON', it),
  );
}
