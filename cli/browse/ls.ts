// `ls`: a directory of a snapshot, one entry a line.
import { formatTimestampNs } from '../../base/go-time.ts';
import { listTree } from '../../mover/browse/list-tree.ts';
import { resolvePath, type ResolvedEntry } from '../../mover/browse/resolve-path.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { entryJson } from '../json-shapes.ts';
import { withRepository } from '../session.ts';
import { findSnapshotPath } from '../snapshot-reference.ts';
import { formatMode, formatTime } from '../terminal/format.ts';

export interface LsOptions {
  readonly long?: boolean;
  readonly recursive?: boolean;
  readonly source?: string;
}

export async function lsCommand(context: CliContext, text: string, options: LsOptions): Promise<ExitCode> {
  return withRepository(context, { readOnly: true }, async (repository) => {
    const { manifest, subPath } = await findSnapshotPath(context, repository, text, options.source);
    const start = await resolvePath(repository, manifest, subPath, context.signal);
    const found = listTree(repository, start, { recursive: options.recursive === true }, context.signal);
    const asLine =
      options.long === true
        ? (item: ResolvedEntry) => longLine(start, item)
        : (item: ResolvedEntry) => nameOf(start, item);
    await context.output.list(found, asLine, ({ path, entry }) => entryJson(path, entry));
    return EXIT.ok;
  });
}

/** Relative to the directory listed; a file listed by itself has its own name. */
function nameOf(start: ResolvedEntry, { entry, path }: ResolvedEntry): string {
  const relative = path === start.path ? entry.name : path.slice(start.path === '' ? 0 : start.path.length + 1);
  return `${oneLine(relative)}${entry.type === 'd' ? '/' : ''}`;
}

function longLine(start: ResolvedEntry, item: ResolvedEntry): string {
  const { type, mode, uid, gid, size, mtimeNs, objectId, summary, extra } = item.entry;
  const special = extra?.special;
  const bytes =
    special !== undefined ? `${special.type} ${special.major},${special.minor}` : String(summary?.size ?? size);
  const owner = `${uid}:${gid}`;
  return [
    formatMode(type, mode),
    owner.padEnd(9),
    bytes.padStart(12),
    formatTime(formatTimestampNs(mtimeNs)),
    objectId.padEnd(34),
    nameOf(start, item),
  ].join(' ');
}
