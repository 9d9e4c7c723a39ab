// Compares what the API says of bad input with what Zod says, with which Logto
// checks it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { z } from 'zod';

import { startServer, token } from './server.js';

let server;
let hookId;

before(async () => {
  server = await startServer();
  const { body } = await send('POST', '/api/hooks', valid);
  hookId = body.id;
});

after(async () => {
  assert.equal(await server.stop(), 0);
});

const events = `PostRegister PostSignIn PostSignInAdaptiveMfaTriggered PostResetPassword
  User.Created User.Deleted User.Data.Updated User.SuspensionStatus.Updated
  Role.Created Role.Deleted Role.Data.Updated Role.Scopes.Updated
  Scope.Created Scope.Deleted Scope.Data.Updated
  Organization.Created Organization.Deleted Organization.Data.Updated Organization.Membership.Updated
  OrganizationRole.Created OrganizationRole.Deleted OrganizationRole.Data.Updated OrganizationRole.Scopes.Updated
  OrganizationScope.Created OrganizationScope.Deleted OrganizationScope.Data.Updated
  Identifier.Lockout Message.RateLimited Grant.LimitExceeded`.split(/\s+/);

const eventGuard = z.enum(events);
const eventsGuard = z.array(eventGuard).nonempty();
const configGuard = z.object({
  url: z.string(),
  headers: z.record(z.string()).optional(),
  retries: z.number().gte(0).lte(3).optional(),
});
const createGuard = z.object({
  tenantId: z.string().max(21).optional(),
  name: z.string().min(1).max(256).optional(),
  event: eventGuard.optional(),
  events: eventsGuard.optional(),
  config: configGuard,
  enabled: z.boolean().optional(),
  createdAt: z.number().optional(),
});
const updateGuard = createGuard.extend({ event: eventGuard.nullable().optional(), config: configGuard.optional() });
const testGuard = z.object({ events: eventsGuard, config: configGuard });

const url = 'not a URL, so that nothing is sent';
const valid = { name: 'x', events: ['PostSignIn'], config: { url } };

async function send(method, path, body) {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

const wrong = [null, true, false, 0, 1, -1, 0.5, 1e21, 'x', '', [], ['x'], {}, { a: 1 }];

const bodies = [
  valid,
  {},
  [],
  [valid],
  { ...valid, unknown: 1 },
  ...['tenantId', 'name', 'event', 'events', 'config', 'enabled', 'createdAt', 'id', 'signingKey'].flatMap((name) =>
    wrong.map((value) => ({ ...valid, [name]: value })),
  ),
  ...['url', 'headers', 'retries', 'other'].flatMap((name) =>
    wrong.map((value) => ({ ...valid, config: { url, [name]: value } })),
  ),
  ...wrong.map((value) => ({ ...valid, events: ['PostSignIn', value, 'User.Created'] })),
  ...wrong.map((value) => ({ ...valid, config: { url, headers: { good: 'x', bad: value, worse: value } } })),
  ...[21, 22].map((n) => ({ ...valid, tenantId: 'x'.repeat(n) })),
  ...[256, 257].map((n) => ({ ...valid, name: 'x'.repeat(n) })),
  ...[256, 257].map((n) => ({ ...valid, name: '\u00e9'.repeat(n) })),
  ...[128, 129].map((n) => ({ ...valid, name: '\u{1F600}'.repeat(n) })),
  ...[0, 0.1, 2.999, 3, 3.001, -0.001, -0, 1e300].map((retries) => ({ ...valid, config: { url, retries } })),
  { ...valid, events: ['PostSignIn', 'PostSignIn'] },
  { ...valid, events: ['postsignin'] },
  { ...valid, events: ['TrustedDevice.Created'] },
  { ...valid, event: 'TrustedDevice.Deleted' },
  { ...valid, events: ["it's", 'a "quote"', '<b>&', '\u2028', '\\'] },
  { tenantId: 1, name: '', event: 2, events: [], config: { headers: [], retries: 9 }, enabled: 'yes', createdAt: 'now' },
  { config: { headers: { z: 1, a: 2, m: null } }, name: 'x'.repeat(300) },
  '{"name":"first","name":"","events":["PostSignIn"],"config":{"url":"x"}}',
  '{"events":["PostSignIn"],"config":{"url":"x","retries":1e400}}',
  '{"events":["PostSignIn"],"config":{"url":"x"},"createdAt":1e400}',
  '{"events":["PostSignIn"],"config":{"url":"x","headers":{"__proto__":1}}}',
];

const endpoints = [
  ['POST', () => '/api/hooks', createGuard],
  ['PATCH', () => `/api/hooks/${hookId}`, updateGuard],
  ['POST', () => `/api/hooks/${hookId}/test`, testGuard],
];

for (const [method, path, guard] of endpoints) {
  test(`${method} ${path()}`, async () => {
    for (const body of bodies) {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const { success, error } = guard.safeParse(JSON.parse(text));
      const result = await send(method, path(), text);
      if (success) {
        assert.ok(result.body.code !== 'guard.invalid_input' && result.status < 500, `${text}: ${JSON.stringify(result)}`);
        continue;
      }
      assert.equal(result.status, 400, text);
      assert.equal(result.body.code, 'guard.invalid_input', text);
      assert.equal(result.body.message, 'The request body is invalid.');
      assert.equal(JSON.stringify(result.body.data), JSON.stringify(error), text);
      assert.equal(result.body.details.split('\n').length, error.issues.length, text);
    }
  });
}
