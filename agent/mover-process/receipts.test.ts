import assert from 'node:assert/strict';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RestoreReceipt } from '../../mover/index.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { keepReceipt } from './receipts.ts';

const receipt = { version: 1, status: 'complete' } as unknown as RestoreReceipt;

test('a receipt is kept under the UID of its object, and the oldest make room', async (t) => {
  const folder = join(scratchFolder(t), 'receipts');
  await keepReceipt(folder, 'first', receipt);
  for (let i = 0; i < 250; i++) {
    const path = join(folder, `old${i}.json`);
    writeFileSync(path, '{}');
    utimesSync(path, i, i);
  }
  const path = await keepReceipt(folder, 'last', receipt);
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), receipt);
  const names = readdirSync(folder);
  assert.equal(names.length, 200);
  assert.ok(names.includes('first.json') && names.includes('old249.json') && !names.includes('old0.json'));
});
