// Whatever writers, deletions and maintenance do in whatever order and at whatever pace: what a snapshot needs can be read.
import fc from 'fast-check';
import { test, type TestContext } from 'node:test';
import { MaintainedRepository } from '../../test/harness/maintained-repository.ts';
import type { StoredTree } from '../../test/harness/stored-tree.ts';
import type { ManifestId, Repository } from '../index.ts';

type Action =
  | { readonly kind: 'store' | 'begin'; readonly files: readonly number[] }
  | { readonly kind: 'finish' | 'delete'; readonly which: number }
  | { readonly kind: 'pass'; readonly hours: number }
  | { readonly kind: 'maintain'; readonly dryRun: boolean };

const files = fc.uniqueArray(fc.nat(11), { minLength: 1, maxLength: 4 });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: files.map((list): Action => ({ kind: 'store', files: list })) },
  { weight: 2, arbitrary: files.map((list): Action => ({ kind: 'begin', files: list })) },
  { weight: 3, arbitrary: fc.nat(9).map((which): Action => ({ kind: 'finish', which })) },
  { weight: 4, arbitrary: fc.nat(9).map((which): Action => ({ kind: 'delete', which })) },
  { weight: 4, arbitrary: fc.constantFrom(0.1, 1, 3, 5, 23, 25, 49).map((hours): Action => ({ kind: 'pass', hours })) },
  { weight: 6, arbitrary: fc.nat(4).map((coin): Action => ({ kind: 'maintain', dryRun: coin === 0 })) },
);

/** Few different files, so that snapshots share them and come back to those that were deleted. */
const treeOf = (numbers: readonly number[]): StoredTree => ({
  folder: Object.fromEntries(numbers.map((number) => [`file-${number}`, `${number} `.repeat(2000 * (number + 1))])),
});

/** A writer that has stored its contents, or found them stored, and whose snapshot nobody sees yet. */
interface Writer {
  readonly repository: Repository;
  readonly files: readonly number[];
  readonly startMs: number;
}

// Kopia stores a checkpoint every 45 minutes; safety is built on an hour.
const WRITER_MS = 3600 * 1000;

class World {
  readonly #repository: MaintainedRepository;
  #snapshots: ManifestId[] = [];
  #writers: Writer[] = [];

  constructor(repository: MaintainedRepository) {
    this.#repository = repository;
  }

  async act(action: Action): Promise<void> {
    switch (action.kind) {
      case 'store':
        this.#snapshots.push(await this.#repository.store(treeOf(action.files)));
        return;
      case 'begin':
        await this.#begin(action.files);
        return;
      case 'finish':
        await this.#finish(this.#writers.splice(action.which % (this.#writers.length || 1), 1)[0]);
        return;
      case 'delete': {
        const [id] = this.#snapshots.splice(action.which % (this.#snapshots.length || 1), 1);
        if (id !== undefined) await this.#repository.delete(id);
        return;
      }
      case 'pass':
        await this.#pass(action.hours);
        return;
      case 'maintain':
        await this.#repository.maintain({ dryRun: action.dryRun });
    }
  }

  async check(): Promise<void> {
    const listed = new Set(await this.#repository.verify());
    for (const id of this.#snapshots) if (!listed.has(id)) throw new Error(`snapshot ${id} is gone`);
  }

  async close(): Promise<void> {
    for (const { repository } of this.#writers.splice(0)) await repository.close();
  }

  async #begin(numbers: readonly number[]): Promise<void> {
    const repository = await this.#repository.open();
    for (const number of numbers) {
      const content = Buffer.from(`${number} `.repeat(2000 * (number + 1)));
      await repository.writeContent('', content, 'none', new AbortController().signal);
    }
    this.#writers.push({ repository, files: numbers, startMs: this.#repository.clock.nowMs() });
  }

  async #finish(writer: Writer | undefined): Promise<void> {
    if (writer === undefined) return;
    this.#snapshots.push(await this.#repository.storeWith(writer.repository, treeOf(writer.files)));
    await writer.repository.close();
  }

  /** Writers do not outlive the time that safety gives them: they finish, or die. */
  async #pass(hours: number): Promise<void> {
    const untilMs = this.#repository.clock.nowMs() + hours * 3600 * 1000;
    const late = this.#writers.filter(({ startMs }) => untilMs - startMs > WRITER_MS);
    this.#writers = this.#writers.filter((writer) => !late.includes(writer));
    for (const [number, writer] of late.entries()) {
      if (number % 2 === 0) await this.#finish(writer);
      else await writer.repository.close();
    }
    this.#repository.passHours(hours);
  }
}

async function play(t: TestContext, actions: readonly Action[]): Promise<void> {
  const world = new World(await MaintainedRepository.create(t));
  try {
    for (const each of actions) {
      await world.act(each);
      if (each.kind === 'maintain') await world.check();
    }
    await world.check();
  } finally {
    await world.close();
  }
}

// WINDLASS_PROPERTY_RUNS=500 for a long look.
const runs = Number(process.env['WINDLASS_PROPERTY_RUNS'] ?? 5);

test('no content that a snapshot needs is ever lost', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 20, maxLength: 60 }), (actions) => play(t, actions)),
    { numRuns: runs, endOnFailure: true },
  );
});
