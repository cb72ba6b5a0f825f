// A guard against memory that grows with each content again: 500,000 of them cost what their indexes do, and little beside.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { text } from 'node:stream/consumers';

import { makeCollection } from '../bench/collection-repository.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { WINDLASS_PATH } from '../harness/windlass-command.ts';

const PASSWORD = 'collection';
const CONTENTS = 500_000;
/** Seen: 149 to 164 MiB from the sources. Catches what costs some 200 bytes a content, not less: slack against a test that flakes. */
const MOST_MIB = 260;
const SAMPLE_MS = 20;

/** The high-water mark of a process, MiB; 0 when it is gone. */
function peakOf(pid: number): number {
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return Number(kibibytes ?? 0) / 1024;
  } catch {
    return 0;
  }
}

test(
  `cycles of maintenance of ${CONTENTS} contents stay below ${MOST_MIB} MiB`,
  { skip: process.platform !== 'linux' && 'needs /proc' },
  async (t) => {
    const folder = memoryFolder(t, 'maintenance-memory');
    const path = join(folder, 'repository');
    await makeCollection({ path, password: PASSWORD, contents: CONTENTS });
    const args = ['-r', path, '--cache-dir', join(folder, 'cache'), '--memory-limit', '256MiB'];
    for (const [cycle, marked] of [250_000, 0].entries()) {
      const child = spawn(WINDLASS_PATH, [...args, 'maintenance', 'run', '--full', '--force'], {
        env: { ...process.env, WINDLASS_PASSWORD: PASSWORD },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let peak = 0;
      const sampling = setInterval(() => (peak = Math.max(peak, peakOf(child.pid ?? 0))), SAMPLE_MS);
      const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
      clearInterval(sampling);
      assert.equal(code, 0, output);
      assert.match(
        output,
        new RegExp(`snapshot-gc: 1 snapshots: ${marked} unused contents to mark`),
        'the work is done',
      );
      t.diagnostic(`cycle ${cycle + 1}: ${Math.round(peak)} MiB`);
      assert.ok(peak > 0 && peak < MOST_MIB, `cycle ${cycle + 1} peaked at ${Math.round(peak)} MiB`);
    }
  },
);
