// Checks signatures as receivers do that have parsed the body: over
// JSON.stringify(body).

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { numbers, objects, strings, texts } from './javascript.js';
import { startEndpoint, startServer, token } from './server.js';

let server;
let endpoint;
let key;

const post = async (target, body, status) => {
  const response = await fetch(server.url + target, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body,
  });
  assert.equal(response.status, status);
  return response.json();
};

before(async () => {
  server = await startServer();
  endpoint = await startEndpoint(200);
  const hook = { name: 'x', events: ['User.Created'], config: { url: endpoint.url } };
  ({ signingKey: key } = await post('/api/hooks', JSON.stringify(hook), 201));
});

after(async () => {
  endpoint.close();
  await server.stop();
});

const again = (text) => JSON.stringify(JSON.parse(text));

// deliver has the text delivered as the data of an event, and returns the body.
async function deliver(data) {
  await post('/trigger', `{"type":"User.Created","data":${data}}`, 202);
  const { raw, body, headers } = await endpoint.next();
  assert.equal(raw.toString(), JSON.stringify(body));
  const signature = createHmac('sha256', key).update(JSON.stringify(body)).digest('hex');
  assert.equal(headers['logto-signature-sha-256'], signature);
  return body;
}

test('values', async () => {
  const all = [...numbers, ...strings, ...objects, ...texts(4000, 7)];
  for (let i = 0; i < all.length; i += 500) {
    const part = all.slice(i, i + 500);
    const { values } = await deliver(`{"values":[${part.join(',')}]}`);
    part.forEach((text, k) => assert.equal(JSON.stringify(values[k]), again(text), text));
  }
});

test('data of each form', async () => {
  for (const text of [...objects, ...texts(60, 11)]) {
    const { event, createdAt, hookId, ...members } = await deliver(text);
    assert.ok(event && createdAt && hookId);
    const data = JSON.parse(text);
    const isObject = typeof data === 'object' && data !== null && !Array.isArray(data);
    assert.equal(JSON.stringify(members), JSON.stringify(isObject ? data : { data }), text);
  }
});

test('the table of package logto is what this Node.js writes', async () => {
  const table = await readFile(path.join(import.meta.dirname, '../logto/testdata/stringify.json'), 'utf8');
  for (const [text, written] of JSON.parse(table)) {
    assert.equal(again(text), written);
  }
});
