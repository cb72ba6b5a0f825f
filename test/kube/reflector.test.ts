// The cache of a kind stays what the server has, whatever happens between the two: before a server that streams what there is.
import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { KINDS } from '../../kube/index.ts';
import { isListOf, isStreamOf, isWatchOf, statusAnswer } from '../harness/kube-proxy.ts';
import type { Fault, FaultPlan, ProxiedRequest } from '../harness/proxy-faults.ts';
import { startKubeFixture, until, type KubeFixture } from './fixture.ts';
import { checkFollows, createConfigMaps, follow } from './followed.ts';

let fixture: KubeFixture;
before(async () => {
  fixture = await startKubeFixture();
});
after(() => fixture.close());

interface Requests {
  lists: number;
  streams: number;
  watches: number;
}

/** What is asked for from now on; faults that are planned are gone with the test. */
function watchRequests(t: TestContext, ...plans: FaultPlan[]): Requests {
  const { proxy } = fixture;
  const requests: Requests = { lists: 0, streams: 0, watches: 0 };
  proxy.onRequest = (request: ProxiedRequest) => {
    if (isListOf('configmaps')(request)) requests.lists++;
    if (isStreamOf('configmaps')(request)) requests.streams++;
    if (isWatchOf('configmaps')(request)) requests.watches++;
  };
  for (const plan of plans) proxy.plan(plan);
  t.after(() => {
    proxy.onRequest = undefined;
    proxy.clear();
  });
  return requests;
}

async function createMany(namespace: string, count: number): Promise<void> {
  const names = Array.from({ length: count }, (_, at) => `m${at}`);
  for (let at = 0; at < count; at += 50) await createConfigMaps(fixture, namespace, names.slice(at, at + 50));
}

test('what there is and what happens come in one stream, without a list', async (t) => {
  const namespace = await fixture.namespace();
  await createMany(namespace, 700);
  const requests = watchRequests(t);
  const followed = follow(t, fixture.client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  assert.equal(followed.reflector.store.size, 700);
  followed.told.length = 0;
  const [made] = await createConfigMaps(fixture, namespace, ['new']);
  assert.ok(made !== undefined);
  await fixture.admin.patch(KINDS.configMap, made.metadata, { data: { a: '1' } });
  await fixture.admin.delete(KINDS.configMap, made.metadata);
  await until(() => followed.told.length >= 3);
  assert.deepEqual(followed.told, ['+new', '~new', '-new']);
  assert.deepEqual(requests, { lists: 0, streams: 1, watches: 0 });
});

test('a stream that breaks before all has come begins again: nobody takes a part for all', async (t) => {
  const namespace = await fixture.namespace();
  await createMany(namespace, 300);
  const fault: Fault = { kind: 'reset-response', atByte: 40_000 };
  const requests = watchRequests(t, { fault, matching: isStreamOf('configmaps'), times: 2 });
  const sizes: number[] = [];
  const followed = follow(t, fixture.client, { namespace });
  void followed.reflector.whenSynced(t.signal).then(() => sizes.push(followed.reflector.store.size));
  await followed.reflector.whenSynced(t.signal);
  assert.deepEqual(sizes, [300]);
  assert.equal(followed.told.length, 300, 'each is told once');
  assert.deepEqual(requests, { lists: 0, streams: 3, watches: 0 });
  assert.equal(followed.sleepsMs.length, 2);
  await checkFollows(fixture, namespace, followed, 'later');
});

test('a stream that ends in good order before all has come: a list is tried', async (t) => {
  const namespace = await fixture.namespace();
  await createConfigMaps(fixture, namespace, ['a']);
  const fault: Fault = { kind: 'answer', answer: { status: 200, body: '' } };
  const requests = watchRequests(t, { fault, matching: isStreamOf('configmaps'), times: 1 });
  const followed = follow(t, fixture.client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  await checkFollows(fixture, namespace, followed, 'b');
  assert.deepEqual(requests, { lists: 1, streams: 1, watches: 1 });
});

test('a server that refuses to stream is asked for lists from then on', async (t) => {
  const namespace = await fixture.namespace();
  await createConfigMaps(fixture, namespace, ['a']);
  const fault: Fault = { kind: 'answer', answer: statusAnswer(422, 'Invalid') };
  const requests = watchRequests(t, { fault, matching: isStreamOf('configmaps') });
  const followed = follow(t, fixture.client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  await checkFollows(fixture, namespace, followed, 'b');
  assert.deepEqual(requests, { lists: 1, streams: 1, watches: 1 });
  assert.deepEqual(followed.sleepsMs, []);
});

test('a stream that breaks later goes on where it was', async (t) => {
  const namespace = await fixture.namespace();
  await createConfigMaps(fixture, namespace, ['a']);
  const requests = watchRequests(t);
  const followed = follow(t, fixture.client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  fixture.proxy.dropConnections();
  await checkFollows(fixture, namespace, followed, 'b');
  assert.deepEqual(followed.told, ['+a', '+b']);
  assert.deepEqual([requests.lists, requests.streams], [0, 1]);
  assert.ok(requests.watches > 0);
});

test('a version that the server has forgotten: streamed anew, with all that was missed told', async (t) => {
  const { proxy, client, server, admin } = fixture;
  const namespace = await fixture.namespace();
  const [, gone, remade] = await createConfigMaps(fixture, namespace, ['kept', 'gone', 'remade']);
  assert.ok(gone !== undefined && remade !== undefined);
  const requests = watchRequests(t, { fault: { kind: 'refuse' }, matching: isWatchOf('configmaps') });
  const followed = follow(t, client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  proxy.dropConnections();
  await until(() => requests.watches > 0);
  followed.told.length = 0;
  await admin.delete(KINDS.configMap, gone.metadata);
  await admin.delete(KINDS.configMap, remade.metadata);
  await createConfigMaps(fixture, namespace, ['remade', 'new']);
  await server.compact();
  await server.restart();
  proxy.clear();
  await until(() => followed.names().includes('new') && !followed.names().includes('gone'));
  assert.deepEqual([...followed.told].sort(), ['+new', '+remade', '-gone', '-remade']);
  assert.ok(followed.told.indexOf('-remade') < followed.told.indexOf('+remade'));
  assert.deepEqual([requests.lists, requests.streams], [0, 2]);
  await checkFollows(fixture, namespace, followed, 'after');
});

test('streams that break again and again give way to a list', async (t) => {
  const namespace = await fixture.namespace();
  await createConfigMaps(fixture, namespace, ['a']);
  const fault: Fault = { kind: 'reset-response', atByte: 0 };
  const requests = watchRequests(t, { fault, matching: isStreamOf('configmaps') });
  const followed = follow(t, fixture.client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  await checkFollows(fixture, namespace, followed, 'b');
  assert.deepEqual(requests, { lists: 1, streams: 3, watches: 1 });
  assert.equal(followed.sleepsMs.length, 3);
});

test('a server that tells all and then always that it has forgotten is not asked in a loop', async (t) => {
  const namespace = await fixture.namespace();
  const all = { metadata: { resourceVersion: '1', annotations: { 'k8s.io/initial-events-end': 'true' } } };
  const gone = JSON.parse(statusAnswer(410, 'Expired').body ?? '') as object;
  const events = [
    { type: 'BOOKMARK', object: all },
    { type: 'ERROR', object: gone },
  ];
  const body = events.map((event) => `${JSON.stringify(event)}\n`).join('');
  const fault: Fault = { kind: 'answer', answer: { status: 200, body } };
  watchRequests(t, { fault, matching: isStreamOf('configmaps'), times: 4 });
  const followed = follow(t, fixture.client, { namespace });
  await until(() => fixture.proxy.unmet().length === 0);
  await checkFollows(fixture, namespace, followed, 'b');
  assert.equal(followed.sleepsMs.length, 3, 'only the first is tried again at once');
});
