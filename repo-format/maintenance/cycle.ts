// Runs the tasks of one cycle in order, and records each in the schedule as soon as it is over (snapshots §7.2). A failure
// or an interrupt ends the cycle: what is done is done, and the next cycle goes on from there.
import { isAbortError } from '../../base/errors.ts';
import type { ExactJson } from '../../base/go-json.ts';
import { loadSchedule, storeSchedule, withRun, type RunOutcome, type Schedule } from './schedule.ts';
import type { MaintenanceRun, Task, TaskName, TaskPlan } from './task.ts';

/** How one task went. */
export type TaskResult =
  | { readonly task: TaskName; readonly outcome: 'skipped'; readonly reason: string }
  | {
      readonly task: TaskName;
      /** `planned` in a dry run. */
      readonly outcome: 'done' | 'planned';
      readonly summary: string;
      readonly facts: Readonly<Record<string, ExactJson>>;
      /** What was recorded of it; null when there is nothing. */
      readonly stats: ExactJson;
      readonly durationMs: number;
    };

export interface CycleListener {
  /** Called before a task looks, and again before it acts. */
  onTask?(task: TaskName, phase: 'planning' | 'applying'): void;
  /** Called when a task is over. */
  onResult?(result: TaskResult): void;
}

/** The run as tasks see it, and the one place where its schedule is replaced. */
export interface CycleRun extends MaintenanceRun {
  setSchedule(schedule: Schedule): void;
}

/** Rejects with the error of the first task that fails, which is recorded, or with `AbortError`. */
export async function runCycle(
  tasks: readonly Task[],
  run: CycleRun,
  listener: CycleListener,
  signal: AbortSignal,
): Promise<TaskResult[]> {
  const results: TaskResult[] = [];
  for (const task of tasks) {
    signal.throwIfAborted();
    const result = await runTask(task, run, listener, signal);
    results.push(result);
    listener.onResult?.(result);
  }
  return results;
}

async function runTask(task: Task, run: CycleRun, listener: CycleListener, signal: AbortSignal): Promise<TaskResult> {
  const { clock } = run;
  const { name } = task;
  const startNs = clock.nowNs();
  const startedMs = clock.monotonicMs();
  let plan: TaskPlan;
  try {
    listener.onTask?.(name, 'planning');
    plan = await task.plan(run, signal);
    if (plan.kind === 'skip') return { task: name, outcome: 'skipped', reason: plan.reason };
    const { summary, facts } = plan;
    if (run.dryRun) {
      const durationMs = clock.monotonicMs() - startedMs;
      return { task: name, outcome: 'planned', summary, facts, stats: null, durationMs };
    }
    listener.onTask?.(name, 'applying');
    const stats = await plan.apply(signal);
    await record(name, run, { startNs, endNs: clock.nowNs(), stats }, signal);
    const durationMs = clock.monotonicMs() - startedMs;
    return { task: name, outcome: 'done', summary, facts, stats: stats?.data ?? null, durationMs };
  } catch (error) {
    // An interrupt is not the task's failure, and there is no time left to write: the schedule says nothing, as after a kill.
    if (!isAbortError(error) && !signal.aborted && !run.dryRun) await recordFailure(name, run, startNs, error, signal);
    throw error;
  }
}

/** Reads the blob anew, so that what somebody else wrote meanwhile is not lost. */
async function record(task: TaskName, run: CycleRun, outcome: RunOutcome, signal: AbortSignal): Promise<void> {
  const { storage, format } = run.repository;
  const schedule = withRun(await loadSchedule(storage, format, signal), task, outcome);
  await storeSchedule(storage, format, schedule, run.random, signal);
  run.setSchedule(schedule);
}

async function recordFailure(
  task: TaskName,
  run: CycleRun,
  startNs: bigint,
  error: unknown,
  signal: AbortSignal,
): Promise<void> {
  const message = error instanceof Error ? error.message : String(error);
  try {
    await record(task, run, { startNs, endNs: run.clock.nowNs(), error: message }, signal);
  } catch (failure) {
    // The task's own error is the one to report; a run that is not recorded only makes later ones more careful.
    run.logger.warn('a failed maintenance task could not be recorded', { task, error: String(failure) });
  }
}
