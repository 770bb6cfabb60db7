// Official MCP clients, through the gateway, to third-party servers: what a permitted agent sees, what
// it may not do, and that a stop is felt at the next call.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Authority } from './authority.mjs';
import { answer, bearer, clients, refusal } from './clients.mjs';
import { everything, time } from './servers.mjs';

const CANARY = 'canary-of-the-authority';

describe('clients through the gateway', () => {
  let authority;
  before(async () => {
    authority = await Authority.start({ CHANCERY_INTEROP_CANARY: CANARY });
    // An explicit exception: these clients present a bearer token.
    await authority.addServer(everything, '--allow-bearer', '1h');
    await authority.addServer(time, '--allow-bearer', '1h');
  });
  after(async () => authority?.stop());

  for (const server of [everything, time]) {
    for (const { name, connect, revision } of clients) {
      test(`${name} to ${server.name}: permitted, denied, suspended`, async (t) => {
        const agent = await authority.registerAgent(server, server.permitted.name);
        const { access_token: token } = await authority.mint(agent, server);
        const client = await connect(authority.resource(server.name), bearer(token));
        t.after(() => client.close());
        if (revision) assert.equal(client.getNegotiatedProtocolVersion(), revision);

        const { tools } = await client.listTools();
        assert.deepEqual(tools.map((tool) => tool.name), [server.permitted.name]);

        assert.match(await answer(client.callTool(server.permitted)), server.answer);

        const reason = await refusal(client.callTool(server.denied));
        assert.match(reason, /permit|den(y|ied)|forbid|may not|not allowed/i);

        await authority.suspend(agent);
        assert.notEqual(await refusal(client.callTool(server.permitted)), '');
      });
    }
  }

  test('a server does not inherit the environment of the authority', async (t) => {
    const agent = await authority.registerAgent(everything, 'get-env');
    const { access_token: token } = await authority.mint(agent, everything);
    const client = await clients[0].connect(authority.resource(everything.name), bearer(token));
    t.after(() => client.close());

    const environment = await answer(client.callTool({ name: 'get-env', arguments: {} }));
    assert.ok(!environment.includes(CANARY), 'the environment reached the server');
    assert.ok(!environment.includes(token), 'the token reached the server');
  });

  test('a token for one server is refused at another', async () => {
    const agent = await authority.registerAgent(everything, everything.permitted.name);
    const { access_token: token } = await authority.mint(agent, everything);
    await assert.rejects(async () => {
      const client = await clients[0].connect(authority.resource(time.name), bearer(token));
      await client.close();
    });
  });

  test('the log of all this verifies', async () => {
    await authority.verifyLog();
  });
});
