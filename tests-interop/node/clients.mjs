// The official TypeScript clients, both lines, each as a function from a URL and what authenticates it
// to a connected client; and how a refusal looks, whichever way it arrives.

import assert from 'node:assert/strict';

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as FirstClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as FirstTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const INFO = { name: 'interop', version: '1.0.0' };

const second = (mode) => async (url, options) => {
  const client = new Client(INFO, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), options));
  return client;
};

const first = async (url, options) => {
  const client = new FirstClient(INFO);
  await client.connect(new FirstTransport(new URL(url), options));
  return client;
};

/** The clients, and the revision of the protocol that each must end up with. */
export const clients = [
  { name: 'client 2.x pinned', connect: second({ pin: '2026-07-28' }), revision: '2026-07-28' },
  { name: 'client 2.x probing', connect: second('auto'), revision: '2026-07-28' },
  { name: 'client 2.x by handshake', connect: second('legacy'), revision: '2025-11-25' },
  { name: 'sdk 1.x', connect: first, revision: undefined },
];

/** Transport options that present `token` as a bearer token. */
export function bearer(token) {
  return { requestInit: { headers: { authorization: `Bearer ${token}` } } };
}

/** The text of a result that must be an answer. */
export async function answer(call) {
  const result = await call;
  const text = textOf(result);
  assert.notEqual(result.isError, true, `the call was refused: ${text}`);
  return text;
}

/** The text of a refusal, whether it comes as a protocol error or as a result that is an error. */
export async function refusal(call) {
  let result;
  try {
    result = await call;
  } catch (error) {
    return error.message;
  }
  assert.equal(result.isError, true, `the call was answered: ${textOf(result)}`);
  return textOf(result);
}

function textOf(result) {
  return (result.content ?? []).map((part) => part.text ?? '').join('\n');
}
