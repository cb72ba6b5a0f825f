// How much time and memory a full maintenance cycle takes on an index of many contents: `node test/bench/micro/collection.ts
// [CONTENTS]`. The repository is that of ../collection-repository.ts.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { scratchRoot } from '../../harness/scratch.ts';
import { makeCollection } from '../collection-repository.ts';

const PASSWORD = 'collection';

const contents = Number(process.argv[2] ?? 2_000_000);
const folder = mkdtempSync(join(scratchRoot(), 'windlass-collection-'));
try {
  const path = join(folder, 'repository');
  await makeCollection({ path, password: PASSWORD, contents });
  const windlass = fileURLToPath(new URL('../../../bin/windlass', import.meta.url));
  const args = [
    '-r',
    path,
    '--cache-dir',
    join(folder, 'cache'),
    '--memory-limit',
    '256MiB',
    'maintenance',
    'run',
    '--full',
    '--force',
    '--json',
  ];
  for (let cycle = 1; cycle <= 2; cycle++) {
    const startMs = performance.now();
    const result = spawnSync('/usr/bin/time', ['-f', '%M KiB, %U s user, %S s system', windlass, ...args], {
      encoding: 'utf8',
      env: { ...process.env, WINDLASS_PASSWORD: PASSWORD },
    });
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    process.stdout.write(`cycle ${cycle} of ${contents} contents: ${seconds} s, ${result.stderr.trim()}\n`);
    if (result.status !== 0) throw new Error(result.stdout);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
