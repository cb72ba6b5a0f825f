// `maintenance info`: JSON in the members of `kopia maintenance info --json`.
import { formatTimestampNs } from '../../base/go-time.ts';
import { dueMode } from '../../repo-format/maintenance/enter.ts';
import { clientName, isOwner } from '../../repo-format/maintenance/ownership.ts';
import {
  effectiveLogRetention,
  encodeParameters,
  loadParameters,
  type CycleParameters,
  type MaintenanceParameters,
} from '../../repo-format/maintenance/parameters.ts';
import { encodeSchedule, loadSchedule, type Schedule } from '../../repo-format/maintenance/schedule.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { formatCount, formatDuration, formatSize, formatTime, table } from '../terminal/format.ts';

/** Runs of a task that people are shown; `--json` has all. */
const SHOWN_RUNS = 3;

export async function infoCommand(context: CliContext): Promise<ExitCode> {
  return withRepository(context, { readOnly: true }, async (repository) => {
    const parameters = await loadParameters(repository.manifests, context.signal);
    const schedule = await loadSchedule(repository.storage, repository.format, context.signal);
    context.output.documentText(`${encodeParameters(parameters).slice(0, -1)},"schedule":${encodeSchedule(schedule)}}`);
    for (const line of infoLines(context, parameters, schedule)) context.output.line(line);
    return EXIT.ok;
  });
}

function infoLines(context: CliContext, parameters: MaintenanceParameters, schedule: Schedule): string[] {
  const nowNs = context.clock.nowNs();
  const client = { username: context.identity.userName, hostname: context.identity.host };
  const logs = effectiveLogRetention(parameters);
  const owner = parameters.owner === '' ? 'nobody' : oneLine(parameters.owner);
  const due = dueMode(parameters, schedule, client, nowNs);
  return [
    ...table([
      ['Owner:', `${owner}${isOwner(parameters, client) ? ' (this client)' : `; this is ${clientName(client)}`}`],
      ['Quick cycle:', cycleText(parameters.quick, schedule.nextQuickNs, nowNs)],
      ['Full cycle:', cycleText(parameters.full, schedule.nextFullNs, nowNs)],
      ['Due here:', due ?? 'nothing'],
      [
        'Logs kept:',
        `${formatCount(logs.maxCount)}, ${formatSize(logs.maxTotalSizeBytes)}, ${formatDuration(Number(logs.maxAgeNs) / 1e6)}`,
      ],
      ['Object locks:', parameters.extendObjectLocks ? 'renewed in full cycles' : 'not renewed'],
    ]),
    ...runLines(schedule),
  ];
}

function cycleText({ enabled, intervalNs }: CycleParameters, nextNs: bigint, nowNs: bigint): string {
  if (!enabled) return 'off';
  const next = nextNs <= nowNs ? 'due now' : `next at ${formatTime(formatTimestampNs(nextNs))}`;
  return `every ${formatDuration(Number(intervalNs) / 1e6)}, ${next}`;
}

function runLines(schedule: Schedule): string[] {
  if (schedule.runs.size === 0) return ['No runs yet.'];
  const rows = [...schedule.runs].flatMap(([task, runs]) =>
    runs
      .slice(0, SHOWN_RUNS)
      .map(({ startNs, endNs, success, error }) => [
        `  ${oneLine(task)}`,
        formatTime(formatTimestampNs(startNs)),
        formatDuration(Number(endNs - startNs) / 1e6),
        success ? 'done' : `FAILED: ${oneLine(error)}`,
      ]),
  );
  return ['Last runs:', ...table(rows)];
}
