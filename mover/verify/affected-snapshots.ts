// Which of these snapshots need contents that are lost, and for what.
import {
  type ContentId,
  type ObjectId,
  parseDirectory,
  type Repository,
  type SnapshotManifest,
} from '../../repo-format/index.ts';
import { locatePieces } from '../restore/content-pieces.ts';
import { type AffectedSnapshot, contentName, DamageReader } from './affected.ts';
import { KeySet } from './key-set.ts';

/** In the order given. What cannot be read counts as hurt. */
export async function affectedSnapshots(
  repository: Repository,
  manifests: readonly SnapshotManifest[],
  lost: Iterable<ContentId>,
  signal: AbortSignal,
): Promise<AffectedSnapshot[]> {
  const damaged = new KeySet();
  for (const id of lost) damaged.add(contentName(id));
  if (damaged.size === 0) return [];
  const unlessDamaged = async <Result>(work: () => Promise<Result>): Promise<Result | undefined> => {
    signal.throwIfAborted();
    try {
      return await work();
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  };
  const reader = new DamageReader(damaged, {
    readDirectory: (id: ObjectId) =>
      unlessDamaged(async () => parseDirectory(await repository.readObject(id, signal)).entries),
    contentsOf: (id) =>
      unlessDamaged(async () => (await locatePieces(repository, id, signal)).map((piece) => contentName(piece.id))),
  });
  const found: AffectedSnapshot[] = [];
  for (const manifest of manifests) {
    const affected = await reader.affected(manifest);
    if (affected !== undefined) found.push(affected);
  }
  return found;
}
