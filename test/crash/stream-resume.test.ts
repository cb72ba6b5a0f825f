// A stream has no checkpoints: only its end says that it is whole. Killed in the middle and sent once more, it is read
// anew, and what had been stored is taken over, so that at most the packs in flight are stored twice.
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Engine } from '../harness/engine.ts';
import { runCommand } from '../harness/run-command.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { streamPieces, type StreamPlan } from './stream-victim.ts';

const VICTIM = fileURLToPath(new URL('stream-victim.ts', import.meta.url));
const MIB = 1 << 20;
const STREAM_BYTES = 240 * MIB;
const PACK_BYTES = 10 * MIB;
/** Being filled, on their way to storage, and one whose journal record was not yet written. */
const IN_FLIGHT_PACKS = 7;

for (const killAfterBytes of [60 * MIB, 200 * MIB]) {
  test(`a stream killed after ${killAfterBytes / MIB} MiB: sent again, it takes over what was stored`, async (t) => {
    const folder = memoryFolder(t, 'stream-resume');
    const engine = new Engine({ folder, signal: t.signal, maxPackSizeBytes: PACK_BYTES });
    await engine.create();
    const plan: StreamPlan = { folder, killAfterBytes, streamBytes: STREAM_BYTES };
    const died = await runCommand([process.execPath, VICTIM, JSON.stringify(plan)]);
    assert.equal(died.signal, 'SIGKILL', died.stderr);
    assert.equal((await engine.list()).length, 0, 'nothing was announced');
    const storedByVictim = packBytes(engine);
    assert.ok(storedByVictim >= killAfterBytes - (IN_FLIGHT_PACKS + 1) * PACK_BYTES, `${storedByVictim} bytes stored`);

    const result = await engine.backUpStream('stream', streamPieces(STREAM_BYTES));
    assert.ok(result.resumedPacks >= 1, `${result.resumedPacks} packs taken over`);
    assert.ok(result.bytesUploaded <= STREAM_BYTES * 1.01 - storedByVictim + IN_FLIGHT_PACKS * PACK_BYTES);
    const stored = packBytes(engine);
    assert.ok(stored < STREAM_BYTES * 1.01 + IN_FLIGHT_PACKS * PACK_BYTES, `${stored} bytes stored in all`);
    assert.equal(result.manifest.rootEntry?.summary?.size, STREAM_BYTES);
    await engine.verify();
  });
}

function packBytes(engine: Engine): number {
  const names = readdirSync(engine.repositoryPath, { recursive: true, encoding: 'utf8' });
  const packs = names.filter((name) => name.startsWith('p') && name.endsWith('.f'));
  return packs.reduce((sum, name) => sum + statSync(join(engine.repositoryPath, name)).size, 0);
}
