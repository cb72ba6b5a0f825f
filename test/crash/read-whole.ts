// Reads everything that all snapshots of a repository hold, through the ordinary readers, into digests by path.
import { createHash } from 'node:crypto';

import { listSnapshots, parseDirectory, type DirectoryEntry, type Repository } from '../../repo-format/index.ts';
import { parseObjectId } from '../../repo-format/object/object-id.ts';

const READ_BYTES = 1 << 20;

/** `snapshot/path` to a digest of the file's bytes, the link's target or the directory object. */
export async function readWhole(repository: Repository, signal: AbortSignal): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  const visit = async (entry: DirectoryEntry, path: string): Promise<void> => {
    const id = parseObjectId(entry.objectId);
    const hash = createHash('sha256');
    if (entry.type === 'd') {
      const bytes = await repository.readObject(id, signal);
      hash.update(bytes);
      for (const child of parseDirectory(bytes).entries) await visit(child, `${path}/${child.name}`);
    } else {
      const reader = await repository.openObject(id, signal);
      for (let at = 0; at < reader.length; at += READ_BYTES) hash.update(await reader.read(at, READ_BYTES, signal));
    }
    digests.set(path, hash.digest('hex'));
  };
  for (const snapshot of await listSnapshots(repository.manifests, {}, signal)) {
    if (snapshot.rootEntry !== null) await visit(snapshot.rootEntry, snapshot.id);
  }
  return digests;
}
