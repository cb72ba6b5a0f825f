// `maintenance run`.
import { WindlassError } from '../../base/errors.ts';
import { runMaintenance, type MaintenanceReport } from '../../repo-format/maintenance/enter.ts';
import type { TaskResult } from '../../repo-format/maintenance/cycle.ts';
import type { SafetyLevel } from '../../repo-format/maintenance/safety-parameters.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { stateDirectory, withRepository } from '../session.ts';
import { formatCount, formatDuration } from '../terminal/format.ts';
import { createStatusLine } from '../terminal/status-line.ts';
import { requireNotVelero } from './not-velero.ts';
import { lockMaintenance } from './local-lock.ts';

export interface RunOptions {
  readonly quick?: boolean;
  readonly full?: boolean;
  readonly safety: SafetyLevel;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export async function runCommand(context: CliContext, options: RunOptions): Promise<ExitCode> {
  if (options.quick === true && options.full === true) throw usageError('--quick and --full exclude each other');
  const { dryRun = false, force = false } = options;
  return withRepository(context, { readOnly: dryRun }, async (repository) => {
    const { clock, random, logger, signal, identity } = context;
    if (!force && !dryRun) {
      await requireNotVelero(repository.storage, signal);
      requireNothingLost(context);
    }
    const folder = stateDirectory(context, repository);
    const enabled = context.options.json !== true && context.options.quiet !== true;
    const status = createStatusLine(context.stderr, clock, enabled);
    const mode = options.full === true ? 'full' : options.quick === true ? 'quick' : 'auto';
    const client = { username: identity.userName, hostname: identity.host };
    try {
      const report = await runMaintenance(
        repository,
        { mode, safety: options.safety, dryRun, force, client, memoryLimitBytes: context.options.memoryLimit },
        {
          clock,
          random,
          logger,
          ...(folder === undefined ? {} : { lock: () => lockMaintenance(folder, logger) }),
          listener: {
            onTask: (task, phase) => status.update(`${task}: ${phase === 'planning' ? 'looking' : 'working'}`),
            onProgress: ({ task, done, total, unit }) =>
              status.update(
                `${task}: ${formatCount(done)}${total === undefined ? '' : ` of ${formatCount(total)}`} ${unit}`,
              ),
            onResult: (result) => {
              status.finish();
              context.output.line(resultLine(result));
            },
          },
        },
        signal,
      );
      context.output.document(report);
      printOutcome(context, report);
      return EXIT.ok;
    } finally {
      status.finish();
    }
  });
}

/** Packs that lost index blobs named look like garbage: what a repair would bring back would be deleted for good. */
function requireNothingLost({ rollbacks }: CliContext): void {
  if (rollbacks.length === 0) return;
  throw new WindlassError(
    'maintenance would delete for good what repository repair may bring back: look there first, then accept the state of the repository with cache clear --kind state, or use --force',
    { code: 'REPOSITORY_ROLLED_BACK', context: { rollbacks: rollbacks.join() } },
  );
}

function resultLine(result: TaskResult): string {
  if (result.outcome === 'skipped') return `${result.task}: not now: ${result.reason}`;
  return result.outcome === 'planned'
    ? `${result.task}: planned: ${result.summary}`
    : `${result.task}: ${result.summary} (${formatDuration(result.durationMs)})`;
}

function printOutcome(context: CliContext, report: MaintenanceReport): void {
  if (report.outcome === 'not-due') {
    context.output.line('nothing is due here; --quick and --full run a cycle at once');
  } else if (report.outcome === 'already-running') {
    context.output.line('maintenance is running on this machine already');
  }
}
