// `snapshot show`: everything recorded about one snapshot.
import { formatTimestampNs } from '../../base/go-time.ts';
import type { SnapshotManifest } from '../../repo-format/index.ts';
import { userTags } from '../../repo-format/snapshot/snapshot-manifest.ts';
import { formatSource } from '../../repo-format/snapshot/source.ts';
import { resolvePath, readDirectory } from '../../mover/browse/resolve-path.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { snapshotJson } from '../json-shapes.ts';
import { withRepository } from '../session.ts';
import { findSnapshot } from '../snapshot-reference.ts';
import { countOf, formatCount, formatDuration, formatSize, formatTime, table } from '../terminal/format.ts';

const MAX_ERRORS_SHOWN = 20;

export async function showCommand(
  context: CliContext,
  id: string,
  options: { readonly source?: string },
): Promise<ExitCode> {
  return withRepository(context, { readOnly: true }, async (repository) => {
    const manifest = await findSnapshot(context, repository, id, options.source);
    const root = manifest.rootEntry === null ? undefined : await resolvePath(repository, manifest, '', context.signal);
    const directory = root?.entry.type === 'd' ? await readDirectory(repository, root, context.signal) : undefined;
    const { changed = 0, vanished = 0 } = directory?.extra.consistency ?? {};
    const consistency = { status: changed > 0 ? 'changed' : vanished > 0 ? 'vanished' : 'exact', changed, vanished };
    context.output.documentText(snapshotJson(manifest, { consistency }));
    for (const line of showLines(manifest, consistency)) context.output.line(line);
    return EXIT.ok;
  });
}

function showLines(
  manifest: SnapshotManifest,
  consistency: { status: string; changed: number; vanished: number },
): string[] {
  const { rootEntry, stats, startTimeNs, endTimeNs, pins, incomplete, description } = manifest;
  const summary = rootEntry?.summary;
  const tags = Object.entries(userTags(manifest.tags)).map(([key, value]) => `${key}:${value}`);
  const duration = formatDuration(Number((endTimeNs - startTimeNs) / 1_000_000n));
  const errors = summary?.errors ?? [];
  return [
    ...table([
      ['Snapshot:', manifest.id],
      ['Source:', formatSource(manifest.source)],
      ['Started:', `${formatTime(formatTimestampNs(startTimeNs))}, took ${duration}`],
      ['State:', incomplete ?? 'complete'],
      ['Root:', rootEntry === null ? 'none' : `${rootEntry.objectId} (${rootEntry.type})`],
      ['Size:', formatSize(summary?.size ?? stats.totalSize)],
      [
        'Entries:',
        `${countOf(summary?.files ?? stats.fileCount, 'file')}, ${countOf(summary?.dirs ?? stats.dirCount, 'directory', 'directories')}, ${countOf(summary?.symlinks ?? 0, 'symlink')}`,
      ],
      ['Unchanged files:', formatCount(stats.cachedFiles)],
      [
        'Errors:',
        `${summary?.numFailed ?? stats.errorCount} (and ${summary?.numIgnoredErrors ?? stats.ignoredErrorCount} ignored)`,
      ],
      [
        'Consistency:',
        `${consistency.status} (${consistency.changed} changed while read, ${consistency.vanished} vanished)`,
      ],
      ['Tags:', tags.join(', ')],
      ['Pins:', pins.join(', ')],
      ['Description:', oneLine(description)],
    ]).map((line) => line.trimEnd()),
    ...errors.slice(0, MAX_ERRORS_SHOWN).map(({ path, error }) => `  ${oneLine(path)}: ${oneLine(error)}`),
    ...(errors.length > MAX_ERRORS_SHOWN ? [`  … and ${errors.length - MAX_ERRORS_SHOWN} more (see --json)`] : []),
  ];
}
