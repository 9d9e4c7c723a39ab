// Drives the API of Webitel's hooks as its web UI and the curl of its manual do, and
// compares what deliveries leave to JavaScript with what JavaScript does.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';

import qs from 'qs';

import { startEndpoint, startServer, token, trigger } from './server.js';

let server;

before(async () => {
  server = await startServer();
});

after(async () => {
  assert.equal(await server.stop(), 0, 'SIGTERM ends the server well');
});

const domain = 'acme.example';

// ask makes a request as the UI makes it: with a slash before the query, and the
// domain in it.
async function ask(method, where, body, query = {}) {
  const response = await fetch(`${server.url}/api/v2/hooks/${where}?${qs.stringify({ domain, ...query })}`, {
    method,
    headers: { 'x-access-token': token, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  assert.equal(response.status, 200);
  const result = await response.json();
  assert.equal(result.status, 'OK');
  return result.data;
}

const action = (url, method = 'POST') => ({ type: 'web', method, url });

async function create(hook) {
  const { insertedIds } = await ask('POST', '', { enable: true, ...hook });
  return insertedIds[0];
}

const columns = '_id,name,enable,event,action.type,description';
const list = () => ask('GET', '', undefined, { page: 1, limit: 5000, columns });

// fire triggers an event of an object.
const fire = (type, data, tenant = domain) => trigger(server, { type, tenant, data });

test('a hook lives as in the web UI', async () => {
  assert.deepEqual(await list(), []);
  const endpoint = await startEndpoint(200);
  const event = 'CUSTOM->engine::dialer_member_end';
  const form = {
    event, enable: true, description: 'Tells the CRM', action: action(endpoint.url), customBody: false, rawBody: '', delay: 1, retries: 1,
    fields: ['id', 'endCause'], map: { id: 'member', endCause: 'why' }, filter: { endCause: { operation: '!=', value: 'null' } },
    headers: { 'X-Member': '${id}' }, auth: { enabled: false, url: '', method: 'POST', headers: {}, map: {} },
  };
  const id = await create(form);
  assert.match(id, /^[0-9a-f]{24}$/);
  assert.deepEqual(await list(), [{ _id: id, event, enable: true, description: 'Tells the CRM', action: { type: 'web' } }]);
  const { id: eventID } = await fire(event, { id: 'm1', name: 'Ada', endCause: 'NORMAL' });
  const got = await endpoint.next();
  assert.deepEqual(got.body, { id: eventID, action: event, data: { member: 'm1', why: 'NORMAL' } });
  assert.equal(got.headers['x-member'], 'm1');
  assert.equal((await fire(event, { id: 'm2' })).deliveries, 0, 'the filter is not met');
  assert.equal((await fire(event, { id: 'm3', endCause: 'x' }, 'other.example')).deliveries, 0, 'another domain');

  const read = await ask('GET', `${id}/`);
  assert.deepEqual(await ask('PUT', `${id}/`, { ...read, enable: false }), { n: 1, nModified: 1, ok: 1 });
  assert.equal((await fire(event, { id: 'm4', endCause: 'x' })).deliveries, 0, 'it is disabled');
  assert.deepEqual(await ask('PUT', `${id}/`, read), { n: 1, nModified: 1, ok: 1 });
  assert.deepEqual(await ask('GET', `${id}/`), read, 'sent back as it was read, it is as it was');

  // Exported to a file, and imported where it is not there any more.
  const exported = JSON.stringify(read);
  assert.deepEqual(await ask('DELETE', `${id}/`), { n: 1, ok: 1 });
  assert.deepEqual(await ask('PUT', `${id}/`, JSON.parse(exported)), { n: 0, nModified: 0, ok: 1 });
  assert.equal(await ask('GET', `${id}/`), null);
  const again = await create(JSON.parse(exported));
  assert.deepEqual({ ...(await ask('GET', `${again}/`)), _id: id }, read);
  await fire(event, { id: 'm5', endCause: 'x' });
  assert.equal((await endpoint.next()).body.data.member, 'm5');
  await ask('DELETE', `${again}/`);
  endpoint.close();
});

test('a hook logs in before each attempt', async () => {
  const login = await startEndpoint((request, response) => {
    response.writeHead(201, { 'content-type': 'application/json', 'set-cookie': ['SID=s1; Path=/; HttpOnly', 'T=2'] });
    response.end(JSON.stringify({ token: `token of ${request.body.user}` }));
  });
  const crm = await startEndpoint(503, 200);
  const id = await create({
    event: 'LOGIN', action: action(crm.url, 'PUT'), retries: 1, delay: 0.1, headers: { Authorization: 'Bearer ${auth:body:token}' },
    customBody: true, rawBody: '{"caller": "${caller}", "city": "${location.city}"}',
    auth: { enabled: true, url: login.url, method: 'POST', cookie: true, map: { user: '${user}' } },
  });
  await fire('LOGIN', { user: 'u1', variable_caller: 'Ada "Countess"\n', location: { city: 'Kyiv' } });
  for (const _ of ['the attempt', 'its retry']) {
    assert.deepEqual((await login.next()).body, { user: 'u1' });
    const got = await crm.next();
    assert.equal(got.method, 'PUT');
    assert.equal(got.headers.authorization, 'Bearer token of u1');
    assert.equal(got.headers.cookie, 'SID=s1; T=2');
    assert.deepEqual(got.body, { caller: 'Ada "Countess"\n', city: 'Kyiv' });
  }
  await ask('DELETE', `${id}/`);
  login.close();
  crm.close();
});

test('a query is one that qs reads', async () => {
  const endpoint = await startEndpoint(200);
  const id = await create({ event: 'QUERY', action: action(`${endpoint.url}?own=1&a=replaced`, 'GET') });
  const data = { a: 'x y&=+\'é[]', n: '1.5', list: ['a', ['b', { c: 'd' }]], deep: { e: { f: 'g' }, 'h i': '' }, 'k&l': 'm' };
  await fire('QUERY', data);
  const got = await endpoint.next();
  assert.deepEqual(qs.parse(new URL(got.url, endpoint.url).search, { ignoreQueryPrefix: true }), { own: '1', ...data });
  assert.equal(got.headers['user-agent'], undefined);
  assert.equal(got.headers.accept, undefined);
  await ask('DELETE', `${id}/`);
  endpoint.close();
});

test('filters compare as JavaScript does', async () => {
  const operations = {
    '==': (a, b) => a == b, '!=': (a, b) => a != b, '<': (a, b) => a < b, '>': (a, b) => a > b, '<=': (a, b) => a <= b, '>=': (a, b) => a >= b,
  };
  const operands = [undefined, null, true, 0, 1, 9, '', '0', '1', '10', '9', ' 1 ', '1e1', '0x1', 'abc', 'null'];
  const values = [undefined, null, true, false, 0, 1, 10, 1.5, '', '1', '10', '9', '01', 'abc', 'null', [], [1], [1, 2], {}];
  const hooks = [];
  for (const [operation, holds] of Object.entries(operations)) {
    for (const value of operands) {
      // What does not count as true is null, and "null" what is not there.
      const meant = value || null;
      const b = meant === 'null' && operation.endsWith('=') && operation !== '<=' && operation !== '>=' ? undefined : meant;
      const id = await create({ event: 'COMPARE', action: action('http://127.0.0.1:1024/'), filter: { f: { operation, value } } });
      hooks.push({ id, holds: (a) => holds(a, b) });
    }
  }
  for (const value of values) {
    const { deliveries } = await fire('COMPARE', { f: value });
    assert.equal(deliveries, hooks.filter(({ holds }) => holds(value)).length, `${JSON.stringify(value)} meets as many filters`);
  }
  await Promise.all(hooks.map(({ id }) => ask('DELETE', `${id}/`)));
});

test('the vectors of the tests are what JavaScript does', async () => {
  const dir = path.resolve(import.meta.dirname, '../webitel/internal/js/testdata');
  const made = execFileSync('node', ['javascript.js'], { cwd: dir, encoding: 'utf8' });
  assert.equal(made, await readFile(path.join(dir, 'javascript.json'), 'utf8'));
});

test('a pattern that never ends costs nobody else an event', async () => {
  const [fine, far] = [await startEndpoint(200), await startEndpoint(200)];
  const ids = [
    await create({ event: 'HOSTILE', action: action('http://127.0.0.1:1024/'), filter: { f: { operation: 'reg', value: '^(a+)+$' } } }),
    await create({ event: 'HOSTILE', action: action(fine.url), filter: { f: { operation: 'reg', value: '/^A/i' } } }),
  ];
  const hostile = `${'a'.repeat(200)}!`;
  const { deliveries } = await fire('HOSTILE', { f: hostile });
  assert.equal(deliveries, 2); // The hostile one is undecided, and left to Run.
  assert.equal((await fine.next()).body.data.f, hostile);
  const other = await fetch(`${server.url}/api/v2/hooks?domain=other.example`, {
    method: 'POST',
    headers: { 'x-access-token': token, 'content-type': 'application/json' },
    body: JSON.stringify({ event: 'HOSTILE', enable: true, action: action(far.url) }),
  });
  assert.equal(other.status, 200);
  await fire('HOSTILE', { f: hostile }, 'other.example');
  assert.equal((await far.next()).body.data.f, hostile);
  await Promise.all(ids.map((id) => ask('DELETE', `${id}/`)));
  fine.close();
  far.close();
});

test('errors have the form of the API', async () => {
  for (const [method, target, status, info, headers = { 'x-access-token': token }] of [
    ['GET', '/api/v2/hooks?domain=x', 401, 'Invalid token', { 'x-access-token': 'wrong' }],
    ['GET', '/api/v2/hooks', 400, 'Bad request: domain is required.'],
    ['GET', '/api/v2/hooks/twelve-chars?domain=x', 400, 'Bad id'],
    ['PATCH', '/api/v2/hooks/0123456789abcdef01234567?domain=x', 404, '/api/v2/hooks/0123456789abcdef01234567?domain=x not found.'],
    ['POST', '/api/v2/hooks?domain=x', 400, 'Bad request: event name is required.'],
  ]) {
    const response = await fetch(server.url + target, { method, headers });
    assert.equal(response.status, status, target);
    assert.deepEqual(await response.json(), { status: 'error', info });
  }
});
