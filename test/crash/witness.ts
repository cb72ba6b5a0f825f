// Remembers which snapshots were acknowledged and what their trees looked like, and checks a repository against that.
import assert from 'node:assert/strict';
import { join } from 'node:path';

import type { Engine } from '../harness/engine.ts';
import type { SeededRandom } from '../harness/seeded-random.ts';
import { describeTree, removeTree, type TreeDescription } from '../harness/tree.ts';

export class Witness {
  readonly #engine: Engine;
  readonly #folder: string;
  readonly #trees = new Map<string, TreeDescription>();

  constructor(engine: Engine, folder: string) {
    this.#engine = engine;
    this.#folder = folder;
  }

  get count(): number {
    return this.#trees.size;
  }

  /** A backup of `tree` was acknowledged. */
  acknowledge(id: string, tree: string): void {
    this.#trees.set(id, describeTree(tree));
  }

  forget(id: string): void {
    this.#trees.delete(id);
  }

  /**
   * Every acknowledged snapshot is listed; everything listed verifies to the last byte; the newest acknowledged one and one
   * other restore to what they were. A backup that died may have left a snapshot as well: then it must be whole.
   */
  async check(random: SeededRandom): Promise<void> {
    const listed = await this.#engine.list();
    const ids = new Set<string>(listed.map((snapshot) => snapshot.id));
    for (const id of this.#trees.keys()) assert.ok(ids.has(id), `acknowledged snapshot ${id} is listed`);
    await this.#engine.verify();
    const known = [...this.#trees.keys()];
    if (known.length === 0) return;
    for (const id of new Set([known.at(-1) ?? '', random.pick(known)])) await this.#restore(id);
  }

  /** Restores every acknowledged snapshot. */
  async checkAll(): Promise<void> {
    for (const id of this.#trees.keys()) await this.#restore(id);
  }

  async #restore(id: string): Promise<void> {
    const manifest = (await this.#engine.list()).find((snapshot) => snapshot.id === id);
    assert.ok(manifest);
    const target = join(this.#folder, 'restored');
    await this.#engine.restore(manifest, target);
    assert.deepEqual(describeTree(target), this.#trees.get(id));
    removeTree(target);
  }
}
