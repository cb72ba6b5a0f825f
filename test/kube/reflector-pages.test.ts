// The cache of a kind stays what the server has, whatever happens between the two: before a server that cannot stream what there is, so
// that it is listed in pages.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KINDS, type ConfigMap } from '../../kube/index.ts';
import { isListOf, isWatchOf, statusAnswer } from '../harness/kube-proxy.ts';
import type { Fault } from '../harness/proxy-faults.ts';
import { aConfigMap, startKubeFixture, until, type KubeFixture } from './fixture.ts';
import { checkFollows, createConfigMaps, follow } from './followed.ts';

let fixture: KubeFixture;
before(async () => {
  fixture = await startKubeFixture({ flags: ['--feature-gates=WatchList=false'] });
});
after(() => fixture.close());

const create = (namespace: string, ...names: string[]): Promise<ConfigMap[]> =>
  createConfigMaps(fixture, namespace, names);

test('what there is is listed in pages, what happens is followed, in its order', async (t) => {
  const namespace = await fixture.namespace();
  const many = Array.from({ length: 1100 }, (_, at) => `m${at}`);
  for (let at = 0; at < many.length; at += 50) await create(namespace, ...many.slice(at, at + 50));
  let lists = 0;
  fixture.proxy.onRequest = (request) => void (isListOf('configmaps')(request) && lists++);
  t.after(() => (fixture.proxy.onRequest = undefined));
  const followed = follow(t, fixture.client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  assert.equal(followed.reflector.store.size, 1100);
  assert.equal(lists, 3);
  followed.told.length = 0;
  const [made] = await create(namespace, 'new');
  assert.ok(made !== undefined);
  await fixture.admin.patch(KINDS.configMap, made.metadata, { data: { a: '1' } });
  await fixture.admin.delete(KINDS.configMap, made.metadata);
  await until(() => followed.told.length >= 3);
  assert.deepEqual(followed.told, ['+new', '~new', '-new']);
  assert.equal(lists, 3);
});

test('only what is selected, and as much of it as is kept', async (t) => {
  const namespace = await fixture.namespace();
  const labels = { wanted: 'yes' };
  const draft = (name: string): ReturnType<typeof aConfigMap> =>
    aConfigMap(namespace, name, { large: 'x'.repeat(1000) });
  for (const name of ['a', 'b']) {
    const { metadata, data } = draft(name);
    await fixture.admin.create(KINDS.configMap, { metadata: { ...metadata, labels }, data: data ?? {} });
  }
  await create(namespace, 'unwanted');
  const followed = follow(t, fixture.client, {
    namespace,
    labelSelector: 'wanted=yes',
    fieldSelector: 'metadata.name=b',
    transform: ({ data: _data, ...rest }) => rest,
  });
  await followed.reflector.whenSynced(t.signal);
  assert.deepEqual(followed.names(), ['b']);
  assert.equal(followed.reflector.store.get(`${namespace}/b`)?.data, undefined);
  // What is selected no more is gone from here.
  await fixture.admin.patch(KINDS.configMap, { namespace, name: 'b' }, { metadata: { labels: { wanted: 'no' } } });
  await until(() => followed.names().length === 0);
});

const DROPS: readonly (readonly [string, Fault])[] = [
  ['reset', { kind: 'reset-response', atByte: 0 }],
  ['cut in the middle of an event', { kind: 'cut-response', atByte: 100 }],
  ['refused', { kind: 'refuse' }],
  ['answered 500', { kind: 'answer', answer: statusAnswer(500, 'InternalError') }],
  ['answered 401', { kind: 'answer', answer: statusAnswer(401, 'Unauthorized') }],
  ['answered 403', { kind: 'answer', answer: statusAnswer(403, 'Forbidden') }],
  ['answered by a page', { kind: 'answer', answer: { status: 200, body: '<html>hello</html>' } }],
  ['ended at once', { kind: 'answer', answer: { status: 200, body: '' } }],
];
for (const [name, fault] of DROPS) {
  test(`a watch that is ${name}, three times, goes on where it was, without a new list`, async (t) => {
    const { proxy, client } = fixture;
    const namespace = await fixture.namespace();
    await create(namespace, 'a');
    let lists = 0;
    proxy.onRequest = (request) => void (isListOf('configmaps')(request) && lists++);
    proxy.plan({ fault, matching: isWatchOf('configmaps'), times: 3 });
    t.after(() => {
      proxy.onRequest = undefined;
      proxy.clear();
    });
    const followed = follow(t, client, { namespace });
    await followed.reflector.whenSynced(t.signal);
    for (const made of ['b', 'c', 'd']) await checkFollows(fixture, namespace, followed, made);
    await until(() => proxy.unmet().length === 0);
    await checkFollows(fixture, namespace, followed, 'e');
    assert.deepEqual(followed.told, ['+a', '+b', '+c', '+d', '+e']);
    assert.equal(lists, 1);
    assert.equal(followed.sleepsMs.length, 3);
    assert.ok(followed.reflector.isHealthy);
  });
}

test('lists that fail are tried for ever, later each time, and as late as the server asks', async (t) => {
  const { proxy, client } = fixture;
  const namespace = await fixture.namespace();
  await create(namespace, 'a');
  const matching = isListOf('configmaps');
  const busy = statusAnswer(429, 'TooManyRequests', { 'retry-after': '100' });
  proxy.plan({ fault: { kind: 'answer', answer: busy }, matching, times: 1 });
  proxy.plan({ fault: { kind: 'answer', answer: statusAnswer(500, 'InternalError') }, matching, times: 8 });
  t.after(() => void proxy.clear());
  const followed = follow(t, client, { namespace });
  assert.equal(followed.reflector.isHealthy, false);
  await followed.reflector.whenSynced(t.signal);
  assert.deepEqual(proxy.unmet(), []);
  const [first = 0, ...later] = followed.sleepsMs;
  assert.ok(first >= 100_000);
  assert.equal(later.length, 8);
  assert.ok(later.every((ms) => ms > 0 && ms <= 30_000));
  assert.ok((later.at(-1) ?? 0) >= 15_000);
  await checkFollows(fixture, namespace, followed, 'b');
});

test('a version that the server has forgotten: listed anew, with all that was missed told', async (t) => {
  const { proxy, client, server, admin } = fixture;
  const namespace = await fixture.namespace();
  const [, gone, remade] = await create(namespace, 'kept', 'gone', 'remade');
  assert.ok(gone !== undefined && remade !== undefined);
  const followed = follow(t, client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  await checkFollows(fixture, namespace, followed, 'seen');
  const isOurs = isWatchOf('configmaps');
  proxy.plan({ fault: { kind: 'refuse' }, matching: isOurs });
  t.after(() => void proxy.clear());
  proxy.dropConnections();
  await until(() => proxy.unmet().length === 0);
  followed.told.length = 0;
  await admin.delete(KINDS.configMap, gone.metadata);
  await admin.delete(KINDS.configMap, remade.metadata);
  await create(namespace, 'remade', 'new');
  await server.compact();
  await server.restart();
  proxy.clear();
  await until(() => followed.names().includes('new'));
  assert.deepEqual([...followed.told].sort(), ['+new', '+remade', '-gone', '-remade']);
  assert.ok(followed.told.indexOf('-remade') < followed.told.indexOf('+remade'));
  await checkFollows(fixture, namespace, followed, 'after');
});

test('an error in the stream of a watch: 410 lists anew', async (t) => {
  const { proxy, client } = fixture;
  const namespace = await fixture.namespace();
  await create(namespace, 'a');
  const gone = JSON.parse(statusAnswer(410, 'Expired').body ?? '') as object;
  const body = `${JSON.stringify({ type: 'ERROR', object: gone })}\n`;
  proxy.plan({ fault: { kind: 'answer', answer: { status: 200, body } }, matching: isWatchOf('configmaps'), times: 4 });
  t.after(() => void proxy.clear());
  const followed = follow(t, client, { namespace });
  await until(() => proxy.unmet().length === 0);
  await checkFollows(fixture, namespace, followed, 'b');
  assert.deepEqual(followed.told, ['+a', '+b']);
  // The first at once; a server that only ever says so is not asked in a loop.
  assert.equal(followed.sleepsMs.length, 3);
});

test('a list whose pages run out is asked for whole', async (t) => {
  const { proxy, client } = fixture;
  const namespace = await fixture.namespace();
  for (let from = 0; from < 600; from += 50)
    await create(namespace, ...Array.from({ length: 50 }, (_, at) => `p${from + at}`));
  const isSecondPage = ({ path }: { readonly path: string }): boolean => /[?&]continue=/.test(path);
  proxy.plan({ fault: { kind: 'answer', answer: statusAnswer(410, 'Expired') }, matching: isSecondPage });
  t.after(() => void proxy.clear());
  const followed = follow(t, client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  assert.equal(followed.reflector.store.size, 600);
  assert.deepEqual(proxy.clear(), [1]);
});

test('a half-open connection is found by its silence', async (t) => {
  const { proxy } = fixture;
  const namespace = await fixture.namespace();
  const client = await fixture.connect(t, { requestMs: 3000, watchMs: 3000 });
  const followed = follow(t, client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  await checkFollows(fixture, namespace, followed, 'a');
  proxy.freezeConnections();
  t.after(() => proxy.dropConnections());
  await checkFollows(fixture, namespace, followed, 'b');
  assert.deepEqual(followed.told, ['+a', '+b']);
});

test('a server that is away for a while, and slow after', async (t) => {
  const { proxy, server, client } = fixture;
  const namespace = await fixture.namespace();
  const followed = follow(t, client, { namespace });
  await followed.reflector.whenSynced(t.signal);
  await create(namespace, 'a');
  await until(() => followed.names().includes('a'));
  await server.stopApiServer();
  await until(() => !followed.reflector.isHealthy);
  proxy.latencyMs = 300;
  t.after(() => (proxy.latencyMs = 0));
  await server.restart();
  await checkFollows(fixture, namespace, followed, 'b');
  assert.deepEqual(followed.told, ['+a', '+b']);
  await until(() => followed.reflector.isHealthy);
});

test('a resync tells of everything again; a listener that throws harms nobody', async (t) => {
  const namespace = await fixture.namespace();
  await create(namespace, 'a');
  const followed = follow(t, fixture.client, { namespace, resyncMs: 50 });
  followed.reflector.onChange(() => {
    throw new Error('a bug');
  });
  await until(() => followed.told.filter((text) => text === '~a').length > 2);
  await checkFollows(fixture, namespace, followed, 'b');
});

test('waiting for the first list ends with its signal', async (t) => {
  const { proxy, client } = fixture;
  proxy.plan({ fault: { kind: 'silence' }, matching: isListOf('configmaps') });
  t.after(() => void proxy.clear());
  const followed = follow(t, client, { namespace: 'nowhere' });
  const waiting = new AbortController();
  const synced = followed.reflector.whenSynced(waiting.signal);
  const reason = new Error('enough');
  waiting.abort(reason);
  await assert.rejects(synced, reason);
});

test('an object that what is kept of it cannot be made from is left out, listed or watched, and no other waits for it', async (t) => {
  const namespace = await fixture.namespace();
  const transform = (object: ConfigMap): ConfigMap => {
    if (object.data?.['bad'] !== undefined) throw new TypeError('no such member');
    return object;
  };
  const makeBad = (name: string) =>
    fixture.admin.create(KINDS.configMap, { ...aConfigMap(namespace, name), data: { bad: 'yes' } });
  await makeBad('bad-listed');
  await create(namespace, 'good');
  const followed = follow(t, fixture.client, { namespace, transform });
  await until(() => followed.names().includes('good'));
  await makeBad('bad-watched');
  await checkFollows(fixture, namespace, followed, 'good-2');
  assert.deepEqual(
    followed.names().filter((name) => name.startsWith('bad')),
    [],
  );
  assert.deepEqual(followed.sleepsMs, []);
});
