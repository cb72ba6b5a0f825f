// The client against a real API server: every verb, every refusal by its code, and what goes wrong between the two.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import {
  connectKube,
  KINDS,
  KubeError,
  type KubeErrorCode,
  type PodVolumeBackup,
  type WatchEvent,
} from '../../kube/index.ts';
import { statusAnswer } from '../harness/kube-proxy.ts';
import { silentListener } from '../harness/silent-listener.ts';
import { aConfigMap, startKubeFixture, type KubeFixture } from './fixture.ts';

const signal = new AbortController().signal;
let fixture: KubeFixture;
before(async () => {
  fixture = await startKubeFixture();
  await fixture.server.applyVeleroCrds();
});
after(() => fixture.close());

const code =
  (expected: KubeErrorCode) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KubeError, String(error));
    assert.equal(error.code, expected, error.message);
    return true;
  };

test('an object is made, read, changed, replaced and deleted', async () => {
  const { client } = fixture;
  const namespace = await fixture.namespace();
  const made = await client.create(KINDS.configMap, aConfigMap(namespace, 'one', { a: '1' }));
  assert.equal(made.kind, 'ConfigMap');
  assert.equal(made.data?.['a'], '1');
  const name = { namespace, name: 'one' };
  assert.deepEqual(await client.get(KINDS.configMap, name), made);
  const patched = await client.patch(KINDS.configMap, name, { data: { a: null, b: '2' } });
  assert.deepEqual(patched.data, { b: '2' });
  const replaced = await client.replace(KINDS.configMap, { ...patched, data: { c: '3' } });
  assert.deepEqual(replaced.data, { c: '3' });
  await client.delete(KINDS.configMap, name);
  await assert.rejects(client.get(KINDS.configMap, name), code('KUBE_NOT_FOUND'));
});

test("Velero's objects keep the status that they are made with, and its absence of a subresource", async () => {
  const { client } = fixture;
  const namespace = await fixture.namespace();
  const made = await client.create<PodVolumeBackup>(KINDS.podVolumeBackup, {
    metadata: { generateName: 'pvb-', namespace },
    spec: { node: 'n', pod: { name: 'p' }, volume: 'v', backupStorageLocation: 'default', repoIdentifier: '' },
    status: { phase: 'Accepted' },
  });
  assert.match(made.metadata.name, /^pvb-/);
  assert.equal(made.status?.phase, 'Accepted');
  const done = await client.patch(KINDS.podVolumeBackup, made.metadata, {
    status: { phase: 'Completed', progress: { totalBytes: 5_000_000_000, bytesDone: 5 } },
  });
  assert.equal(done.status?.progress?.totalBytes, 5_000_000_000);
});

test('each refusal has its code', async () => {
  const { client, server } = fixture;
  const namespace = await fixture.namespace();
  const draft = aConfigMap(namespace, 'refused');
  const made = await client.create(KINDS.configMap, draft);
  await assert.rejects(client.create(KINDS.configMap, draft), code('KUBE_ALREADY_EXISTS'));
  await client.patch(KINDS.configMap, made.metadata, { data: { a: '1' } });
  await assert.rejects(client.replace(KINDS.configMap, made), code('KUBE_CONFLICT'));
  const stale = { metadata: { resourceVersion: made.metadata.resourceVersion }, data: { b: '1' } };
  await assert.rejects(client.patch(KINDS.configMap, made.metadata, stale), code('KUBE_CONFLICT'));
  const another = { uid: '00000000-0000-0000-0000-000000000000' };
  await assert.rejects(client.delete(KINDS.configMap, made.metadata, another), code('KUBE_CONFLICT'));
  await assert.rejects(client.patch(KINDS.configMap, made.metadata, { data: { a: 1 } }), code('KUBE_INVALID'));
  await assert.rejects(
    client.create(KINDS.podVolumeBackup, { metadata: { name: 'x', namespace }, spec: {} } as never),
    code('KUBE_INVALID'),
  );
  const nobody = await connectKube({
    kubeconfigPath: server.kubeconfigOf('nobody'),
    userAgent: 'test',
    environment: {},
    clock: systemClock,
  });
  await assert.rejects(nobody.get(KINDS.secret, { namespace, name: 'x' }), code('KUBE_FORBIDDEN'));
  await nobody.close();
});

test('a list comes in pages; a page whose list was compacted away is gone', async () => {
  const { client, server } = fixture;
  const namespace = await fixture.namespace();
  for (let at = 0; at < 5; at++) await client.create(KINDS.configMap, aConfigMap(namespace, `item-${at}`));
  const first = await client.list(KINDS.configMap, { namespace, limit: 2 });
  assert.equal(first.items.length, 2);
  assert.equal(first.items[0]?.kind, 'ConfigMap');
  const second = await client.list(KINDS.configMap, { namespace, limit: 2, continueToken: first.continueToken });
  assert.equal(second.items.length, 2);
  assert.equal(second.resourceVersion, first.resourceVersion);
  await client.create(KINDS.configMap, aConfigMap(namespace, 'later'));
  await server.compact();
  await server.restart(); // its own cache of lists is gone with it
  const third = client.list(KINDS.configMap, { namespace, limit: 2, continueToken: second.continueToken });
  await assert.rejects(third, code('KUBE_GONE'));
});

test('a watch tells what happens from where it begins, and ends when the server ends it', async () => {
  const { client } = fixture;
  const namespace = await fixture.namespace();
  const { resourceVersion } = await client.list(KINDS.configMap, { namespace });
  const name = { namespace, name: 'seen' };
  await client.create(KINDS.configMap, aConfigMap(namespace, 'seen', { text: 'ä'.repeat(100_000) }));
  await client.patch(KINDS.configMap, name, { data: { a: '1' } });
  await client.delete(KINDS.configMap, name);
  let isOpen = false;
  const options = { namespace, resourceVersion, timeoutSeconds: 1, onOpened: () => (isOpen = true) };
  const events: WatchEvent<unknown>[] = [];
  for await (const event of client.watch(KINDS.configMap, options, signal)) events.push(event);
  assert.ok(isOpen);
  const types = events.map(({ type }) => type).filter((type) => type !== 'BOOKMARK');
  assert.deepEqual(types, ['ADDED', 'MODIFIED', 'DELETED']);
});

test('a watch from a version that is forgotten is gone', async () => {
  const { client, server } = fixture;
  const { resourceVersion } = await client.list(KINDS.configMap, {});
  await client.create(KINDS.configMap, aConfigMap(await fixture.namespace(), 'newer'));
  await server.compact();
  await server.restart();
  const watch = client.watch(KINDS.configMap, { resourceVersion, timeoutSeconds: 5 }, signal);
  await assert.rejects(watch.next(), code('KUBE_GONE'));
});

test('an abort ends a request and a watch with its own reason', async () => {
  const { client, proxy } = fixture;
  proxy.plan({ fault: { kind: 'silence' }, times: 1 });
  const stopped = new Error('stopped');
  const request = new AbortController();
  const asked = client.get(KINDS.configMap, { namespace: 'default', name: 'x' }, request.signal);
  request.abort(stopped);
  await assert.rejects(asked, stopped);
  proxy.clear();
  const watching = new AbortController();
  const onOpened = (): void => watching.abort(stopped);
  const watch = client.watch(KINDS.node, { resourceVersion: '', timeoutSeconds: 60, onOpened }, watching.signal);
  await assert.rejects(watch.next(), stopped);
  await assert.rejects(client.list(KINDS.node, {}, watching.signal), stopped);
});

test('what the server or the network does wrong is told apart', async (t) => {
  const { proxy } = fixture;
  const client = await fixture.connect(t, { requestMs: 3000, watchMs: 3000 });
  const get = (): Promise<unknown> => client.list(KINDS.node, {});
  const cases = [
    [
      { kind: 'answer', answer: statusAnswer(429, 'TooManyRequests', { 'retry-after': '7' }) },
      'KUBE_TOO_MANY_REQUESTS',
    ],
    [{ kind: 'answer', answer: statusAnswer(500, 'InternalError') }, 'KUBE_UNAVAILABLE'],
    [{ kind: 'answer', answer: { status: 503, body: '<html>no healthy upstream</html>' } }, 'KUBE_UNAVAILABLE'],
    [{ kind: 'answer', answer: { status: 200, body: '<html>welcome</html>' } }, 'KUBE_UNAVAILABLE'],
    [{ kind: 'answer', answer: statusAnswer(401, 'Unauthorized') }, 'KUBE_UNAUTHORIZED'],
    [{ kind: 'refuse' }, 'KUBE_UNAVAILABLE'],
    [{ kind: 'silence' }, 'KUBE_UNAVAILABLE'],
    [{ kind: 'reset-response', atByte: 20 }, 'KUBE_UNAVAILABLE'],
    [{ kind: 'cut-response', atByte: 20 }, 'KUBE_UNAVAILABLE'],
    [{ kind: 'stall-response', atByte: 20 }, 'KUBE_UNAVAILABLE'],
    [{ kind: 'lose-answer' }, 'KUBE_UNAVAILABLE'],
  ] as const;
  for (const [fault, expected] of cases) {
    await t.test(`${fault.kind} → ${expected}`, async () => {
      proxy.plan({ fault, times: 1 });
      await assert.rejects(get(), (error) => {
        if (fault.kind === 'answer' && error instanceof KubeError && error.code === 'KUBE_TOO_MANY_REQUESTS')
          assert.equal(error.retryAfterMs, 7000);
        return code(expected)(error);
      });
      assert.deepEqual(proxy.unmet(), []);
      proxy.clear();
      await get();
    });
  }
});

test('a server that asks to come back in a moment is asked again, a few times', async () => {
  const { client, proxy } = fixture;
  const answer = statusAnswer(429, 'TooManyRequests', { 'retry-after': '1' });
  proxy.plan({ fault: { kind: 'answer', answer }, times: 2 });
  await client.list(KINDS.node, {});
  assert.deepEqual(proxy.clear(), [2]);
  proxy.plan({ fault: { kind: 'answer', answer } });
  await assert.rejects(client.list(KINDS.node, {}), code('KUBE_TOO_MANY_REQUESTS'));
  assert.deepEqual(proxy.clear(), [6]);
});

test('a server that accepts no connection, or none any more, is unavailable', async (t) => {
  const { server, token } = fixture;
  const address = (await silentListener(t)).replace('http:', 'https:');
  for (const url of [address, 'https://127.0.0.1:1']) {
    const kubeconfigPath = server.kubeconfigWithToken('unreachable', token, url);
    const idle = { requestMs: 500, watchMs: 500 };
    const client = await connectKube({ kubeconfigPath, userAgent: 'test', environment: {}, clock: systemClock, idle });
    await assert.rejects(client.list(KINDS.node, {}), code('KUBE_UNAVAILABLE'));
    await client.close();
  }
});

test('a half-open connection is given up, and the next request takes another', async (t) => {
  const { proxy } = fixture;
  const client = await fixture.connect(t, { requestMs: 3000, watchMs: 3000 });
  // Several in the pool, and all of them dead: only the first request pays.
  await Promise.all(Array.from({ length: 5 }, () => client.list(KINDS.node, {})));
  assert.ok(proxy.freezeConnections() >= 5);
  t.after(() => proxy.dropConnections());
  await assert.rejects(client.list(KINDS.node, {}), code('KUBE_UNAVAILABLE'));
  for (let at = 0; at < 5; at++) await client.list(KINDS.node, {});
});

test('a slow server is waited for', async (t) => {
  const { proxy } = fixture;
  proxy.latencyMs = 300;
  t.after(() => (proxy.latencyMs = 0));
  const client = await fixture.connect(t, { requestMs: 30_000, watchMs: 30_000 });
  assert.ok(Array.isArray((await client.list(KINDS.namespace, {})).items));
});

test('many requests share a few connections', async (t) => {
  const connections = new Set<number | undefined>();
  const { client, proxy } = fixture;
  proxy.onRequest = ({ clientPort }) => connections.add(clientPort);
  t.after(() => (proxy.onRequest = undefined));
  for (let at = 0; at < 50; at++) await client.list(KINDS.node, {});
  assert.equal(connections.size, 1);
  await Promise.all(Array.from({ length: 200 }, () => client.list(KINDS.node, {})));
  assert.ok(connections.size <= 64, `${connections.size} connections`);
});

test('an answer that is lost leaves the object changed: the conflict of the next write tells', async () => {
  const { client, proxy } = fixture;
  const namespace = await fixture.namespace();
  const made = await client.create(KINDS.configMap, aConfigMap(namespace, 'lost'));
  proxy.plan({ fault: { kind: 'lose-answer' }, times: 1, matching: ({ method }) => method === 'PUT' });
  await assert.rejects(client.replace(KINDS.configMap, { ...made, data: { a: '1' } }), code('KUBE_UNAVAILABLE'));
  await assert.rejects(client.replace(KINDS.configMap, { ...made, data: { a: '2' } }), code('KUBE_CONFLICT'));
  assert.deepEqual(proxy.unmet(), []);
  proxy.clear();
});
