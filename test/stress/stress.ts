// Random actions on one repository against a model in memory: which snapshots there must be, and what each tree held. The same
// seed does the same actions (threads and kills keep their own time).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Engine } from '../harness/engine.ts';
import { runCommand } from '../harness/run-command.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { describeTree, removeTree, type TreeDescription } from '../harness/tree.ts';
import { RandomTree } from './random-tree.ts';

const WRITER = fileURLToPath(new URL('writer.ts', import.meta.url));
const SOURCES = 3;
const MAX_SNAPSHOTS = 30;

const ACTIONS = { backUp: 12, restore: 8, delete: 5, verify: 1, list: 3, together: 4, kill: 5, unchanged: 3 } as const;
type Action = keyof typeof ACTIONS;

interface Remembered {
  readonly id: string;
  readonly tree: TreeDescription;
}

export interface StressOptions {
  readonly folder: string;
  readonly seed: number;
  readonly actions: number;
  /** No action starts after this. */
  readonly deadlineMs: number;
  readonly log: (line: string) => void;
}

export class Stress {
  readonly #options: StressOptions;
  readonly #random: SeededRandom;
  readonly #engine: Engine;
  readonly #trees: RandomTree[];
  readonly #model = new Map<string, Remembered>();
  /** A killed writer may or may not have left its snapshot. */
  #unsure = 0;

  constructor(options: StressOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#engine = new Engine({ folder: options.folder });
    this.#trees = Array.from(
      { length: SOURCES },
      (_, n) => new RandomTree(join(options.folder, `tree-${n}`), new SeededRandom(options.seed * 31 + n)),
    );
  }

  /** Answers how many actions were done. */
  async run(): Promise<number> {
    await this.#engine.create();
    for (const tree of this.#trees) tree.change(30);
    let done = 0;
    while (done < this.#options.actions && performance.now() < this.#options.deadlineMs) {
      const action = this.#model.size >= MAX_SNAPSHOTS ? 'delete' : this.#random.weighted(ACTIONS);
      done++;
      try {
        this.#options.log(`${done} ${action} ${await this.#act(action)}`);
      } catch (error) {
        throw new Error(`action ${done} (${action}) with seed ${this.#options.seed} failed`, { cause: error });
      }
    }
    await this.#list();
    await this.#engine.verify();
    for (const remembered of this.#model.values()) await this.#restore(remembered);
    return done;
  }

  async #act(action: Action): Promise<string> {
    const number = this.#random.below(SOURCES);
    const known = [...this.#model.values()];
    switch (action) {
      case 'backUp':
        return this.#backUp(number, this.#random.below(12));
      case 'unchanged':
        await this.#backUp(number, 0);
        return this.#backUp(number, 0);
      case 'restore':
        return known.length > 0 ? this.#restore(this.#random.pick(known)) : 'nothing';
      case 'delete':
        return known.length > 0 ? this.#delete(this.#random.pick(known).id) : 'nothing';
      case 'verify':
        await this.#engine.verify();
        return `${known.length} snapshots`;
      case 'list':
        return this.#list();
      case 'together':
        return this.#together();
      case 'kill':
        return this.#kill(number);
    }
  }

  async #backUp(number: number, changes: number): Promise<string> {
    const tree = this.#tree(number);
    tree.change(changes);
    const parallel = this.#random.between(1, 3);
    const result = await this.#engine.backUp(tree.path, { source: source(number), parallel });
    assert.deepEqual(result.errors, []);
    assert.equal(result.consistency.status, 'exact');
    this.#model.set(result.manifest.id, { id: result.manifest.id, tree: describeTree(tree.path) });
    return `source ${number}: ${result.manifest.id}, ${result.newContents} new contents`;
  }

  async #restore({ id, tree }: Remembered): Promise<string> {
    const manifest = (await this.#engine.list()).find((snapshot) => snapshot.id === id);
    assert.ok(manifest, `snapshot ${id} is listed`);
    const target = join(this.#options.folder, 'restored');
    const receipt = await this.#engine.restore(manifest, target);
    assert.equal(receipt.status, 'complete');
    assert.deepEqual(describeTree(target), tree);
    removeTree(target);
    return id;
  }

  async #delete(id: string): Promise<string> {
    const manifest = (await this.#engine.list()).find((snapshot) => snapshot.id === id);
    assert.ok(manifest);
    await this.#engine.delete(manifest.id);
    this.#model.delete(id);
    return id;
  }

  /** Everything known is listed; what is listed beyond that, killed writers finished before they died. */
  async #list(): Promise<string> {
    const listed = new Set<string>((await this.#engine.list()).map((snapshot) => snapshot.id));
    for (const id of this.#model.keys()) assert.ok(listed.has(id), `snapshot ${id} is listed`);
    const beyond = listed.size - this.#model.size;
    assert.ok(beyond >= 0 && beyond <= this.#unsure, `${beyond} snapshots nobody made`);
    return `${listed.size} snapshots`;
  }

  /** All sources at the same time: two in this process, one in another. */
  async #together(): Promise<string> {
    for (const tree of this.#trees) tree.change(this.#random.below(6));
    const [a, b] = [this.#engine.backUp(this.#tree(0).path, { source: source(0) }), this.#backUpElsewhere(1)];
    const c = this.#engine.backUp(this.#tree(2).path, { source: source(2) });
    const ids = [(await a).manifest.id, await b, (await c).manifest.id];
    for (const [number, id] of ids.entries()) {
      this.#model.set(id, { id, tree: describeTree(this.#tree(number).path) });
    }
    return ids.join(' ');
  }

  async #backUpElsewhere(number: number): Promise<string> {
    const result = await runCommand(this.#writerArgv(number));
    assert.equal(result.code, 0, result.stderr);
    return result.stdout.trim();
  }

  async #kill(number: number): Promise<string> {
    const tree = this.#tree(number);
    tree.change(this.#random.below(12));
    const delayMs = this.#random.between(100, 1000);
    const result = await runCommand(this.#writerArgv(number), {
      onStart: (child) => setTimeout(() => child.kill('SIGKILL'), delayMs).unref(),
    });
    const id = result.stdout.trim();
    if (id !== '') this.#model.set(id, { id, tree: describeTree(tree.path) });
    else if (result.signal !== null) this.#unsure++;
    else assert.fail(result.stderr);
    return `source ${number} after ${delayMs} ms: ${id === '' ? 'died' : id}`;
  }

  #writerArgv(number: number): string[] {
    const plan = { folder: this.#options.folder, tree: this.#tree(number).path, source: source(number) };
    return [process.execPath, WRITER, JSON.stringify(plan)];
  }

  #tree(number: number): RandomTree {
    const tree = this.#trees[number];
    assert.ok(tree);
    return tree;
  }
}

function source(number: number): { host: string; userName: string; path: string } {
  return { host: 'host', userName: 'user', path: `/source-${number}` };
}
