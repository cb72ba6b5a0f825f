// Our rules leave out exactly what kopia 0.23 leaves out; else a backup of the same tree under the same policy would hold
// other files, silently.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { IgnoreScope } from './ignore-rules.ts';

interface Golden {
  readonly paths: readonly string[];
  readonly below: Readonly<Record<string, readonly string[]>>;
  readonly atRoot: Readonly<Record<string, readonly string[]>>;
  readonly invalid: readonly string[];
}

const file = path.join(import.meta.dirname, '../../test/golden/ignore-rules/kopia-0.23.json');
const golden = JSON.parse(readFileSync(file, 'utf8')) as Golden;

/** A path is left out with any of the directories above it. */
function leftOut(scope: IgnoreScope, prefix: string): string[] {
  return golden.paths.filter((name) => {
    const parts = name.split('/');
    return parts.some((_, i) => {
      const entry = { isDirectory: i < parts.length - 1, size: 0, dev: 1 };
      return scope.reason(prefix + parts.slice(0, i + 1).join('/'), entry, 1) !== undefined;
    });
  });
}

test('a rule in a dot file leaves out what it does for kopia', () => {
  for (const [pattern, expected] of Object.entries(golden.below)) {
    const scope = IgnoreScope.none().enter('sub', undefined, [`${pattern}\n`]);
    assert.deepEqual(leftOut(scope, 'sub/'), expected, JSON.stringify(pattern));
  }
});

test('a rule in the policy of the root leaves out what it does for kopia', () => {
  for (const [pattern, expected] of Object.entries(golden.atRoot)) {
    const scope = IgnoreScope.none().enter('', { ignore: [pattern] }, []);
    assert.deepEqual(leftOut(scope, ''), expected, JSON.stringify(pattern));
  }
});

test('what kopia refuses is refused', () => {
  for (const pattern of golden.invalid) {
    assert.throws(
      () => IgnoreScope.none().enter('sub', undefined, [pattern]),
      { code: 'IGNORE_PATTERN_INVALID' },
      pattern,
    );
  }
});
