// About a minute of random actions. Replay a failure with the seed it names: WINDLASS_STRESS_SEED=n npm run test:stress,
// longer with WINDLASS_STRESS_SECONDS.
import { test } from 'node:test';

import { memoryFolder } from '../harness/scratch.ts';
import { Stress } from './stress.ts';

const seed = Number(process.env['WINDLASS_STRESS_SEED'] ?? Math.floor(Date.now() / 1000));
const seconds = Number(process.env['WINDLASS_STRESS_SECONDS'] ?? 60);

test(`random actions against a model for ${seconds} s, seed ${seed}`, async (t) => {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const folder = memoryFolder(t, 'stress');
  const deadlineMs = performance.now() + seconds * 1000;
  const stress = new Stress({ folder, seed, actions: Number.POSITIVE_INFINITY, deadlineMs, log });
  try {
    t.diagnostic(`seed ${seed}: ${await stress.run()} actions`);
  } catch (error) {
    console.error(lines.slice(-40).join('\n'));
    throw error;
  }
});
