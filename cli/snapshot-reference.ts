// Finds the snapshot that a person named: a full ID, a unique beginning of one, or `latest` of a source.
import type { Repository, SnapshotManifest } from '../repo-format/index.ts';
import { listSnapshots } from '../repo-format/snapshot/snapshots.ts';
import { formatSource, parseSource, type SnapshotSource } from '../repo-format/snapshot/source.ts';
import { cliError, usageError } from './cli-errors.ts';
import type { CliContext } from './context.ts';
import { messageOf } from './error-line.ts';

export const LATEST = 'latest';
// Fewer digits name too much to be meant.
const MIN_PREFIX_LENGTH = 4;

export interface SnapshotPath {
  readonly manifest: SnapshotManifest;
  /** What follows the ID, without the slash; empty for the root. */
  readonly subPath: string;
}

/** `SNAPSHOT_NOT_FOUND`, or `SNAPSHOT_AMBIGUOUS` when a beginning fits several. `latest` is the newest complete one of its source. */
export async function findSnapshot(
  context: CliContext,
  repository: Repository,
  name: string,
  source?: string,
): Promise<SnapshotManifest> {
  if (name === LATEST) return findLatest(context, repository, source);
  const all = await readableSnapshots(context, repository, undefined);
  const exact = all.find((manifest) => manifest.id === name);
  if (exact !== undefined) return exact;
  const matches = name.length < MIN_PREFIX_LENGTH ? [] : all.filter((manifest) => manifest.id.startsWith(name));
  const [only, second] = matches;
  if (second !== undefined) {
    throw cliError('SNAPSHOT_AMBIGUOUS', `snapshot ${name} is the beginning of ${matches.length} IDs`, {
      snapshot: name,
    });
  }
  if (only === undefined) throw cliError('SNAPSHOT_NOT_FOUND', `snapshot ${name} does not exist`, { snapshot: name });
  return only;
}

/** Splits `ID/sub/path` and finds its snapshot. */
export async function findSnapshotPath(
  context: CliContext,
  repository: Repository,
  text: string,
  source?: string,
): Promise<SnapshotPath> {
  const slash = text.indexOf('/');
  const name = slash < 0 ? text : text.slice(0, slash);
  if (name === '') throw usageError(`no snapshot ID in ${text} (write ID or ID/path)`, { path: text });
  const manifest = await findSnapshot(context, repository, name, source);
  return { manifest, subPath: slash < 0 ? '' : text.slice(slash + 1) };
}

/** All snapshots, or those of one source, oldest first; what cannot be read is logged and left out. */
export async function readableSnapshots(
  context: CliContext,
  repository: Repository,
  source: SnapshotSource | undefined,
  tags: Readonly<Record<string, string>> = {},
): Promise<SnapshotManifest[]> {
  const onCorrupt = (id: string, error: unknown): void =>
    context.logger.warn('a snapshot cannot be read', { id, error: messageOf(error) });
  return listSnapshots(
    repository.manifests,
    { onCorrupt, tags, ...(source === undefined ? {} : { source }) },
    context.signal,
  );
}

async function findLatest(
  context: CliContext,
  repository: Repository,
  sourceText: string | undefined,
): Promise<SnapshotManifest> {
  const source = sourceText === undefined ? undefined : parseSource(sourceText, context.identity);
  const complete = (await readableSnapshots(context, repository, source)).filter(
    (manifest) => manifest.incomplete === undefined,
  );
  const sources = new Set(complete.map((manifest) => formatSource(manifest.source)));
  if (source === undefined && sources.size > 1) {
    throw usageError(`latest is not clear: the repository has ${sources.size} sources, name one with --source`, {
      sources: sources.size,
    });
  }
  const newest = complete.at(-1);
  if (newest !== undefined) return newest;
  const where = source === undefined ? 'in the repository' : `of ${formatSource(source)}`;
  throw cliError('SNAPSHOT_NOT_FOUND', `there is no complete snapshot ${where}`, { source: sourceText });
}
