// A backup is killed after it has stored some packs, and run again: packs already stored are taken over, so that at most
// those in flight are stored twice, and the takeover does not cost an index blob a pack.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Engine } from '../harness/engine.ts';
import { runCommand } from '../harness/run-command.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { describeTree } from '../harness/tree.ts';
import type { VictimPlan } from './victim.ts';

const VICTIM = fileURLToPath(new URL('victim.ts', import.meta.url));
const MIB = 1 << 20;
const FILES = 120;
const FILE_BYTES = MIB;
/** The least a repository accepts. */
const PACK_BYTES = 10 * MIB;
/** Packs being filled when the victim dies: one of each kind a lane, and one more of each being stored. */
const IN_FLIGHT_PACKS = 6;

for (const step of [4, 7, 10]) {
  test(`killed at storage step ${step}, the next run takes over what was stored`, async (t) => {
    const folder = memoryFolder(t, 'resume');
    const engine = new Engine({ folder, signal: t.signal, maxPackSizeBytes: PACK_BYTES });
    await engine.create();
    const tree = join(folder, 'tree');
    mkdirSync(tree);
    const random = new SeededRandom(step);
    for (let n = 0; n < FILES; n++) writeFileSync(join(tree, `file-${n}`), random.bytes(FILE_BYTES));
    const plan: VictimPlan = { folder, tree, step, moment: 'after' };
    const died = await runCommand([process.execPath, VICTIM, JSON.stringify(plan)]);
    assert.equal(died.signal, 'SIGKILL', died.stderr);
    const storedByVictim = blobBytes(engine, 'p');
    assert.ok(storedByVictim >= PACK_BYTES, 'the victim had stored a pack');
    const result = await engine.backUp(tree);
    assert.ok(result.resumedPacks >= 1, `${result.resumedPacks} packs taken over`);
    const stored = blobBytes(engine, 'p');
    assert.ok(stored < FILES * FILE_BYTES * 1.01 + IN_FLIGHT_PACKS * PACK_BYTES, `${stored} bytes stored in all`);
    assert.ok(blobCount(engine, 'x') <= 4, `${blobCount(engine, 'x')} index blobs`);
    assert.equal(blobCount(engine, 's'), 0, 'no session is left open');
    const target = join(folder, 'restored');
    await engine.restore(result.manifest, target);
    assert.deepEqual(describeTree(target), describeTree(tree));
    await engine.verify();
  });
}

function blobFiles(engine: Engine, prefix: string): string[] {
  const names = readdirSync(engine.repositoryPath, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.startsWith(prefix) && name.endsWith('.f'));
}

function blobBytes(engine: Engine, prefix: string): number {
  return blobFiles(engine, prefix).reduce((sum, name) => sum + statSync(join(engine.repositoryPath, name)).size, 0);
}

function blobCount(engine: Engine, prefix: string): number {
  return blobFiles(engine, prefix).length;
}
