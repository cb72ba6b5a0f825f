// docs/storage-faults.md shows the matrix that the tests run. To write its table anew: `UPDATE_DOCS=1 npm test -- THIS FILE`.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { matrixTable } from './fault-matrix.ts';

const path = fileURLToPath(new URL('../../docs/storage-faults.md', import.meta.url));

/** The formatter pads cells and rules. */
const plain = (line: string): string => line.replace(/ +\|/g, ' |').replace(/-{3,}/g, '---');

test('docs/storage-faults.md shows what is tried and how it must end', () => {
  const text = readFileSync(path, 'utf8');
  const rest = text.split('\n').filter((line) => !line.startsWith('|'));
  if (process.env['UPDATE_DOCS'] === '1')
    writeFileSync(path, `${rest.join('\n').trimEnd()}\n\n${matrixTable().join('\n')}\n`);
  const table = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  assert.deepEqual(table.map(plain), matrixTable().map(plain));
});
