// docs/errors.md explains every error code that the sources can give, and no other.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const sources = globSync('{base,repo-format,mover,kube,agent,controller,cli}/**/*.ts', {
  cwd: root,
  exclude: ['**/*.test.ts'],
}).map((file) => ({ file, text: readFileSync(`${root}${file}`, 'utf8') }));
const firstCells = readFileSync(`${root}docs/errors.md`, 'utf8').matchAll(/^\| ([^|]+) \|/gm);
const documented = new Set(
  [...firstCells].flatMap(([, cell = '']) => [...cell.matchAll(/`([A-Z0-9_]+)`/g)].map(([, code = '']) => code)),
);
// A system's own, such as `ENOSPC`; none of ours is one word that begins with E.
const isErrno = (code: string): boolean => /^E[A-Z0-9]+$/.test(code);

test('every error code in the sources has a row in docs/errors.md', () => {
  const missing: string[] = [];
  for (const { file, text } of sources) {
    for (const [, code = ''] of text.matchAll(/\bcode(?::| =) '([A-Z][A-Z0-9_]+)'/g)) {
      if (!documented.has(code)) missing.push(`${code} (${file})`);
    }
  }
  assert.deepEqual(missing.sort(), []);
});

test('every error code in docs/errors.md can occur', () => {
  const stale = [...documented].filter(
    (code) => !isErrno(code) && !sources.some(({ text }) => text.includes(`'${code}'`)),
  );
  assert.deepEqual(stale.sort(), []);
});
