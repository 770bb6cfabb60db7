// A running authority, and what an operator does to it on the command line.
//
// Everything that these suites know about our own program is in this file: how it is started, which
// commands there are, and what an identity document looks like. The suites themselves speak to it only
// through other people's software.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';

const PROGRAM = process.env.CHANCERY_BIN;
const START_LIMIT_MS = 30_000;

/** Who answers for the agents of these suites. */
const OWNER = 'alice@example.com';

/** The identity document of an agent that may call the tools in `tools` and no others. */
function identityDocument(name, server, tools) {
  const grants = tools.map((tool) => `  - { server: ${server}, tool: ${tool}, permissions: [call] }\n`);
  return `name: ${name}\nowner: ${OWNER}\ntools:\n${grants.join('')}`;
}

export class Authority {
  /** Starts the program on a port of its own, with its data in a folder of its own. */
  static async start(environment = {}, ...flags) {
    const folder = await mkdtemp(join(tmpdir(), 'chancery-'));
    const data = join(folder, 'data');
    const child = spawn(PROGRAM, ['up', '--data', data, '--listen', '127.0.0.1:0', ...flags, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...environment },
    });
    const authority = new Authority(folder, data, child);
    try {
      const { url, console } = await authority.#firstLine();
      // People open the console under the name that passkeys are bound to, programs use the address.
      Object.assign(authority, { url, console });
      // A person of the test mode is there already.
      if (!flags.includes(OWNER)) await authority.command('owner', 'add', OWNER);
    } catch (error) {
      await authority.stop();
      throw error;
    }
    return authority;
  }

  constructor(folder, data, child) {
    this.folder = folder;
    this.data = data;
    this.child = child;
    this.agents = 0;
  }

  /** Where clients reach the MCP server `name`; also the resource that tokens are asked for. */
  resource(name) {
    return `${this.url}/mcp/${name}`;
  }

  /** Runs a command and answers with the JSON that it prints. */
  async command(...args) {
    const split = args.indexOf('--');
    const [words, rest] = split < 0 ? [args, []] : [args.slice(0, split), args.slice(split)];
    const line = ['--data', this.data, ...words, '--json', ...rest];
    const { stdout } = await promisify(execFile)(PROGRAM, line, { timeout: 30_000 });
    return stdout.trim() ? JSON.parse(stdout) : undefined;
  }

  /** Puts a server behind the gateway; `flags` are those of `mcp add`. */
  async addServer(server, ...flags) {
    await this.command('mcp', 'add', server.name, ...flags, '--', ...server.command);
  }

  /** Registers an agent with a new key, which may call `tools` of `server`. */
  async registerAgent(server, ...tools) {
    const name = `agent-${++this.agents}`;
    const { privateJwk, jwksFile } = await this.#newKey(name);
    const keyFile = await this.#write(`${name}.key.json`, JSON.stringify(privateJwk), 0o600);
    const document = identityDocument(name, server.name, tools);
    const file = await this.#write(`${name}.yaml`, document);
    const agent = await this.command('agent', 'register', file, '--jwks', jwksFile);
    return { ...agent, name, keyFile, privateJwk };
  }

  /** Registers a resource server with a new key, which may ask about the tokens that are for it. */
  async registerResource(url) {
    const { privateJwk, jwksFile } = await this.#newKey('resource');
    const resource = await this.command('resource', 'register', url, '--jwks', jwksFile);
    return { ...resource, privateJwk };
  }

  /** A token of `agent` for `server`, as `token mint` prints it; `flags` are those of `token mint`. */
  async mint(agent, server, ...flags) {
    const resource = this.resource(server.name);
    const args = ['--agent', agent.name, '--key', agent.keyFile, '--resource', resource, ...flags];
    return this.command('token', 'mint', ...args);
  }

  /** A login of the person for whom the agents of these suites act, as a browser would have one. */
  async login() {
    return (await this.command('owner', 'login', OWNER, '--role', 'auditor')).token;
  }

  /** Puts the agent that waits for a second person into force; answers with it. */
  async activateWaiting() {
    const { items } = await this.command('agent', 'list', '--status', 'draft');
    return this.command('agent', 'activate', items[0].name);
  }

  /** Adds an OpenID provider; `flags` are those of `provider add`. */
  async addProvider(name, issuer, clientId, secret, ...flags) {
    const file = await this.#write(`${name}.secret`, secret, 0o600);
    return this.command('provider', 'add', name, '--issuer', issuer, '--client-id', clientId, '--client-secret-file', file, ...flags);
  }

  /** Adds an OpenID provider to which a new key proves the authority; answers with what was printed. */
  async addProviderWithKey(name, issuer, clientId, ...flags) {
    const { privateJwk } = await this.#newKey(name);
    const file = await this.#write(`${name}.private.json`, JSON.stringify(privateJwk), 0o600);
    return this.command('provider', 'add', name, '--issuer', issuer, '--client-id', clientId, '--key', file, ...flags);
  }

  /** Has the authority ask now about everybody who came by a provider, which it does every five minutes. */
  async askProvidersNow() {
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(join(this.data, 'chancery.db'));
    database.exec('PRAGMA busy_timeout = 5000; UPDATE provider_link SET due_at = 0');
    database.close();
  }

  /** Lets clients register themselves for an hour. */
  async openRegistration() {
    return this.command('client', 'open', '--for', '1h');
  }

  /** Suspends `agent`; answers with the receipt. */
  async suspend(agent) {
    return this.command('agent', 'suspend', agent.name, '--reason', 'interoperability test');
  }

  /** Checks the whole log; throws when it does not hold. */
  async verifyLog() {
    return this.command('log', 'verify');
  }

  /** Ends the program and removes its data. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.kill('SIGTERM');
      const timer = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(timer);
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  async #newKey(name) {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const kid = await calculateJwkThumbprint(await exportJWK(publicKey));
    const common = { kid, alg: 'ES256', use: 'sig' };
    const privateJwk = { ...(await exportJWK(privateKey)), ...common };
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), ...common }] };
    return { privateJwk, jwksFile: await this.#write(`${name}.jwks.json`, JSON.stringify(jwks)) };
  }

  async #write(name, text, mode = 0o644) {
    const path = join(this.folder, name);
    await writeFile(path, text, { mode });
    return path;
  }

  /** What the program says once it can be reached: one line of JSON. */
  #firstLine() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('chancery said nothing in time')), START_LIMIT_MS);
      const settle = (done, value) => {
        clearTimeout(timer);
        done(value);
      };
      this.child.once('error', (error) => settle(reject, error));
      this.child.once('exit', (code) => settle(reject, new Error(`chancery ended with ${code}`)));
      const lines = createInterface({ input: this.child.stdout });
      lines.once('line', (line) => {
        try {
          settle(resolve, JSON.parse(line));
        } catch {
          settle(reject, new Error(`chancery said ${JSON.stringify(line)}`));
        }
      });
    });
  }
}
