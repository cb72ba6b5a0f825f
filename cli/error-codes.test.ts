// Every error code that the sources can give is explained in docs/errors.md.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));

test('every error code in the sources has a row in docs/errors.md', () => {
  const firstCells = readFileSync(`${root}docs/errors.md`, 'utf8').matchAll(/^\| ([^|]+) \|/gm);
  const documented = new Set(
    [...firstCells].flatMap(([, cell = '']) => [...cell.matchAll(/`([A-Z0-9_]+)`/g)].map(([, code]) => code)),
  );
  const missing: string[] = [];
  for (const file of globSync('{base,repo-format,mover,cli}/**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] })) {
    for (const [, code = ''] of readFileSync(`${root}${file}`, 'utf8').matchAll(/\bcode: '([A-Z][A-Z0-9_]+)'/g)) {
      if (!documented.has(code)) missing.push(`${code} (${file})`);
    }
  }
  assert.deepEqual(missing.sort(), []);
});
