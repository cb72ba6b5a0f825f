// Random turns of writers and maintainers. Replay a failure with the seed it names: WINDLASS_STRESS_SEED=n npm run test:stress,
// longer with WINDLASS_STRESS_SECONDS.
import { test } from 'node:test';

import { findKopia } from '../harness/kopia-client.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { MaintenanceStress } from './maintenance-stress.ts';

const seed = Number(process.env['WINDLASS_STRESS_SEED'] ?? Math.floor(Date.now() / 1000));
const seconds = Number(process.env['WINDLASS_STRESS_SECONDS'] ?? 45);
const kopia = findKopia();

test(`maintenance beside writers for ${seconds} s, seed ${seed}${kopia === undefined ? ', without kopia' : ''}`, async (t) => {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const folder = memoryFolder(t, 'maintenance-stress');
  const deadlineMs = performance.now() + seconds * 1000;
  const stress = new MaintenanceStress({ folder, seed, turns: Number.POSITIVE_INFINITY, deadlineMs, kopia, log });
  try {
    t.diagnostic(`seed ${seed}: ${await stress.run()} turns`);
  } catch (error) {
    console.error(lines.slice(-40).join('\n'));
    throw error;
  }
});
