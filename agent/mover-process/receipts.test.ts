import assert from 'node:assert/strict';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../base/logger.ts';
import type { RestoreReceipt } from '../../mover/index.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { keepReceipt, keepReceiptOrLog } from './receipts.ts';

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

test('a receipt that cannot be kept is in the log, and fails nothing', async (t) => {
  const file = join(scratchFolder(t), 'a-file');
  writeFileSync(file, '');
  const warned: unknown[] = [];
  const logger = { ...silentLogger, warn: (_message: string, fields?: object) => void warned.push(fields) };
  assert.equal(await keepReceiptOrLog(join(file, 'receipts'), 'uid', receipt, logger), undefined);
  assert.deepEqual(warned, [{ folder: join(file, 'receipts'), code: 'ENOTDIR', receipt }]);
});
