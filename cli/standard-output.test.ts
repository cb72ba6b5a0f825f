import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const WINDLASS = fileURLToPath(new URL('../bin/windlass', import.meta.url));

test('output that cannot be written is a failure with a message', (t) => {
  const full = openSync('/dev/full', 'w');
  t.after(() => {
    closeSync(full);
  });
  const run = spawnSync(WINDLASS, ['--help'], { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
  assert.equal(run.status, 1);
  assert.match(run.stderr, /^windlass: standard output cannot be written: .*ENOSPC/);
});
