// A process that dies at a planned moment of a copy or a repair: `job-victim.ts PLAN` with the plan as JSON. Kills itself with
// SIGKILL at the given storage step, and prints `done` when the work was over before it got there.
import { writeSync } from 'node:fs';

import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/logger.ts';
import { copySnapshots, repairRepository } from '../../mover/index.ts';
import { Engine } from '../harness/engine.ts';
import { StepStorage, WRITING_METHODS, type Moment } from '../harness/step-storage.ts';

/** Into the repository of `folder`, or of it. */
export type Job =
  | { readonly kind: 'copy'; readonly fromFolder: string }
  | { readonly kind: 'repair'; readonly healFrom?: string; readonly dropLost?: boolean };

export interface JobPlan {
  readonly folder: string;
  readonly job: Job;
  /** The writing storage call it dies at, from 1. */
  readonly step: number;
  readonly moment: Moment;
}

/** Does the whole job on the engine's repository. */
export async function runJob(engine: Engine, job: Job): Promise<void> {
  const { signal } = new AbortController();
  if (job.kind === 'repair') {
    const { healFrom, dropLost } = job;
    await engine.use((repository) =>
      repairRepository(repository, { healFrom, dropLost }, { logger: silentLogger }, signal),
    );
    return;
  }
  const from = new Engine({ folder: job.fromFolder });
  const manifests = await from.list();
  await using source = await from.open(true);
  await engine.use((target) => copySnapshots(source, target, manifests, { clock: systemClock }, signal));
}

async function main(): Promise<void> {
  const { folder, job, step, moment } = JSON.parse(process.argv[2] ?? '') as JobPlan;
  const engine = new Engine({
    folder,
    wrapStorage: (storage) => new StepStorage(storage, { methods: WRITING_METHODS, step, moment, act: die }),
  });
  await runJob(engine, job);
  writeSync(1, 'done\n');
}

function die(): void {
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way: nothing more may happen in this process.
  for (;;);
}

if (import.meta.main) await main();
