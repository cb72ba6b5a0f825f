// `snapshot restore`: restores, prints what the receipt says, writes the receipt, and exits 3 when anything wanted is missing.
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { restoreSnapshot, type RestoreProgress, type RestoreReceipt } from '../../mover/index.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { findSnapshotPath } from '../snapshot-reference.ts';
import { countOf, formatCount, formatDuration, formatRate, formatSize } from '../terminal/format.ts';
import { createProgressView, type ProgressState } from '../terminal/progress.ts';
import type { RestoreOptions } from './restore-options.ts';

const MAX_SHOWN = 20;

export async function restoreCommand(
  context: CliContext,
  id: string,
  target: string,
  options: RestoreOptions,
): Promise<ExitCode> {
  const enabled = context.options.json !== true && context.options.quiet !== true;
  const view = createProgressView(context.stderr, context.clock, { verb: 'restoring:', enabled });
  return withRepository(context, { readOnly: true }, async (repository) => {
    const { manifest, subPath } = await findSnapshotPath(context, repository, id, options.source);
    const { clock, logger, workingDirectory, signal } = context;
    const { overwrite, skip, parallel } = options;
    const { memoryLimit } = context.options;
    let receipt: RestoreReceipt;
    try {
      receipt = await restoreSnapshot(
        repository,
        {
          manifest,
          subPath,
          target: resolve(workingDirectory, target),
          overwrite,
          deleteExtra: options.deleteExtra === true,
          skip: skip ?? [],
          dryRun: options.dryRun === true,
          verify: options.verify === true,
          ...(parallel === undefined ? {} : { parallel }),
          ...(memoryLimit === undefined ? {} : { memoryLimitBytes: memoryLimit }),
        },
        { clock, logger, progress: (progress) => view.update(asState(progress)) },
        signal,
      );
    } finally {
      view.finish();
    }
    if (options.receipt !== undefined)
      await writeFile(resolve(workingDirectory, options.receipt), `${JSON.stringify(receipt, undefined, 2)}\n`);
    report(context, receipt);
    return receipt.status === 'complete' ? EXIT.ok : EXIT.incomplete;
  });
}

function asState({ entries, bytes, expectedBytes, failed }: RestoreProgress): ProgressState {
  return { files: entries, processedBytes: bytes, errors: failed, expectedBytes };
}

function report(context: CliContext, receipt: RestoreReceipt): void {
  const { restored, unchanged, kept, deleted, failed, attributes, verified, durationMs } = receipt;
  const { output, stderr } = context;
  output.document(receipt);
  const done = receipt.dryRun ? 'would restore' : 'restored';
  const counts = [
    countOf(restored.files, 'file'),
    countOf(restored.directories, 'directory', 'directories'),
    countOf(restored.symlinks, 'symlink'),
    ...(restored.hardLinks === 0 ? [] : [countOf(restored.hardLinks, 'hard link')]),
    ...(restored.specials === 0 ? [] : [`${formatCount(restored.specials)} devices, FIFOs and sockets`]),
  ];
  output.line(`${done} ${counts.join(', ')} to ${oneLine(receipt.target)}`);
  // Planning moves no bytes: a rate of it would be nonsense.
  const speed = receipt.dryRun ? '' : ` in ${formatDuration(durationMs)} (${formatRate(restored.bytes, durationMs)})`;
  output.line(`  ${formatSize(restored.bytes)}${speed}, ${countOf(unchanged.files, 'file')} already as wanted`);
  if (kept.count > 0) output.line(`  ${countOf(kept.count, 'entry', 'entries')} that were there already left alone`);
  if (deleted.count > 0) output.line(`  ${countOf(deleted.count, 'extra entry', 'extra entries')} deleted`);
  if (verified !== undefined)
    output.line(
      `  verified ${countOf(verified.files, 'file')}, ${formatSize(verified.bytes)}: ${verified.mismatches === 0 ? 'all equal' : `${formatCount(verified.mismatches)} DIFFER`}`,
    );
  for (const { path, code, message } of failed.entries.slice(0, MAX_SHOWN))
    stderr.write(`windlass: ${oneLine(path)}: ${oneLine(message)} [${code}]\n`);
  if (failed.count > MAX_SHOWN)
    stderr.write(`windlass: … and ${formatCount(failed.count - MAX_SHOWN)} more (see --receipt)\n`);
  for (const { attribute, errno, count, paths } of attributes) {
    stderr.write(
      `windlass: ${attribute} did not take on ${countOf(count, 'entry', 'entries')}: ${errno}, for example ${oneLine(paths[0] ?? '')}\n`,
    );
  }
}
