// A process that dies at a planned moment of a backup: `victim.ts PLAN` with the plan as JSON. Kills itself with SIGKILL at
// the given storage step, and prints the snapshot's id when the backup was acknowledged before it got there.
import { writeSync } from 'node:fs';

import { Engine } from '../harness/engine.ts';
import { StepStorage, WRITING_METHODS, type Moment } from '../harness/step-storage.ts';

export interface VictimPlan {
  readonly folder: string;
  readonly tree: string;
  /** The writing storage call it dies at, from 1. */
  readonly step: number;
  readonly moment: Moment;
  readonly maxPackSizeBytes?: number;
}

async function main(): Promise<void> {
  const plan = JSON.parse(process.argv[2] ?? '') as VictimPlan;
  const engine = new Engine({
    folder: plan.folder,
    wrapStorage: (storage) =>
      new StepStorage(storage, { methods: WRITING_METHODS, step: plan.step, moment: plan.moment, act: die }),
  });
  const result = await engine.backUp(plan.tree);
  writeSync(1, `${result.manifest.id}\n`);
}

function die(): void {
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way: nothing more may happen in this process.
  for (;;);
}

if (import.meta.main) await main();
