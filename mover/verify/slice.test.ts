// A nightly slice: packs one after the other, what was read is remembered, and a month covers a repository.
import assert from 'node:assert/strict';
import { appendFileSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { type BlobId, listSnapshots } from '../../repo-format/index.ts';
import { BackupFixture } from '../../test/harness/backup-fixture.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { file, tree } from '../../test/harness/tree.ts';
import { hasSystemCalls } from '../posix/libc.ts';
import { VerifyLedger } from './ledger.ts';
import { duePacks, type SliceOptions } from './slice.ts';
import { type VerifyReport, verifySnapshots } from './verify.ts';

const skip = hasSystemCalls() ? false : 'needs Linux system calls';
const DAY_MS = 86_400_000;

class Nights {
  readonly #t: TestContext;
  readonly fixture: BackupFixture;
  readonly #path: string;
  dayMs = systemClock.nowMs();

  private constructor(t: TestContext, fixture: BackupFixture) {
    this.#t = t;
    this.fixture = fixture;
    this.#path = join(memoryFolder(t, 'ledger'), 'state', 'verified-packs');
  }

  static async begin(t: TestContext): Promise<Nights> {
    const fixture = await BackupFixture.create(t, { format: { maxPackSizeBytes: 10 << 20 } });
    await fixture.backUp(tree({ large: file(new SeededRandom(5).bytes(35 << 20)), 'd/small': file('x') }).temporary(t));
    return new Nights(t, fixture);
  }

  get ledgerPath(): string {
    return this.#path;
  }

  packs(prefix: string): string[] {
    return globSync(`repository/${prefix}/**/*.f`, { cwd: this.fixture.folder })
      .map((name) => join(this.fixture.folder, name))
      .sort();
  }

  async night(slice: Omit<SliceOptions, 'ledger'> = {}): Promise<VerifyReport> {
    const { repository } = await BackupFixture.reopen(this.#t, this.fixture.folder);
    const manifests = await listSnapshots(repository.manifests, {}, this.#t.signal);
    const clock = { ...systemClock, nowMs: () => this.dayMs, monotonicMs: () => systemClock.monotonicMs() };
    const options = { manifests, percent: 0, parallel: 1, slice: { ...slice, ledger: VerifyLedger.open(this.#path) } };
    return verifySnapshots(repository, options, { clock, random: systemRandom }, this.#t.signal);
  }
}

test('a budget of bytes: night by night each pack is read once, until all are', { skip }, async (t) => {
  const nights = await Nights.begin(t);
  const all = nights.packs('p').length + nights.packs('q').length;
  assert.ok(all >= 4);
  let read = 0;
  for (let night = 0; read < all; night++) {
    const { slice, failureCount } = await nights.night({ maxBytes: 1, olderThanMs: 30 * DAY_MS });
    assert.equal(failureCount, 0);
    assert.equal(slice?.packs, 1, 'a budget smaller than a pack gets on, too');
    assert.equal(slice?.packsLeft, all - ++read);
    nights.dayMs += DAY_MS;
  }
  const idle = await nights.night({ olderThanMs: 30 * DAY_MS });
  assert.deepEqual([idle.slice?.packs, idle.slice?.packsLeft, idle.bytes], [0, 0, 0]);
  nights.dayMs += 31 * DAY_MS;
  assert.equal((await nights.night({ olderThanMs: 30 * DAY_MS })).slice?.packs, all, 'a month later all are due');
});

test('a damaged pack: its snapshots are named, and it is read again the next night', { skip }, async (t) => {
  const nights = await Nights.begin(t);
  const [pack = ''] = nights.packs('p');
  const bytes = readFileSync(pack);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  writeFileSync(pack, bytes);
  for (let night = 0; night < 2; night++) {
    const report = await nights.night({ olderThanMs: DAY_MS });
    assert.equal(report.slice?.packsDamaged, 1);
    assert.deepEqual(
      report.failures.map(({ code }) => code),
      ['CONTENT_CORRUPT'],
    );
    assert.match(report.failures[0]?.path ?? '', /^p[0-9a-f]{32}/);
    assert.deepEqual(
      report.affected.map(({ paths }) => paths.length),
      [1],
    );
  }
  rmSync(pack);
  const gone = await nights.night();
  assert.ok(gone.failures.some(({ code, path }) => code === 'CONTENT_LOST' && /^p[0-9a-f]{32}/.test(path)));
});

test('a damaged memory of what was verified costs reading again, nothing else', { skip }, async (t) => {
  const nights = await Nights.begin(t);
  await nights.night();
  appendFileSync(nights.ledgerPath, 'nonsense\n99 p');
  assert.equal((await nights.night({ olderThanMs: DAY_MS })).slice?.packs, 0);
  writeFileSync(nights.ledgerPath, 'nonsense');
  assert.ok(((await nights.night({ olderThanMs: DAY_MS })).slice?.packs ?? 0) > 3);
});

test('never verified first, then the longest unverified; times to come prove nothing', () => {
  const ledger = VerifyLedger.open('/nonexistent/ledger');
  const ids = ['p1', 'p2', 'p3', 'p4'] as BlobId[];
  ledger.note('p1', 500);
  ledger.note('p2', 100);
  ledger.note('p4', 2000);
  assert.deepEqual(duePacks(ids, { ledger }, 1000), ['p3', 'p2', 'p1', 'p4']);
  assert.deepEqual(duePacks(ids, { ledger, olderThanMs: 600_000 }, 1000), ['p3', 'p2', 'p4']);
});
