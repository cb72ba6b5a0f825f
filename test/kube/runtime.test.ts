// What controllers are made of, on a real API server: updates that meet others, the loop, events, leases.
import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { hasCode } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import {
  EventRecorder,
  KINDS,
  nameOfKey,
  Reflector,
  runAsLeader,
  runController,
  updateObject,
  WorkQueue,
  type ConfigMap,
  type KubeClient,
  type LeaderOptions,
} from '../../kube/index.ts';
import { statusAnswer } from '../harness/kube-proxy.ts';
import { aConfigMap, deps, startKubeFixture, until, type KubeFixture } from './fixture.ts';

let fixture: KubeFixture;
before(async () => {
  fixture = await startKubeFixture();
});
after(() => fixture.close());

const counter = ({ data }: ConfigMap): number => Number(data?.['count'] ?? 0);

test('writers at the same time lose no change', async () => {
  const { client, admin } = fixture;
  const namespace = await fixture.namespace();
  const { metadata } = await admin.create(KINDS.configMap, aConfigMap(namespace, 'count'));
  const countOn = (by: KubeClient): Promise<unknown> =>
    updateObject(by, KINDS.configMap, metadata, (now) => ({ data: { count: String(counter(now) + 1) } }));
  await Promise.all(Array.from({ length: 10 }, (_, at) => countOn(at % 2 === 0 ? client : admin)));
  assert.equal(counter(await admin.get(KINDS.configMap, metadata)), 10);
});

test('an update of what is gone, or needs none, writes nothing', async () => {
  const { admin, client } = fixture;
  const namespace = await fixture.namespace();
  const name = { namespace, name: 'none' };
  assert.equal(await updateObject(client, KINDS.configMap, name, () => ({ data: { a: '1' } })), undefined);
  const made = await admin.create(KINDS.configMap, aConfigMap(namespace, 'none'));
  assert.equal(await updateObject(client, KINDS.configMap, name, () => undefined), undefined);
  const now = await admin.get(KINDS.configMap, name);
  assert.equal(now.metadata.resourceVersion, made.metadata.resourceVersion);
});

test('an update whose answer was lost is seen as done by the next', async () => {
  const { client, proxy } = fixture;
  const namespace = await fixture.namespace();
  const { metadata } = await client.create(KINDS.configMap, aConfigMap(namespace, 'lost'));
  proxy.plan({ fault: { kind: 'lose-answer' }, times: 1, matching: ({ method }) => method === 'PATCH' });
  const change = (now: ConfigMap): object | undefined => (counter(now) === 0 ? { data: { count: '1' } } : undefined);
  await assert.rejects(updateObject(client, KINDS.configMap, metadata, change), (error) =>
    hasCode(error, 'KUBE_UNAVAILABLE'),
  );
  assert.equal(await updateObject(client, KINDS.configMap, metadata, change), undefined);
  assert.deepEqual(proxy.unmet(), []);
  proxy.clear();
});

test('a controller brings every object to where it should be, while the server fails every third request', async (t) => {
  const { client, admin, proxy } = fixture;
  const namespace = await fixture.namespace();
  const queue = new WorkQueue({ clock: systemClock, random: systemRandom }, { firstMs: 5, maxMs: 50 });
  const reflector = new Reflector({ client, kind: KINDS.configMap, namespace, ...deps, clock: systemClock });
  reflector.onChange((key) => queue.add(key));
  const active = new Set<string>();
  let seen = 0;
  proxy.plan({
    fault: { kind: 'answer', answer: statusAnswer(500, 'InternalError') },
    matching: ({ method }) => method === 'PATCH' && ++seen % 3 === 0,
  });
  const stop = new AbortController();
  const reconcile = async (key: string): Promise<undefined> => {
    assert.ok(!active.has(key), 'two workers have one key');
    active.add(key);
    try {
      await updateObject(client, KINDS.configMap, nameOfKey(key), (now) =>
        counter(now) < 3 ? { data: { count: String(counter(now) + 1) } } : undefined,
      );
    } finally {
      active.delete(key);
    }
  };
  const running = [
    reflector.run(stop.signal),
    runController({ name: 'count', queue, workers: 4, reconcile, ...deps, clock: systemClock }, stop.signal),
  ];
  t.after(async () => {
    proxy.clear();
    stop.abort();
    await Promise.all(running);
  });
  const drafts = Array.from({ length: 30 }, (_, at) => aConfigMap(namespace, `c${at}`));
  await Promise.all(drafts.map((draft) => admin.create(KINDS.configMap, draft)));
  await until(() => reflector.store.size === 30 && reflector.store.list().every((object) => counter(object) === 3));
  assert.ok(seen >= 90);
});

test('events: the first of a reason is made, later ones count on in it, a forgotten one is made anew', async () => {
  const { client, admin } = fixture;
  const namespace = await fixture.namespace();
  const object = await admin.create(KINDS.configMap, aConfigMap(namespace, 'subject'));
  const recorder = new EventRecorder({ client, host: 'node-1', clock: systemClock, ...deps });
  const record = async (reason: string, message: string): Promise<void> => {
    recorder.record(object, { reason, message });
    await recorder.flush();
  };
  await record('Data-Path-Started', 'started');
  await record('Data-Path-Progress', 'one');
  await record('Data-Path-Progress', `two ${'x'.repeat(5000)}`);
  recorder.record(object, { type: 'Warning', reason: 'Data-Path-Failed', message: 'failed' });
  await recorder.flush();
  const listed = await admin.list(KINDS.event, {
    namespace,
    fieldSelector: `involvedObject.uid=${object.metadata.uid}`,
  });
  const by = new Map(listed.items.map((event) => [event.reason, event]));
  assert.equal(by.size, 3);
  const progress = by.get('Data-Path-Progress');
  assert.match(progress?.metadata.name ?? '', /^subject\.[0-9a-f]+$/);
  assert.deepEqual(progress?.source, { component: 'subject', host: 'node-1' });
  assert.equal(progress?.count, 2);
  assert.match(progress?.message ?? '', /^two x+$/);
  assert.equal(by.get('Data-Path-Failed')?.type, 'Warning');
  assert.ok(progress !== undefined);
  await admin.delete(KINDS.event, progress.metadata);
  await record('Data-Path-Progress', 'three');
  const again = await admin.list(KINDS.event, { namespace, fieldSelector: 'reason=Data-Path-Progress' });
  assert.deepEqual(
    again.items.map(({ count, message }) => [count, message]),
    [[1, 'three']],
  );
});

test('an object with the longest name there may be has events, too', async () => {
  const { client, admin } = fixture;
  const namespace = await fixture.namespace();
  // Cut anywhere near its end it would end with a hyphen, which no part of a name may.
  const name = `${'x'.repeat(226)}${'-'.repeat(26)}y`;
  assert.equal(name.length, 253);
  const object = await admin.create(KINDS.configMap, aConfigMap(namespace, name));
  const recorder = new EventRecorder({ client, clock: systemClock, ...deps });
  recorder.record(object, { reason: 'Long', message: 'told' });
  await recorder.flush();
  const { items } = await admin.list(KINDS.event, { namespace });
  assert.deepEqual(
    items.map(({ message }) => message),
    ['told'],
  );
});

test('events that cannot be written hold nothing up', async () => {
  const { client, admin, proxy } = fixture;
  const namespace = await fixture.namespace();
  const object = await admin.create(KINDS.configMap, aConfigMap(namespace, 'quiet'));
  const recorder = new EventRecorder({ client, clock: systemClock, ...deps });
  const refusal = statusAnswer(403, 'Forbidden');
  proxy.plan({
    fault: { kind: 'answer', answer: refusal },
    matching: ({ path }) => path.endsWith('/events'),
    times: 1,
  });
  recorder.record(object, { reason: 'Lost', message: 'lost' });
  recorder.record(object, { reason: 'Kept', message: 'kept' });
  await recorder.flush();
  assert.deepEqual(proxy.unmet(), []);
  proxy.clear();
  const { items } = await admin.list(KINDS.event, { namespace });
  assert.deepEqual(
    items.map(({ reason }) => reason),
    ['Kept'],
  );
});

interface Contender {
  readonly identity: string;
  isLeading: boolean;
  readonly ended: Promise<unknown>;
  stop(): void;
}

const TIMES = { leaseMs: 6000, renewMs: 4000, retryMs: 100 };

function contend(t: TestContext, client: KubeClient, namespace: string, identity: string): Contender {
  const stop = new AbortController();
  const options: LeaderOptions = {
    client,
    lease: { namespace, name: 'leader' },
    identity,
    clock: systemClock,
    logger: deps.logger,
    ...TIMES,
  };
  const work = async (signal: AbortSignal): Promise<void> => {
    contender.isLeading = true;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    contender.isLeading = false;
  };
  const ended = runAsLeader(options, work, stop.signal).then(
    () => undefined,
    (error: unknown) => error,
  );
  const contender: Contender = { identity, isLeading: false, ended, stop: () => stop.abort() };
  t.after(async () => {
    stop.abort();
    await ended;
  });
  return contender;
}

test('one leads; when it stops, its lease is free at once', async (t) => {
  const { client, admin } = fixture;
  const namespace = await fixture.namespace();
  const contenders = ['a', 'b', 'c'].map((identity) => contend(t, client, namespace, identity));
  const leaders = (): Contender[] => contenders.filter(({ isLeading }) => isLeading);
  const holder = async (): Promise<string | undefined> =>
    (await admin.get(KINDS.lease, { namespace, name: 'leader' })).spec?.holderIdentity;
  await until(() => leaders().length > 0);
  for (let seen = 1; seen <= 3; seen++) {
    const [leader] = leaders();
    assert.equal(leaders().length, 1);
    assert.equal(await holder(), leader?.identity);
    leader?.stop();
    assert.equal(await leader?.ended, undefined);
    if (seen < 3) await until(() => leaders().length > 0);
  }
  assert.equal(await holder(), '');
  const lease = await admin.get(KINDS.lease, { namespace, name: 'leader' });
  assert.equal(lease.spec?.leaseTransitions, 2);
  assert.match(lease.spec?.renewTime ?? '', /\.\d{6}Z$/);
});

test('a leader that the server does not hear stops before another begins', async (t) => {
  const { client, admin, proxy } = fixture;
  const namespace = await fixture.namespace();
  const leader = contend(t, client, namespace, 'cut-off');
  await until(() => leader.isLeading);
  // Past the proxy: it sees the server all the time.
  const heir = contend(t, admin, namespace, 'heir');
  proxy.plan({ fault: { kind: 'silence' }, matching: ({ path }) => path.includes('/leases') });
  t.after(() => void proxy.clear());
  let wereTwo = false;
  await until(() => {
    wereTwo ||= leader.isLeading && heir.isLeading;
    return heir.isLeading;
  });
  assert.ok(!wereTwo);
  assert.ok(hasCode(await leader.ended, 'KUBE_LEASE_LOST'));
});

test('a failure of the work is that of the leader, and its lease runs out', async () => {
  const { client } = fixture;
  const lease = { namespace: await fixture.namespace(), name: 'leader' };
  const failure = new Error('a bug');
  const options = { client, lease, identity: 'x', clock: systemClock, logger: deps.logger, ...TIMES };
  await assert.rejects(
    runAsLeader(options, () => Promise.reject(failure), new AbortController().signal),
    failure,
  );
});
