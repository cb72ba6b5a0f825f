// `find`: names over all snapshots.
import { formatTimestampNs } from '../../base/go-time.ts';
import { findEntries, type FoundEntry } from '../../mover/browse/find-entries.ts';
import { parseGlob } from '../../mover/browse/glob.ts';
import { formatSource, parseSource } from '../../repo-format/snapshot/source.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { entryJson } from '../json-shapes.ts';
import { withRepository } from '../session.ts';
import { readableSnapshots } from '../snapshot-reference.ts';
import { formatMode, formatTime } from '../terminal/format.ts';

export async function findCommand(
  context: CliContext,
  pattern: string,
  options: { readonly source?: string },
): Promise<ExitCode> {
  return withRepository(context, { readOnly: true }, async (repository) => {
    const source = options.source === undefined ? undefined : parseSource(options.source, context.identity);
    const manifests = await readableSnapshots(context, repository, source);
    await context.output.list(
      findEntries(repository, manifests, parseGlob(pattern), context.signal),
      foundLine,
      foundJson,
    );
    return EXIT.ok;
  });
}

function foundLine({ manifest, path, entry }: FoundEntry): string {
  const time = formatTime(formatTimestampNs(manifest.startTimeNs));
  return `${manifest.id}/${oneLine(path)}  ${formatMode(entry.type, entry.mode)} ${entry.size}  ${time} ${oneLine(formatSource(manifest.source))}`;
}

function foundJson({ manifest, path, entry }: FoundEntry): string {
  const { id, source, startTimeNs } = manifest;
  const snapshot = JSON.stringify({ id, source, startTime: formatTimestampNs(startTimeNs) });
  return `{"snapshot":${snapshot},"entry":${entryJson(path, entry)}}`;
}
