// `snapshot restore`: restores, prints what the receipt says, writes the receipt, and exits 3 when anything wanted is missing.
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { restoreSnapshot, type RestoreProgress, type RestoreReceipt } from '../../mover/index.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { findSnapshotPath } from '../snapshot-reference.ts';
import { formatCount, formatDuration, formatRate, formatSize } from '../terminal/format.ts';
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
    `${formatCount(restored.files)} files`,
    `${formatCount(restored.directories)} directories`,
    `${formatCount(restored.symlinks)} symlinks`,
    ...(restored.hardLinks === 0 ? [] : [`${formatCount(restored.hardLinks)} hard links`]),
    ...(restored.specials === 0 ? [] : [`${formatCount(restored.specials)} devices, FIFOs and sockets`]),
  ];
  output.line(`${done} ${counts.join(', ')} to ${oneLine(receipt.target)}`);
  output.line(
    `  ${formatSize(restored.bytes)} in ${formatDuration(durationMs)} (${formatRate(restored.bytes, durationMs)}), ${formatCount(unchanged.files)} files already as wanted`,
  );
  if (kept.count > 0) output.line(`  ${formatCount(kept.count)} entries there already were left alone`);
  if (deleted.count > 0) output.line(`  ${formatCount(deleted.count)} extra entries deleted`);
  if (verified !== undefined)
    output.line(
      `  verified ${formatCount(verified.files)} files, ${formatSize(verified.bytes)}: ${verified.mismatches === 0 ? 'all equal' : `${formatCount(verified.mismatches)} DIFFER`}`,
    );
  for (const { path, code, message } of failed.entries.slice(0, MAX_SHOWN))
    stderr.write(`windlass: ${oneLine(path)}: ${oneLine(message)} [${code}]\n`);
  if (failed.count > MAX_SHOWN)
    stderr.write(`windlass: … and ${formatCount(failed.count - MAX_SHOWN)} more (see --receipt)\n`);
  for (const { attribute, errno, count, paths } of attributes) {
    stderr.write(
      `windlass: ${attribute} did not take on ${formatCount(count)} entries: ${errno}, for example ${oneLine(paths[0] ?? '')}\n`,
    );
  }
}
