// Writers and maintainers of both programs on one repository, in random turns and at the same time, against a model of what
// must be there. The same seed takes the same turns.
//
// First everything happens at once, at the machine's own time. Then days pass: blobs are dated by a clock that runs ahead,
// and turns follow one another, because kopia and our lanes know the machine's time only.
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { agedStorage } from '../harness/aged-storage.ts';
import { Engine, ENGINE_PASSWORD, ENGINE_SOURCE } from '../harness/engine.ts';
import { KopiaClient } from '../harness/kopia-client.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { createTestClock, type TestClock } from '../harness/test-clock.ts';
import { describeTree, removeTree, type TreeDescription } from '../harness/tree.ts';
import { loadParameters, storeParameters } from '../../repo-format/maintenance/parameters.ts';
import { RandomTree } from './random-tree.ts';

const TREES = 3;
const MAX_SNAPSHOTS = 12;
const HOUR_MS = 3600 * 1000;
const OWNER = { username: 'windlass', hostname: 'host' };

const TURNS = {
  backUp: 8,
  kopiaBackUp: 3,
  delete: 6,
  kopiaDelete: 1,
  pass: 8,
  maintain: 8,
  maintainBeside: 4,
  kopiaMaintain: 2,
  verify: 2,
} as const;
type Turn = keyof typeof TURNS;

interface Remembered {
  readonly id: string;
  readonly tree: TreeDescription;
  /** By the clock that dated it, Unix ms. */
  readonly storedMs: number;
}

export interface MaintenanceStressOptions {
  readonly folder: string;
  readonly seed: number;
  readonly turns: number;
  /** No turn starts after this. */
  readonly deadlineMs: number;
  /** Without one only ours take part. */
  readonly kopia: string | undefined;
  readonly log: (line: string) => void;
}

export class MaintenanceStress {
  readonly #options: MaintenanceStressOptions;
  readonly #random: SeededRandom;
  readonly #clock: TestClock = createTestClock(Date.now());
  readonly #engine: Engine;
  readonly #kopia: KopiaClient | undefined;
  readonly #trees: RandomTree[];
  readonly #model = new Map<string, Remembered>();

  constructor(options: MaintenanceStressOptions) {
    const { folder, seed, kopia } = options;
    this.#options = options;
    this.#random = new SeededRandom(seed);
    const clock = this.#clock;
    const real = kopia !== undefined;
    this.#engine = new Engine({
      folder,
      clock,
      realKeys: real,
      maxPackSizeBytes: 10 << 20,
      wrapStorage: (storage) => agedStorage(storage, clock),
    });
    const repository = this.#engine.repositoryPath;
    this.#kopia = real
      ? new KopiaClient({ program: kopia, folder: join(folder, 'kopia'), repository, password: ENGINE_PASSWORD })
      : undefined;
    this.#trees = Array.from(
      { length: TREES },
      (_, n) => new RandomTree(join(folder, `tree-${n}`), new SeededRandom(seed * 31 + n)),
    );
  }

  /** Answers how many turns were taken. */
  async run(): Promise<number> {
    await this.#engine.create();
    for (const tree of this.#trees) tree.change(25);
    await this.#kopia?.connect();
    await this.#kopia?.ok('policy', 'set', '--global', '--keep-latest=1000');
    await this.#atOnce();
    let done = 0;
    while (done < this.#options.turns && performance.now() < this.#options.deadlineMs) {
      done++;
      await this.#attempt(done, this.#random.weighted(TURNS));
    }
    // Days later, so that everything that can go has gone.
    for (let cycle = 0; cycle < 4; cycle++) {
      this.#clock.advance(25 * HOUR_MS);
      await this.#maintain('full');
    }
    await this.#verifyAll();
    return done;
  }

  async #attempt(number: number, turn: Turn): Promise<void> {
    try {
      this.#options.log(`${number} ${turn} ${await this.#take(turn)}`);
      await this.#verifyList();
    } catch (error) {
      throw new Error(`turn ${number} (${turn}) with seed ${this.#options.seed} failed`, { cause: error });
    }
  }

  /** All writers and both maintainers, at the machine's own time. */
  async #atOnce(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      this.#catchUp();
      await this.#own();
      const mode = round === 0 ? 'full' : 'quick';
      await Promise.all([this.#backUp(0), this.#kopiaBackUp(1), this.#maintain(mode), this.#backUp(2)]);
      await this.#kopia?.ok('maintenance', 'set', '--owner=me');
      await Promise.all([this.#backUp(0), this.#kopia?.ok('maintenance', 'run', '--full'), this.#kopiaBackUp(2)]);
      await this.#engine.verify();
    }
  }

  async #take(turn: Turn): Promise<string> {
    const number = this.#random.below(TREES);
    switch (turn) {
      case 'backUp':
        return this.#backUp(number);
      case 'kopiaBackUp':
        return this.#kopiaBackUp(number);
      case 'delete':
      case 'kopiaDelete':
        return this.#delete(turn === 'kopiaDelete');
      case 'pass': {
        const hours = this.#random.pick([0.5, 1, 3, 5, 12, 25, 30, 50]);
        this.#clock.advance(hours * HOUR_MS);
        return `${hours} h`;
      }
      case 'maintain':
        await this.#own();
        return this.#maintain(this.#random.chance(0.8) ? 'full' : 'quick');
      case 'maintainBeside': {
        await this.#own();
        return (await Promise.all([this.#maintain('full'), this.#backUp(number)])).join(', ');
      }
      case 'kopiaMaintain':
        if (this.#kopia === undefined) return 'no kopia';
        await this.#kopia.ok('maintenance', 'set', '--owner=me');
        await this.#kopia.ok('maintenance', 'run', this.#random.chance(0.7) ? '--full' : '--no-full');
        return 'done';
      case 'verify':
        await this.#engine.verify();
        return `${this.#model.size} snapshots`;
    }
  }

  async #backUp(number: number): Promise<string> {
    const tree = this.#tree(number);
    tree.change(this.#random.below(10));
    const described = describeTree(tree.path);
    const { manifest } = await this.#engine.backUp(tree.path, { source: sourceOf(number), parallel: 2 });
    this.#model.set(manifest.id, { id: manifest.id, tree: described, storedMs: this.#clock.nowMs() });
    return `tree ${number}: ${manifest.id}`;
  }

  async #kopiaBackUp(number: number): Promise<string> {
    if (this.#kopia === undefined) return 'no kopia';
    const path = this.#tree(number).path;
    const { host, userName } = ENGINE_SOURCE;
    const source = `--override-source=${userName}@${host}:/kopia-${number}`;
    const { id } = (await this.#kopia.json('snapshot', 'create', path, source)) as { id: string };
    this.#model.set(id, { id, tree: {} as TreeDescription, storedMs: Date.now() });
    return `tree ${number}: ${id}`;
  }

  async #delete(byKopia: boolean): Promise<string> {
    const many = this.#model.size > MAX_SNAPSHOTS;
    let deleted = 0;
    while (deleted < (many ? 4 : 1)) {
      const deletable = this.#deletable(byKopia);
      if (deletable.length === 0 || this.#model.size < 2) break;
      const id = this.#random.pick(deletable);
      this.#model.delete(id);
      if (byKopia && this.#kopia !== undefined) await this.#kopia.ok('snapshot', 'delete', '--delete', id);
      else await this.#engine.delete(id as Parameters<Engine['delete']>[0]);
      deleted++;
    }
    return `${deleted}`;
  }

  /** Kopia dates a deletion by the machine's clock, and does not see to it that it is later than what it deletes. */
  #deletable(byKopia: boolean): string[] {
    const all = [...this.#model.values()];
    const nowMs = Date.now();
    return (byKopia ? all.filter(({ storedMs }) => storedMs < nowMs) : all).map(({ id }) => id);
  }

  /** Takes maintenance over from whoever has it. By kopia where there is one: of two settings the later counts. */
  async #own(): Promise<void> {
    const owner = `${OWNER.username}@${OWNER.hostname}`;
    if (this.#kopia !== undefined) {
      await this.#kopia.ok('maintenance', 'set', `--owner=${owner}`);
      return;
    }
    const { signal } = new AbortController();
    await this.#engine.use(async (repository) => {
      const parameters = await loadParameters(repository.manifests, signal);
      await storeParameters(repository.manifests, { ...parameters, owner }, signal);
      await repository.flush(signal);
    });
  }

  async #maintain(mode: 'full' | 'quick'): Promise<string> {
    const report = await this.#engine.maintain({ mode, force: mode === 'full', client: OWNER });
    if (report.outcome !== 'done') return report.outcome;
    const deleted = report.tasks.find(({ task }) => task === 'full-delete-blobs');
    return deleted?.outcome === 'done' ? deleted.summary : mode;
  }

  /** The clock that runs ahead is never behind the machine's. */
  #catchUp(): void {
    this.#clock.advance(Math.max(0, Date.now() - this.#clock.nowMs()));
  }

  async #verifyAll(): Promise<void> {
    await this.#engine.verify();
    await this.#verifyList();
    const target = join(this.#options.folder, 'restored');
    for (const manifest of await this.#engine.list()) {
      const known = this.#model.get(manifest.id);
      if (known === undefined || manifest.source.path.startsWith('/kopia')) continue;
      assert.equal((await this.#engine.restore(manifest, target)).status, 'complete');
      assert.deepEqual(describeTree(target), known.tree);
      removeTree(target);
    }
    await this.#kopia?.quiet('content', 'verify', '--full');
    await this.#kopia?.quiet('snapshot', 'verify', '--verify-files-percent=100');
  }

  /** Nothing that was acknowledged is missing, and nothing that was deleted comes back. */
  async #verifyList(): Promise<void> {
    const listed = (await this.#engine.list()).map(({ id }) => id as string).sort();
    assert.deepEqual(listed, [...this.#model.keys()].sort());
  }

  #tree(number: number): RandomTree {
    const tree = this.#trees[number];
    assert.ok(tree);
    return tree;
  }
}

function sourceOf(number: number): { host: string; userName: string; path: string } {
  return { ...ENGINE_SOURCE, path: `/source-${number}` };
}
