// `snapshot copy`: snapshots into another repository, and a verification of what has arrived.
import { type CopyReport, copySnapshots, verifySnapshots, type VerifyReport } from '../../mover/index.ts';
import type { Repository, SnapshotManifest } from '../../repo-format/index.ts';
import { parseSource } from '../../repo-format/snapshot/source.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { findSnapshot, readableSnapshots } from '../snapshot-reference.ts';
import { countOf, formatDuration, formatSize } from '../terminal/format.ts';
import { createProgressView } from '../terminal/progress.ts';

export interface CopyOptions {
  readonly to: string;
  readonly toPasswordFile?: string;
  readonly all?: boolean;
  readonly source?: string;
  readonly verifyPercent: number;
}

/** Of the target's password, where no file is given. */
const TO_PASSWORD = 'WINDLASS_TO_PASSWORD';

export async function copyCommand(
  context: CliContext,
  names: readonly string[],
  options: CopyOptions,
): Promise<ExitCode> {
  if ((names.length === 0) === (options.all !== true)) throw usageError('give snapshot IDs, or --all');
  if (options.to === '') throw usageError('--to is empty');
  const startedMs = context.clock.monotonicMs();
  return withRepository(context, { readOnly: true }, (source) =>
    withRepository(targetContext(context, options), { readOnly: false }, async (target) => {
      if (source.uniqueIdHex === target.uniqueIdHex)
        throw usageError('--to is the repository itself, or a copy of it', { to: options.to });
      const manifests = await chosen(context, source, names, options);
      const report = await copy(context, source, target, manifests);
      const check = await verify(context, target, report, options);
      context.output.document({ ...report, verified: check ?? null });
      print(context, report, check, context.clock.monotonicMs() - startedMs);
      if (check !== undefined && check.failureCount > 0) return EXIT.failed;
      return report.failed.length > 0 ? EXIT.incomplete : EXIT.ok;
    }),
  );
}

/** The same run, of the other repository. */
function targetContext(context: CliContext, { to, toPasswordFile }: CopyOptions): CliContext {
  const { passwordFile: _, ...common } = context.options;
  const { [TO_PASSWORD]: password, ...environment } = context.environment;
  return {
    ...context,
    environment: { ...environment, WINDLASS_PASSWORD: password },
    options: { ...common, repository: to, ...(toPasswordFile === undefined ? {} : { passwordFile: toPasswordFile }) },
  };
}

async function chosen(
  context: CliContext,
  source: Repository,
  names: readonly string[],
  options: CopyOptions,
): Promise<SnapshotManifest[]> {
  if (options.all !== true) {
    const found: SnapshotManifest[] = [];
    for (const name of names) found.push(await findSnapshot(context, source, name, options.source));
    return found;
  }
  const of = options.source === undefined ? undefined : parseSource(options.source, context.identity);
  const all = await readableSnapshots(context, source, of);
  return all.filter(({ incomplete }) => incomplete === undefined);
}

async function copy(
  context: CliContext,
  source: Repository,
  target: Repository,
  manifests: readonly SnapshotManifest[],
): Promise<CopyReport> {
  const view = progressView(context, 'copying:');
  try {
    const progress = (state: { files: number; processedBytes: number; uploadedBytes: number }): void =>
      view.update({ ...state, errors: 0 });
    return await copySnapshots(source, target, manifests, { clock: context.clock, progress }, context.signal);
  } finally {
    view.finish();
  }
}

/** What was copied in this run; undefined when that is nothing. */
async function verify(
  context: CliContext,
  target: Repository,
  { copied }: CopyReport,
  { verifyPercent: percent }: CopyOptions,
): Promise<VerifyReport | undefined> {
  if (copied.length === 0) return undefined;
  const ids = new Set(copied.map(({ targetId }) => targetId));
  const manifests = (await readableSnapshots(context, target, undefined)).filter(({ id }) => ids.has(id));
  const view = progressView(context, 'verifying:');
  try {
    const { clock, random, logger, signal } = context;
    const deps = { clock, random, logger, progress: view.update.bind(view) };
    return await verifySnapshots(target, { manifests, percent }, deps, signal);
  } finally {
    view.finish();
  }
}

function progressView(context: CliContext, verb: string): ReturnType<typeof createProgressView> {
  const enabled = context.options.json !== true && context.options.quiet !== true;
  return createProgressView(context.stderr, context.clock, { verb, enabled });
}

function print(context: CliContext, report: CopyReport, check: VerifyReport | undefined, elapsedMs: number): void {
  const { copied, skipped, failed, bytesRead, bytesStored } = report;
  const there = skipped.length === 0 ? '' : `, ${countOf(skipped.length, 'snapshot')} there already`;
  context.output.line(
    `copied ${countOf(copied.length, 'snapshot')}${there}: ${formatSize(bytesRead)} read, ${formatSize(bytesStored)} stored in ${formatDuration(elapsedMs)}`,
  );
  for (const { sourceId, targetId } of copied) context.output.line(`  ${sourceId} is ${targetId} there`);
  if (check !== undefined)
    context.output.line(
      `verified ${countOf(check.snapshots, 'snapshot')}: ${countOf(check.files, 'file')}, ${formatSize(check.bytes)} read${check.failureCount === 0 ? '' : ', DAMAGED: see snapshot verify'}`,
    );
  for (const { sourceId, message, code } of failed)
    context.stderr.write(`windlass: snapshot ${sourceId} cannot be copied: ${oneLine(message)} [${code}]\n`);
}
