// Finds the entry of a snapshot that a path names.
import { WindlassError } from '../../base/errors.ts';
import { type DirectoryEntry, type ObjectId, parseDirectory } from '../../repo-format/index.ts';

export interface ObjectSource {
  readObject(id: ObjectId, signal: AbortSignal): Promise<Uint8Array>;
}

/** `RESTORE_PATH_NOT_FOUND` when there is no such entry. Empty components and `.` are skipped; `..` is a name like others. */
export async function findSubPath(
  source: ObjectSource,
  root: DirectoryEntry,
  subPath: string,
  signal: AbortSignal,
): Promise<DirectoryEntry> {
  let entry = root;
  for (const name of subPath.split('/')) {
    if (name === '' || name === '.') continue;
    const found =
      entry.type === 'd' && entry.objectId !== '' ? await findIn(source, entry.objectId, name, signal) : undefined;
    if (found === undefined) {
      throw new WindlassError(`the snapshot has no ${subPath}`, {
        code: 'RESTORE_PATH_NOT_FOUND',
        context: { subPath },
      });
    }
    entry = found;
  }
  return entry;
}

async function findIn(
  source: ObjectSource,
  objectId: ObjectId,
  name: string,
  signal: AbortSignal,
): Promise<DirectoryEntry | undefined> {
  const { entries } = parseDirectory(await source.readObject(objectId, signal));
  return entries.find((entry) => entry.name === name);
}
