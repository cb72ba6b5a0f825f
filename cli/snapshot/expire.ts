// `snapshot expire`: deletes what the stored retention policies do not keep.
import { formatTimestampNs } from '../../base/go-time.ts';
import { deleteSnapshot, formatSource, planExpiry, type SourceExpiry } from '../../repo-format/index.ts';
import { parseSource } from '../../repo-format/snapshot/source.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { countOf, formatTime } from '../terminal/format.ts';
import { cliError } from '../cli-errors.ts';
import { isVeleroRepository } from '../../repo-format/velero/velero-repository.ts';

export interface ExpireOptions {
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export async function expireCommand(
  context: CliContext,
  names: readonly string[],
  options: ExpireOptions,
): Promise<ExitCode> {
  const { signal } = context;
  const dryRun = options.dryRun === true;
  const zoneOffset = (timeMs: number): number => -new Date(timeMs).getTimezoneOffset();
  return withRepository(context, { readOnly: dryRun }, async (repository) => {
    if (options.force !== true && (await isVeleroRepository(repository.storage, signal))) {
      throw cliError('MAINTENANCE_BY_VELERO', 'Velero decides which snapshots of this repository go');
    }
    const sources = names.map((name) => parseSource(name, context.identity));
    const plans = await planExpiry(
      repository.manifests,
      { zoneOffset, ...(sources.length === 0 ? {} : { sources }) },
      signal,
    );
    if (!dryRun) {
      for (const { expired } of plans) {
        for (const { id } of expired) await deleteSnapshot(repository.manifests, id, signal);
      }
      await repository.flush(signal);
    }
    print(context, plans, dryRun);
    return EXIT.ok;
  });
}

function print(context: CliContext, plans: readonly SourceExpiry[], dryRun: boolean): void {
  const { output } = context;
  output.document({
    dryRun,
    sources: plans.map(({ source, hasRule, kept, expired }) => ({
      source,
      hasRule,
      kept,
      expired: expired.map(({ id, startTimeNs }) => ({ id, startTime: formatTimestampNs(startTimeNs) })),
    })),
  });
  for (const { source, hasRule, kept, expired } of plans) {
    const verb = dryRun ? 'would expire' : 'expired';
    const rule = hasRule ? '' : ' (no retention policy is stored for it)';
    output.line(`${formatSource(source)}: ${countOf(expired.length, 'snapshot')} ${verb}, ${kept} kept${rule}`);
    for (const { id, startTimeNs } of expired) output.line(`  ${id}  ${formatTime(formatTimestampNs(startTimeNs))}`);
  }
  if (plans.length === 0) output.line('no snapshots');
}
