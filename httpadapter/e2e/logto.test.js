// Drives the API of Logto's hooks with Logto's own client.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';

import { createApiClient } from '@logto/api/management';

import { eventually, startEndpoint, startServer, token, trigger as record } from './server.js';

let server;
let client;

before(async () => {
  server = await startServer();
  client = createApiClient({ baseUrl: server.url, getToken: async () => token });
});

after(async () => {
  assert.equal(await server.stop(), 0, 'SIGTERM ends the server well');
});

const sign = (key, body) => createHmac('sha256', key).update(body).digest('hex');

// ok returns the body of a response that has to have the status.
function ok({ response, data, error }, status) {
  assert.equal(response.status, status, JSON.stringify(error));
  return data;
}

// refused checks an error and returns it.
function refused({ response, error }, status, code) {
  assert.equal(response.status, status);
  const body = typeof error === 'string' ? JSON.parse(error) : error;
  assert.equal(body.code, code);
  assert.equal(typeof body.message, 'string');
  return body;
}

const byId = (id, rest = {}) => ({ params: { path: { id } }, ...rest });

const create = async (body) => ok(await client.POST('/api/hooks', { body }), 201);

const remove = async (id) => ok(await client.DELETE('/api/hooks/{id}', byId(id)), 204);

const trigger = async (type, data) => record(server, { type, data });

// links returns the targets of Link headers by their relation.
function links(response) {
  const found = {};
  for (const [, url, rel] of response.headers.get('link').matchAll(/<([^>]*)>; rel="([^"]*)"/g)) {
    found[rel] = url;
  }
  return found;
}

const logsOf = async (id, query = {}) =>
  client.GET('/api/hooks/{id}/recent-logs', byId(id, { params: { path: { id }, query } }));

test('a hook is made, read, changed and deleted', async () => {
  const made = await create({
    name: 'first',
    events: ['User.Created', 'PostSignIn', 'User.Created'],
    config: { url: 'https://example.com/hooks', headers: { 'X-Key': 'value' } },
  });
  assert.match(made.id, /^[0-9a-z]{21}$/);
  assert.match(made.signingKey, /^[0-9a-zA-Z]{32}$/);
  assert.ok(Math.abs(Date.now() - made.createdAt) < 60_000);
  const { id, signingKey, createdAt } = made;
  const expected = {
    tenantId: 'default',
    id,
    name: 'first',
    event: null,
    events: ['User.Created', 'PostSignIn'],
    config: { url: 'https://example.com/hooks', headers: { 'X-Key': 'value' } },
    signingKey,
    enabled: true,
    createdAt,
  };
  assert.deepEqual(made, expected);
  assert.deepEqual(Object.keys(made), Object.keys(expected));
  assert.deepEqual(ok(await client.GET('/api/hooks/{id}', byId(id)), 200), expected);

  const changes = [
    { name: 'second' },
    { enabled: false },
    { events: ['Role.Created'] },
    { config: { url: 'https://example.com/others', retries: 2 } },
    { event: 'PostRegister' },
    { event: null },
    { name: 'third', enabled: true },
  ];
  for (const body of changes) {
    Object.assign(expected, body);
    assert.deepEqual(ok(await client.PATCH('/api/hooks/{id}', byId(id, { body })), 200), expected);
  }
  const rotated = ok(await client.PATCH('/api/hooks/{id}/signing-key', byId(id)), 200);
  assert.notEqual(rotated.signingKey, signingKey);
  assert.deepEqual(rotated, { ...expected, signingKey: rotated.signingKey });

  await remove(id);
  refused(await client.GET('/api/hooks/{id}', byId(id)), 404, 'entity.not_exists_with_id');
  refused(await client.DELETE('/api/hooks/{id}', byId(id)), 404, 'entity.not_found');
  refused(await client.PATCH('/api/hooks/{id}', byId(id, { body: { name: 'x' } })), 404, 'entity.not_exists');
  refused(await client.PATCH('/api/hooks/{id}/signing-key', byId(id)), 404, 'entity.not_exists');
  const body = { events: ['PostSignIn'], config: { url: 'https://example.com' } };
  refused(await client.POST('/api/hooks/{id}/test', byId(id, { body })), 404, 'entity.not_exists_with_id');
  const logs = await logsOf(id);
  assert.deepEqual(ok(logs, 200), []);
  assert.equal(logs.response.headers.get('total-number'), '0');
});

test('a hook of the single event of old', async () => {
  const made = await create({ name: 'old', event: 'PostRegister', config: { url: 'not_work_url', retries: 2 } });
  assert.equal(made.event, 'PostRegister');
  assert.deepEqual(made.events, []);
  assert.deepEqual(made.config, { url: 'not_work_url', retries: 2 });
  await trigger('PostRegister', { userId: 'u1' });
  const rows = await eventually(async () => {
    const found = ok(await logsOf(made.id), 200);
    return found.length > 0 && found;
  });
  assert.equal(rows[0].payload.result, 'Error');
  assert.match(rows[0].payload.error, /Failed to parse URL from not_work_url/);
  assert.equal(rows[0].payload.response, undefined);
  await remove(made.id);
});

test('pages of the list', async () => {
  const ids = [];
  for (let i = 0; i < 5; i++) {
    const { id } = await create({ name: `hook ${i}`, events: ['PostSignIn'], config: { url: 'https://example.com' } });
    ids.unshift(id);
  }
  const all = await client.GET('/api/hooks');
  assert.equal(ok(all, 200).length, 5);
  assert.equal(all.response.headers.get('total-number'), null);
  assert.equal(all.response.headers.get('link'), null);

  const seen = [];
  let result = await client.GET('/api/hooks', { params: { query: { page: 1, page_size: 2 } } });
  assert.deepEqual(Object.keys(links(result.response)), ['first', 'last', 'next']);
  for (;;) {
    seen.push(...ok(result, 200));
    assert.equal(result.response.headers.get('total-number'), '5');
    const { next } = links(result.response);
    if (!next) {
      break;
    }
    assert.ok(next.startsWith(`${server.url}/api/hooks?page=`), next);
    const response = await fetch(next, { headers: { authorization: `Bearer ${token}` } });
    result = { response, data: await response.json() };
  }
  assert.deepEqual(seen.map(({ id }) => id).sort(), ids.toSorted());
  assert.deepEqual(Object.keys(links(result.response)), ['first', 'prev', 'last']);
  const past = await client.GET('/api/hooks', { params: { query: { page: 9 } } });
  assert.deepEqual(ok(past, 200), []);
  await Promise.all(ids.map(remove));
});

test('an event is delivered, verified, counted and logged', async () => {
  const endpoint = await startEndpoint(200);
  const { id, signingKey } = await create({
    name: 'all',
    events: ['User.Created', 'PostSignIn', 'PostRegister', 'PostResetPassword'],
    config: { url: endpoint.url, headers: { 'X-Custom': 'mine', 'User-Agent': 'me' } },
  });
  const start = Date.now();
  const data = { path: '/users', method: 'POST', status: 200, params: {}, data: { id: 'u1', password: 'secret' } };
  assert.equal((await trigger('User.Created', data)).deliveries, 1);
  const { method, headers, raw, body } = await endpoint.next();
  assert.equal(method, 'POST');
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers['user-agent'], 'me');
  assert.equal(headers['x-custom'], 'mine');
  assert.equal(headers['logto-signature-sha-256'], sign(signingKey, raw));
  assert.deepEqual(body, { event: 'User.Created', createdAt: body.createdAt, ...data, hookId: id });
  assert.deepEqual(Object.keys(body), ['event', 'createdAt', ...Object.keys(data), 'hookId']);
  assert.equal(new Date(body.createdAt).toISOString(), body.createdAt);

  const interactions = { PostSignIn: 'SignIn', PostRegister: 'Register', PostResetPassword: 'ForgotPassword' };
  for (const [event, interactionEvent] of Object.entries(interactions)) {
    await trigger(event, { userId: 'u1' });
    const { body } = await endpoint.next();
    assert.deepEqual(body, { event, interactionEvent, createdAt: body.createdAt, userId: 'u1', hookId: id });
  }
  const rows = await eventually(async () => {
    const rows = ok(await logsOf(id), 200);
    return rows.length === 4 && rows;
  });
  const row = rows.find(({ key }) => key === 'TriggerHook.User.Created');
  assert.match(row.id, /^[0-9a-z]{1,21}$/);
  assert.deepEqual(row.payload, {
    key: 'TriggerHook.User.Created',
    result: 'Success',
    hookId: id,
    hookRequest: { body: { ...body, data: { id: 'u1', password: '******' } } },
    response: { statusCode: 200, body: { received: true, accessToken: '******' } },
  });
  const one = await logsOf(id, { logKey: 'TriggerHook.PostSignIn' });
  assert.equal(ok(one, 200).length, 1);
  const paged = await logsOf(id, { page: 2, page_size: 3, enableCap: 'true' });
  assert.equal(ok(paged, 200).length, 1);
  assert.equal(paged.response.headers.get('total-number'), '4');
  assert.equal(paged.response.headers.get('total-number-is-capped'), null);
  assert.equal(ok(await logsOf(id, { start_time: start }), 200).length, 4);
  assert.equal(ok(await logsOf(id, { start_time: start, end_time: row.createdAt }), 200).some((l) => l.id === row.id), true);
  assert.equal(ok(await logsOf(id, { end_time: start - 1 }), 200).length, 0);

  const executionStats = { successCount: 4, requestCount: 4 };
  const query = { includeExecutionStats: 'true' };
  assert.deepEqual(ok(await client.GET('/api/hooks', { params: { query } }), 200).find((h) => h.id === id).executionStats, executionStats);
  const detail = await client.GET('/api/hooks/{id}', { params: { path: { id }, query } });
  assert.deepEqual(ok(detail, 200).executionStats, executionStats);
  await remove(id);
  endpoint.close();
});

test('retries', async () => {
  const flaky = await startEndpoint(500, 500, 200);
  const refusing = await startEndpoint(400);
  const both = [];
  for (const { url } of [flaky, refusing]) {
    both.push(await create({ name: 'retries', events: ['Role.Created'], config: { url } }));
  }
  await trigger('Role.Created', {});
  const rows = await eventually(async () => {
    const rows = (await Promise.all(both.map(({ id }) => logsOf(id)))).flatMap((result) => ok(result, 200));
    return rows.length === 2 && rows;
  });
  assert.deepEqual(rows.map(({ payload }) => payload.result), ['Success', 'Error']);
  assert.match(rows[1].payload.error, /status code 400 Bad Request/);
  assert.equal(rows[1].payload.response.statusCode, 400);
  assert.equal(flaky.requests.length, 3);
  assert.deepEqual(flaky.requests[2].raw, flaky.requests[0].raw);
  assert.equal(refusing.requests.length, 1);
  for (const { id } of both) {
    await remove(id);
  }
  flaky.close();
  refusing.close();
});

test('test events', async () => {
  const endpoint = await startEndpoint(200);
  const failing = await startEndpoint(500);
  const { id, signingKey } = await create({
    name: 'tested',
    events: ['User.Created'],
    enabled: false,
    config: { url: 'https://example.com' },
  });
  const send = async (url, ...events) =>
    client.POST('/api/hooks/{id}/test', byId(id, { body: { events, config: { url, headers: { 'x-test': '1' }, retries: 1 } } }));
  ok(await send(endpoint.url, 'PostSignIn', 'User.Created', 'PostSignIn'), 204);
  const requests = [await endpoint.next(), await endpoint.next()];
  assert.equal(endpoint.requests.length, 0);
  for (const { headers, raw, body } of requests) {
    assert.equal(headers['logto-signature-sha-256'], sign(signingKey, raw));
    assert.equal(headers['x-test'], '1');
    assert.equal(body.hookId, id);
    assert.equal(body.userAgent, 'fake-user-agent');
    assert.equal(body.interactionEvent, undefined);
  }
  assert.deepEqual(requests.map(({ body }) => body.event).toSorted(), ['PostSignIn', 'User.Created']);

  const { data } = refused(await send(failing.url, 'PostSignIn'), 422, 'hook.endpoint_responded_with_error');
  assert.deepEqual(data, { responseStatus: 500, responseBody: '{"received":true,"accessToken":"hidden"}' });
  assert.equal(failing.requests.length, 2, 'one retry');
  const { message } = refused(await send('not_work_url', 'PostSignIn'), 422, 'hook.send_test_payload_failed');
  assert.match(message, /Failed to parse URL from not_work_url/);
  refused(await send('http://10.0.0.1/', 'PostSignIn'), 422, 'hook.endpoint_not_allowed');
  assert.deepEqual(ok(await logsOf(id), 200), [], 'nothing is logged');
  await remove(id);
  endpoint.close();
  failing.close();
});

test('what is refused', async () => {
  const config = { url: 'https://example.com' };
  const events = ['PostSignIn'];
  const { id } = await create({ events, config });
  const post = (body) => client.POST('/api/hooks', { body });
  const list = (query) => client.GET('/api/hooks', { params: { query } });
  refused(await post({ name: '', events, config }), 400, 'guard.invalid_input');
  refused(await post({ name: 'x', config }), 400, 'hook.missing_events');
  refused(await post({ name: 'x', events: [], config }), 400, 'guard.invalid_input');
  refused(await post({ events, config: { url: 'https://[::1]/', headers: { Host: 'x' } } }), 422, 'entity.invalid_input');
  refused(await post({ events, config: { url: 'https://169.254.169.254/' } }), 422, 'hook.endpoint_not_allowed');
  refused(await client.PATCH('/api/hooks/{id}', byId(id, { body: {} })), 422, 'entity.invalid_input');
  refused(await client.PATCH('/api/hooks/{id}', byId(id, { body: { signingKey: 'x' } })), 422, 'entity.invalid_input');
  for (const query of [{ page: 0 }, { page_size: 101 }, { page: 'x' }, { page: -1 }]) {
    refused(await list(query), 400, 'guard.invalid_pagination');
    refused(await logsOf(id, query), 400, 'guard.invalid_pagination');
  }
  refused(await logsOf(id, { start_time: 'x' }), 400, 'guard.invalid_input');
  refused(await logsOf(id, { start_time: 2, end_time: 1 }), 400, 'log.invalid_time_window');

  const get = (path, headers = { authorization: `Bearer ${token}` }, method = 'GET') =>
    fetch(`${server.url}${path}`, { headers, method });
  const failures = [
    [{}, 'auth.authorization_header_missing'],
    [{ authorization: 'Basic x' }, 'auth.authorization_token_type_not_supported'],
    [{ authorization: 'Bearer x' }, 'auth.unauthorized'],
  ];
  for (const [headers, code] of failures) {
    const response = await get('/api/hooks', headers);
    refused({ response, error: await response.json() }, 401, code);
  }
  const first = await get(`/api/hooks/${id}`);
  const again = await get(`/api/hooks/${id}`, {
    authorization: `Bearer ${token}`,
    'if-none-match': first.headers.get('etag'),
  });
  assert.equal(again.status, 304);
  assert.equal(await again.text(), '');
  const wrong = await get('/api/hooks', undefined, 'PUT');
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get('allow'), 'GET, HEAD, OPTIONS, POST');
  assert.equal((await get('/api/hooks/x/y')).status, 404);
  await remove(id);
});
