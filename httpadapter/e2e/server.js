// Starts what the tests need: the example server, and endpoints for webhooks.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

export const token = 'a-token-of-the-tests';

// startServer builds and starts the example server over a SQLite file. stop
// ends it and returns its exit code.
export async function startServer() {
  const dir = await mkdtemp(path.join(tmpdir(), 'hooks-e2e-'));
  const program = path.join(dir, 'server');
  const root = path.resolve(import.meta.dirname, '../..');
  await promisify(execFile)('go', ['build', '-o', program, './examples/server'], { cwd: root });
  const server = spawn(
    program,
    ['-addr', '127.0.0.1:0', '-store', `sqlite:${path.join(dir, 'hooks.db')}`, '-dev'],
    { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, HOOKS_TOKEN: token } },
  );
  const exited = once(server, 'exit');
  for await (const line of createInterface({ input: server.stdout })) {
    const url = /^listening on (.*)$/.exec(line)?.[1];
    if (url) {
      const stop = async () => {
        server.kill('SIGTERM');
        const [code] = await exited;
        await rm(dir, { recursive: true });
        return code;
      };
      return { url, stop };
    }
  }
  throw new Error('the server does not listen');
}

// startEndpoint starts an endpoint that gives these responses, one after another,
// the last one for ever. A response is a status, or a function of the request and
// the response. next returns the next request it gets.
export async function startEndpoint(...results) {
  const requests = [];
  const waiting = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) {
      chunks.push(chunk);
    }
    const got = { method: request.method, url: request.url, headers: request.headers, raw: Buffer.concat(chunks) };
    got.body = got.raw.length > 0 ? JSON.parse(got.raw.toString()) : undefined;
    const result = results.length > 1 ? results.shift() : results[0];
    if (typeof result === 'function') {
      result(got, response);
    } else {
      response.writeHead(result, { 'content-type': 'application/json' });
      response.end('{"received":true,"accessToken":"hidden"}');
    }
    (waiting.shift() ?? ((request) => requests.push(request)))(got);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/webhooks`,
    requests,
    next: async () =>
      requests.shift() ??
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no request came')), 30_000);
        waiting.push((request) => {
          clearTimeout(timer);
          resolve(request);
        });
      }),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

// trigger has the server record an event, and returns its response.
export async function trigger(server, event) {
  const response = await fetch(`${server.url}/trigger`, {
    method: 'POST',
    headers: { 'x-access-token': token },
    body: JSON.stringify(event),
  });
  assert.equal(response.status, 202);
  return response.json();
}

// eventually calls check until it returns something true.
export async function eventually(check) {
  for (const end = Date.now() + 30_000; ; ) {
    const result = await check();
    if (result) {
      return result;
    }
    if (Date.now() > end) {
      throw new Error('it has not come true');
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
