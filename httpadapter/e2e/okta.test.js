// Drives the API of Okta's event hooks with Okta's SDK for Node.js.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import okta from '@okta/okta-sdk-nodejs';

import { startEndpoint, startServer, token, trigger } from './server.js';

let server;
let client;

// newClient returns the API of a client that is set up as its README says.
function newClient(orgUrl, options = {}) {
  return new okta.Client({ orgUrl, token, ...options }).eventHookApi;
}

before(async () => {
  server = await startServer();
  client = newClient(server.url);
});

after(async () => {
  assert.equal(await server.stop(), 0, 'SIGTERM ends the server well');
});

const hook = (name, uri, rest = {}) => ({
  name,
  events: { type: 'EVENT_TYPE', items: ['user.lifecycle.create', 'user.lifecycle.activate'] },
  channel: { type: 'HTTP', version: '1.0.0', config: { uri, ...rest } },
});

const byId = (eventHookId, rest = {}) => ({ eventHookId, ...rest });

// refused checks an error that the client throws, and returns its causes.
async function refused(call, status, code) {
  let causes;
  await assert.rejects(call, (error) => {
    assert.equal(error.name, 'OktaApiError');
    assert.equal(error.status, status);
    assert.equal(error.errorCode, code);
    assert.match(error.errorId, /^oae/);
    causes = error.errorCauses.map(({ errorSummary }) => errorSummary);
    return true;
  });
  return causes;
}

// respondToChallenge responds to the challenge of a verification.
function respondToChallenge(request, response) {
  const verification = request.headers['x-okta-verification-challenge'];
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ verification }));
}

async function remove(id) {
  await client.deactivateEventHook(byId(id));
  await client.deleteEventHook(byId(id));
}

const list = async (of = client) => {
  const all = [];
  await (await of.listEventHooks()).each((each) => all.push(each));
  return all;
};

test('a hook lives, receives and is deleted', async () => {
  const endpoint = await startEndpoint(respondToChallenge, 200);
  assert.deepEqual(await list(), []);
  const authScheme = { type: 'HEADER', key: 'Authorization', value: 'a-secret' };
  const headers = [{ key: 'X-Second', value: '2' }, { key: 'X-First', value: '1' }];
  const made = await client.createEventHook({ eventHook: hook('first', endpoint.url, { authScheme, headers }) });
  const { id } = made;
  assert.match(id, /^who[0-9A-Za-z]{17}$/);
  assert.equal(made.status, 'ACTIVE');
  assert.equal(made.verificationStatus, 'UNVERIFIED');
  assert.equal(made.channel.config.method, 'POST');
  assert.equal(made.channel.config.authScheme.key, 'Authorization');
  assert.equal(made.channel.config.authScheme.value, undefined);
  assert.deepEqual(made.channel.config.headers.map(({ key }) => key), ['X-Second', 'X-First']);
  assert.ok(made.created instanceof Date && Math.abs(Date.now() - made.created) < 60_000);
  assert.equal(made._links.self.href, `${server.url}/api/v1/eventHooks/${id}`);
  assert.deepEqual(await list(), [made]);
  assert.deepEqual(await client.getEventHook(byId(id)), made);

  await trigger(server, { id: 'too-early', type: 'user.lifecycle.create' });
  const verified = await client.verifyEventHook(byId(id));
  assert.equal(verified.verificationStatus, 'VERIFIED');
  assert.equal((await client.getEventHook(byId(id))).verificationStatus, 'VERIFIED');
  const challenge = await endpoint.next();
  assert.equal(challenge.method, 'GET');
  assert.equal(challenge.headers.authorization, 'a-secret');
  assert.equal(challenge.headers['x-first'], '1');

  const data = { actor: { id: '00u1', type: 'User' }, target: [{ id: '00u2', type: 'User' }] };
  assert.deepEqual(await trigger(server, { id: 'e1', type: 'user.lifecycle.create', data }), { id: 'e1', deliveries: 1 });
  const { method, headers: sent, body } = await endpoint.next();
  assert.equal(method, 'POST');
  assert.equal(sent.authorization, 'a-secret');
  assert.equal(sent['x-second'], '2');
  assert.equal(sent['user-agent'], 'Okta-Integrations');
  const [event] = body.data.events;
  assert.deepEqual(body, {
    eventType: 'com.okta.event_hook',
    eventTypeVersion: '1.0',
    cloudEventsVersion: '0.1',
    source: made._links.self.href,
    eventId: body.eventId,
    data: { events: [{ uuid: 'e1', published: event.published, eventType: 'user.lifecycle.create', version: '0', ...data }] },
    eventTime: body.eventTime,
    contentType: 'application/json',
  });
  // What is read is sent back whole, with one change, and has no secret.
  const read = await client.getEventHook(byId(id));
  read.description = 'said';
  read.events.items = ['user.lifecycle.create'];
  const replaced = await client.replaceEventHook(byId(id, { eventHook: read }));
  assert.equal(replaced.description, 'said');
  assert.deepEqual(replaced.events.items, ['user.lifecycle.create']);
  assert.equal(replaced.verificationStatus, 'VERIFIED');
  await trigger(server, { id: 'e2', type: 'user.lifecycle.create' });
  assert.equal((await endpoint.next()).headers.authorization, 'a-secret', 'the secret is kept');

  const [cause] = await refused(client.deleteEventHook(byId(id)), 400, 'E0000001');
  assert.match(cause, /must be deactivated/);
  assert.equal((await client.deactivateEventHook(byId(id))).status, 'INACTIVE');
  assert.equal((await client.deactivateEventHook(byId(id))).status, 'INACTIVE');
  assert.equal((await trigger(server, { id: 'e3', type: 'user.lifecycle.create' })).deliveries, 0);
  assert.equal((await client.activateEventHook(byId(id))).verificationStatus, 'VERIFIED');
  await trigger(server, { id: 'e4', type: 'user.lifecycle.create' });
  assert.equal((await endpoint.next()).body.data.events[0].uuid, 'e4', 'e3 was not for it');
  await remove(id);
  await refused(client.getEventHook(byId(id)), 404, 'E0000007');
  assert.equal(endpoint.requests.length, 0);
  endpoint.close();
});

test('an endpoint that does not respond to the challenge', async () => {
  const wrong = (_, response) => response.end('{"verification":"wrong"}');
  const results = [[wrong, 1, /^body: /], [500, 2, /^status: .* 500/], [() => {}, 2, /^timeout: /]];
  await Promise.all(results.map(async ([result, requests, why], i) => {
    const endpoint = await startEndpoint(result);
    const { id } = await client.createEventHook({ eventHook: hook(`wrong ${i}`, endpoint.url) });
    const causes = await refused(client.verifyEventHook(byId(id)), 400, 'E0000001');
    assert.equal(causes[0], `Unable to verify event hook. Hook wrong ${i} execution failed`);
    assert.match(causes[1], why);
    assert.equal(endpoint.requests.length, requests);
    assert.equal((await client.getEventHook(byId(id))).verificationStatus, 'UNVERIFIED');
    endpoint.close();
    await remove(id);
  }));
});

test('filters', async () => {
  const endpoint = await startEndpoint(respondToChallenge, 200);
  const eventHook = hook('filtered', endpoint.url);
  const expression = "event.target.?[type eq 'UserGroup' && displayName eq 'Sales'].size()>0";
  eventHook.events.filter = {
    type: 'EXPRESSION_LANGUAGE',
    eventFilterMap: [{ event: 'user.lifecycle.create', condition: { expression } }],
  };
  const { id, events } = await client.createEventHook({ eventHook });
  assert.equal(events.filter.eventFilterMap[0].condition.expression, expression);
  await client.verifyEventHook(byId(id));
  await endpoint.next();
  for (const displayName of ['Support', 'Sales']) {
    await trigger(server, { type: 'user.lifecycle.create', data: { target: [{ type: 'UserGroup', displayName }] } });
  }
  assert.equal((await endpoint.next()).body.data.events[0].target[0].displayName, 'Sales');
  eventHook.events.filter.eventFilterMap[0].condition.expression = 'event.target.?[(type eq 1].size()';
  const [cause] = await refused(client.replaceEventHook(byId(id, { eventHook })), 400, 'E0000001');
  assert.match(cause, /user\.lifecycle\.create.*line 1, column 26/);
  await remove(id);
  endpoint.close();
});

test('a delivery that fails is tried once more', async () => {
  const endpoint = await startEndpoint(respondToChallenge, 503, 200);
  const { id } = await client.createEventHook({ eventHook: hook('flaky', endpoint.url) });
  await client.verifyEventHook(byId(id));
  await endpoint.next();
  await trigger(server, { type: 'user.lifecycle.activate' });
  const [first, second] = [await endpoint.next(), await endpoint.next()];
  assert.equal(second.body.eventId, first.body.eventId);
  assert.deepEqual(second.body.data, first.body.data);
  await remove(id);
  endpoint.close();
});

test('what is refused', async () => {
  const eventHook = hook('refused', 'https://example.com/');
  await refused(newClient(server.url, { token: 'wrong' }).createEventHook({ eventHook }), 401, 'E0000011');
  await refused(client.getEventHook(byId('who00000000000000000')), 404, 'E0000007');
  const [cause] = await refused(client.createEventHook({ eventHook: { ...eventHook, name: '' } }), 400, 'E0000001');
  assert.equal(cause, 'name: The field cannot be left blank');
  assert.deepEqual(await list(), [], 'nothing was made');
});

test('an orgUrl that ends with a slash', async () => {
  const slash = newClient(`${server.url}/`);
  const { id } = await slash.createEventHook({ eventHook: hook('slash', 'https://example.com/') });
  assert.deepEqual((await list(slash)).map(({ id }) => id), [id]);
  const read = await slash.getEventHook(byId(id));
  assert.equal(read._links.self.href, `${server.url}/api/v1/eventHooks/${id}`);
  assert.equal((await slash.replaceEventHook(byId(id, { eventHook: hook('renamed', 'https://example.com/') }))).name, 'renamed');
  assert.equal((await slash.deactivateEventHook(byId(id))).status, 'INACTIVE');
  await slash.deleteEventHook(byId(id));
});
