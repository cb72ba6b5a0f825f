// Runs every row of the fault matrix on one server: each ends in success or in the error that the matrix names, and what was
// acknowledged is there afterwards, read past the proxy.
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { type Clock, systemClock } from '../../base/clock.ts';
import { hasCode } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import type { BlobId, BlobStorage } from '../../repo-format/blob/storage.ts';
import { limitedStorage } from '../../repo-format/blob/wrap/limited.ts';
import { retryingStorage } from '../../repo-format/blob/wrap/retrying.ts';
import { blobStorageSuite } from './blob-storage-suite.ts';
import { FAULTS, type FaultName, outcomeOf } from './fault-matrix.ts';
import type { Adapter, FaultStore, OpenLimits, ServerName } from './fault-store.ts';
import type { FaultPlan, Verb } from './proxy-faults.ts';
import { silentListener } from './silent-listener.ts';
import { SeededRandom } from './seeded-random.ts';

const signal = new AbortController().signal;
const PREFIX = 'backups/kopia/ns/';
const MIB = 1 << 20;
// More than a page of S3's and Google's.
const LIST_KEYS = 1200;

/** Waits are noted, not waited for: the storms here are over by count, not by time. */
function hurriedClock(waitedMs: number[]): Pick<Clock, 'monotonicMs' | 'sleep'> {
  return {
    monotonicMs: () => systemClock.monotonicMs(),
    sleep: async (durationMs, waitSignal) => {
      waitedMs.push(durationMs);
      await systemClock.sleep(Math.min(durationMs, 5), waitSignal);
    },
  };
}

export function faultSuite(server: ServerName, start: () => Promise<FaultStore>): void {
  let store: FaultStore;
  before(async () => {
    store = await start();
  });
  after(() => store.stop());
  describe(`faults before ${server}`, () => {
    const tried = new Set<FaultName>();
    const row = (name: FaultName, run: (trial: Trial) => Promise<void>): void => {
      tried.add(name);
      if (outcomeOf(name, server) === 'none') return;
      test(FAULTS[name].fault, async (t) => {
        const trial = await Trial.begin(t, store, outcomeOf(name, server));
        await run(trial);
        await trial.end();
      });
    };
    busyRows(row);
    bodyRows(row);
    stallRows(row);
    accessRows(row);
    listRows(row);
    contractRow(() => store);
    tried.add('contract');
    test('every row of the matrix is tried', () => {
      assert.deepEqual([...tried].toSorted(), Object.keys(FAULTS).toSorted());
    });
  });
}

type Row = (name: FaultName, run: (trial: Trial) => Promise<void>) => void;

/** One row: a bucket of its own, and what was acknowledged in it. */
class Trial {
  readonly store: FaultStore;
  readonly outcome: string;
  readonly waitedMs: number[] = [];
  readonly #t: TestContext;
  readonly #bucket: string;
  readonly #kept = new Map<BlobId, Uint8Array>();
  readonly #random = new SeededRandom(7);
  #storage: BlobStorage;

  private constructor(t: TestContext, store: FaultStore, outcome: string, bucket: string, storage: BlobStorage) {
    this.#t = t;
    this.store = store;
    this.outcome = outcome;
    this.#bucket = bucket;
    this.#storage = storage;
  }

  static async begin(t: TestContext, store: FaultStore, outcome: string): Promise<Trial> {
    store.proxy.clear();
    const bucket = await store.createBucket();
    const trial = new Trial(t, store, outcome, bucket, await store.open(bucket, PREFIX));
    await trial.reopen();
    return trial;
  }

  get test(): TestContext {
    return this.#t;
  }

  get bucket(): string {
    return this.#bucket;
  }

  get storage(): BlobStorage {
    return this.#storage;
  }

  /** The adapter with its retries, as commands use it. */
  async reopen(limits?: OpenLimits): Promise<void> {
    await this.#wrap(await this.store.open(this.#bucket, PREFIX, limits));
  }

  /** As if the store were there. */
  async reopenAt(server: string, limits: OpenLimits): Promise<void> {
    await this.#wrap(await this.store.openDirectly(this.#bucket, PREFIX, server, limits));
  }

  async #wrap(adapter: Adapter): Promise<void> {
    await this.#storage.close();
    const { refreshCredentials } = adapter;
    this.#storage = retryingStorage(
      limitedStorage(adapter, { reads: 8, writes: 8, lists: 4 }),
      {},
      {
        clock: hurriedClock(this.waitedMs),
        random: systemRandom,
        ...(refreshCredentials === undefined
          ? {}
          : { refreshCredentials: (s: AbortSignal) => refreshCredentials.call(adapter, s) }),
      },
    );
    const { storage } = this;
    this.#t.after(() => storage.close());
  }

  plan(...plans: readonly FaultPlan[]): void {
    this.store.proxy.plan(...plans);
  }

  /** The same for the requests of one verb. */
  planFor(verb: Verb, fault: FaultPlan['fault'], times?: number): void {
    this.plan({ fault, matching: (request) => request.verb === verb, ...(times === undefined ? {} : { times }) });
  }

  async put(name: string, sizeBytes: number): Promise<void> {
    const bytes = this.#random.bytes(sizeBytes);
    await this.#storage.putBlob(name as BlobId, bytes, signal);
    this.#kept.set(name as BlobId, bytes);
  }

  async delete(name: string): Promise<void> {
    await this.#storage.deleteBlob(name as BlobId, signal);
    this.#kept.delete(name as BlobId);
  }

  /** Reads all of it and a part, and looks at it. */
  async read(name: string): Promise<void> {
    const expected = this.#kept.get(name as BlobId) ?? assert.fail(name);
    const whole = await this.#storage.getBlob(name as BlobId, undefined, signal);
    assert.ok(Buffer.from(whole).equals(expected), `${name} is another one`);
    await this.readRange(name);
    assert.equal((await this.#storage.getMetadata(name as BlobId, signal)).length, expected.length);
  }

  async readRange(name: string): Promise<void> {
    const expected = this.#kept.get(name as BlobId) ?? assert.fail(name);
    const range = { offset: expected.length >> 2, length: expected.length >> 1 };
    const part = await this.#storage.getBlob(name as BlobId, range, signal);
    assert.ok(Buffer.from(part).equals(expected.subarray(range.offset, range.offset + range.length)));
  }

  async list(prefix = ''): Promise<string[]> {
    const names: string[] = [];
    for await (const blob of this.#storage.listBlobs(prefix, signal)) names.push(blob.id);
    return names.toSorted();
  }

  kept(): string[] {
    return [...this.#kept.keys()].toSorted();
  }

  /** The call ends in the error that the matrix names. */
  async fails(call: () => Promise<unknown>): Promise<void> {
    await assert.rejects(call, (error) => {
      assert.ok(hasCode(error, this.outcome), `${this.outcome} expected: ${String(error)}`);
      return true;
    });
  }

  /** Every planned fault was met, and everything acknowledged is in the store. */
  async end(options: { readonly isGone?: boolean } = {}): Promise<void> {
    assert.deepEqual(this.store.proxy.unmet(), []);
    this.store.proxy.clear();
    if (options.isGone === true || this.#kept.size > 100) return;
    const direct = await this.store.openDirectly(this.#bucket, PREFIX);
    this.#t.after(() => direct.close());
    for (const [id, bytes] of this.#kept) {
      assert.ok(Buffer.from(await direct.getBlob(id, undefined, signal)).equals(bytes), `${id} was acknowledged`);
    }
  }
}

function busyRows(row: Row): void {
  const work = async (trial: Trial): Promise<void> => {
    for (let i = 0; i < 3; i++) await trial.put(`p${i}`, 100_000);
    for (const name of trial.kept()) await trial.read(name);
    await trial.delete('p1');
    assert.deepEqual(await trial.list('p'), ['p0', 'p2']);
  };
  row('storm', async (trial) => {
    // Three of four, whoever asks.
    let count = 0;
    trial.plan({ fault: { kind: 'answer', answer: trial.store.answers.busy() }, matching: () => count++ % 4 !== 3 });
    await work(trial);
    assert.ok(trial.waitedMs.length >= 30);
  });
  row('retryAfter', async (trial) => {
    trial.plan({ fault: { kind: 'answer', answer: trial.store.answers.busy(3) }, times: 2 });
    await trial.put('p0', 100_000);
    assert.deepEqual(
      trial.waitedMs.filter((ms) => ms >= 3000 && ms < 4000),
      trial.waitedMs,
    );
    assert.equal(trial.waitedMs.length, 2);
  });
  row('endlessStorm', async (trial) => {
    await trial.put('p0', 100_000);
    trial.plan({ fault: { kind: 'answer', answer: trial.store.answers.busy() } });
    await trial.fails(() => trial.put('p1', 100_000));
    await trial.fails(() => trial.read('p0'));
    await trial.fails(() => trial.list());
    await trial.fails(() => trial.storage.deleteBlob('p0' as BlobId, signal));
  });
  row('refused', async (trial) => {
    trial.plan({ fault: { kind: 'refuse' }, times: 3 });
    await work(trial);
  });
  row('unreachable', async (trial) => {
    await trial.put('p0', 100_000);
    trial.plan({ fault: { kind: 'refuse' } });
    await trial.fails(() => trial.read('p0'));
    await trial.fails(() => trial.put('p1', 100_000));
  });
}

function bodyRows(row: Row): void {
  for (const [name, kind] of [
    ['resetDown', 'reset-response'],
    ['cut', 'cut-response'],
  ] as const) {
    row(name, async (trial) => {
      await trial.put('p0', 2 * MIB);
      trial.planFor('get', { kind, atByte: MIB >> 1 }, 2);
      await trial.read('p0');
    });
  }
  row('resetUp', async (trial) => {
    trial.planFor('put', { kind: 'reset-request', atByte: MIB }, 2);
    await trial.put('p0', 2 * MIB);
    await trial.read('p0');
  });
  row('short', async (trial) => {
    await trial.put('p0', 100_000);
    trial.planFor('get', { kind: 'short-response', atByte: 40_000 }, 2);
    await trial.readRange('p0');
  });
  row('lostAnswer', async (trial) => {
    trial.planFor('put', { kind: 'lose-answer' }, 2);
    await trial.put('p0', 100_000);
    await trial.read('p0');
    assert.deepEqual(await trial.list(), ['p0']);
  });
  row('lostDelete', async (trial) => {
    await trial.put('p0', 100_000);
    trial.planFor('delete', { kind: 'lose-answer' }, 1);
    await trial.delete('p0');
    assert.deepEqual(await trial.list(), []);
  });
  row('etag', async (trial) => {
    trial.plan({ fault: { kind: 'headers', headers: { etag: '"00000000000000000000000000000000"' } } });
    await trial.put('p0', 100_000);
    await trial.read('p0');
  });
}

function stallRows(row: Row): void {
  row('noConnection', async (trial) => {
    await trial.put('p0', 100_000);
    await trial.reopenAt(await silentListener(trial.test), { connectTimeoutMs: 200 });
    await trial.fails(() => trial.read('p0'));
    await trial.fails(() => trial.put('p1', 100_000));
  });
  const limits = { idleTimeoutMs: 1500 };
  row('slow', async (trial) => {
    await trial.put('p0', 10);
    const adapter = await trial.store.open(trial.bucket, PREFIX, { connectTimeoutMs: 1500 });
    trial.test.after(() => adapter.close());
    trial.store.proxy.latencyMs = 2000;
    try {
      // None of them may take the waiting for the others for a store that does not answer.
      await Promise.all(Array.from({ length: 150 }, () => adapter.getMetadata('p0' as BlobId, signal)));
    } finally {
      trial.store.proxy.latencyMs = 0;
    }
  });
  row('stallDown', async (trial) => {
    await trial.put('p0', 2 * MIB);
    await trial.reopen(limits);
    trial.planFor('get', { kind: 'stall-response', atByte: MIB }, 1);
    await trial.read('p0');
  });
  row('stallUp', async (trial) => {
    await trial.reopen(limits);
    trial.planFor('put', { kind: 'stall-request', atByte: MIB }, 1);
    await trial.put('p0', 32 * MIB);
    await trial.read('p0');
  });
  row('stallHead', async (trial) => {
    await trial.put('p0', 100_000);
    await trial.reopen(limits);
    trial.plan({ fault: { kind: 'silence' }, times: 1 });
    await trial.read('p0');
    trial.planFor('list', { kind: 'silence' }, 1);
    assert.deepEqual(await trial.list(), ['p0']);
  });
  row('endlessStall', async (trial) => {
    await trial.put('p0', 100_000);
    await trial.reopen({ idleTimeoutMs: 200 });
    trial.plan({ fault: { kind: 'silence' } });
    await trial.fails(() => trial.read('p0'));
    await trial.fails(() => trial.put('p1', 100_000));
    await trial.fails(() => trial.list());
  });
}

function accessRows(row: Row): void {
  row('rotated', async (trial) => {
    await trial.put('p0', 100_000);
    trial.plan({ fault: { kind: 'answer', answer: trial.store.answers.expired }, times: 1 });
    await trial.read('p0');
    trial.planFor('put', { kind: 'answer', answer: trial.store.answers.expired }, 1);
    await trial.put('p1', 100_000);
    assert.deepEqual(trial.waitedMs, []);
  });
  row('expired', async (trial) => {
    await trial.put('p0', 100_000);
    trial.plan({ fault: { kind: 'answer', answer: trial.store.answers.expired } });
    await trial.fails(() => trial.read('p0'));
    await trial.fails(() => trial.put('p1', 100_000));
    await trial.fails(() => trial.list());
  });
  row('bucketDeleted', async (trial) => {
    await trial.put('p0', 100_000);
    await trial.delete('p0');
    await trial.store.deleteBucket(trial.bucket);
    await trial.fails(() => trial.put('p1', 100_000));
    await trial.fails(() => trial.list());
    await trial.fails(() => trial.storage.getBlob('p0' as BlobId, undefined, signal));
  });
  row('skew', async (trial) => {
    const { skewed } = trial.store.answers;
    assert.ok(skewed !== undefined);
    await trial.put('p0', 100_000);
    trial.plan({ fault: { kind: 'answer', answer: skewed } });
    await trial.fails(() => trial.read('p0'));
    trial.store.proxy.clear();
  });
  row('noDelete', async (trial) => {
    await trial.put('p0', 100_000);
    trial.planFor('delete', { kind: 'answer', answer: trial.store.answers.denied });
    await trial.fails(() => trial.storage.deleteBlob('p0' as BlobId, signal));
    await trial.put('p1', 100_000);
    await trial.read('p0');
    assert.deepEqual(trial.waitedMs, []);
  });
  row('readOnly', async (trial) => {
    await trial.put('p0', 100_000);
    trial.planFor('put', { kind: 'answer', answer: trial.store.answers.denied });
    await trial.fails(() => trial.put('p1', 100_000));
    await trial.read('p0');
    assert.deepEqual(await trial.list(), ['p0']);
  });
}

function listRows(row: Row): void {
  row('manyKeys', async (trial) => {
    const names = Array.from({ length: LIST_KEYS }, (_, i) => `xn0_${String(i).padStart(5, '0')}`);
    const left = [...names];
    const worker = async (): Promise<void> => {
      for (let name = left.pop(); name !== undefined; name = left.pop()) await trial.put(name, 10);
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    trial.plan({
      fault: { kind: 'answer', answer: trial.store.answers.busy() },
      matching: ({ verb }) => verb === 'list',
      skip: 1,
      times: 2,
    });
    // The first try breaks off in its body, the next two are refused, the fourth has a page, and the next page breaks off.
    const reset = { kind: 'reset-response', atByte: 10_000 } as const;
    trial.planFor('list', reset, 1);
    trial.plan({ fault: { kind: 'refuse' }, matching: ({ verb }) => verb === 'list', skip: 1, times: 1 });
    assert.deepEqual(await trial.list(), names);
    assert.deepEqual(await trial.list('xn0_0119'), names.slice(1190));
  });
  row('oddKeys', async (trial) => {
    const { store, bucket } = trial;
    const foreign = ['deeper/p1', 'deeper/and deeper/p2', 'with space', 'ümlaut', 'new%0Aline and more'];
    for (const name of foreign) await store.putObject(bucket, `${PREFIX}${name}`, Buffer.from('foreign'));
    for (const key of ['elsewhere', 'backups/kopia/p3', 'backups/kopia/nsp4']) {
      await store.putObject(bucket, key, Buffer.from('foreign'));
    }
    const own = [
      "a+b=c&d;e,f@g:h$i!j*k'(l)",
      'per%20cent%2Fand%',
      'hash#and?query',
      '~tilde[0]{1}|^`"<>',
      'x'.repeat(200),
    ];
    for (const name of own) await trial.put(name, 100);
    for (const name of own) await trial.read(name);
    assert.deepEqual(await trial.list(), own.toSorted());
    for (const name of own) assert.deepEqual(await trial.list(name), [name]);
    await trial.delete('per%20cent%2Fand%');
    await trial.end();
  });
}

/** The suite that every storage passes, in bad weather. */
function contractRow(store: () => FaultStore): void {
  const WEATHER = [503, 'reset-response', 'lose-answer', 'refuse'] as const;
  let requests = 0;
  const open = async (t: TestContext): Promise<BlobStorage> => {
    const { proxy, answers, createBucket } = store();
    proxy.clear();
    for (const [index, kind] of WEATHER.entries()) {
      const matching = (): boolean => requests % 16 === index * 4;
      if (index === 0)
        proxy.plan({ fault: { kind: 'answer', answer: answers.busy() }, matching: () => requests++ % 16 === 0 });
      else if (kind === 'reset-response') proxy.plan({ fault: { kind, atByte: 0 }, matching });
      else if (kind === 'lose-answer' || kind === 'refuse') proxy.plan({ fault: { kind }, matching });
    }
    t.after(() => proxy.clear());
    const bucket = await createBucket();
    // versitygw removes a folder with its last object, and a put at that moment finds it gone.
    await store().putObject(bucket, `${PREFIX}deeper/object`, Buffer.from('foreign'));
    const adapter = await store().open(bucket, PREFIX);
    const { refreshCredentials } = adapter;
    return retryingStorage(
      adapter,
      {},
      {
        clock: hurriedClock([]),
        random: systemRandom,
        ...(refreshCredentials === undefined
          ? {}
          : { refreshCredentials: (s: AbortSignal) => refreshCredentials.call(adapter, s) }),
      },
    );
  };
  blobStorageSuite(FAULTS.contract.fault, open, { timestampSlackMs: 2000 });
}
