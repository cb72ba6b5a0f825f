// Finds a blob that lies in other folders than the layout says (repository format §1.3): a `.shards` that is wrong or lost.
// Lists do not need the layout and reads do, so without this such a blob is listed for ever and found never.
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode, WindlassError } from '../../base/errors.ts';
import { BLOB_FILE_SUFFIX } from './filesystem-layout.ts';
import { SHARDS_FILE } from './filesystem-shards.ts';
import type { BlobId, LocalLayout } from './storage.ts';

/** The error for a blob that is missing where it should be and lies elsewhere; undefined when it lies nowhere. */
export async function misplacedBlob(layout: LocalLayout, id: BlobId): Promise<WindlassError | undefined> {
  const parts = await findBlobFile(layout.rootPath, id);
  if (parts === undefined) return undefined;
  const sizes = JSON.stringify(parts.slice(0, -1).map((part) => part.length));
  const expected = JSON.stringify(layout.shards);
  return new WindlassError(
    `blob ${id} lies at ${parts.join('/')}, in folders of ${sizes}, but ${SHARDS_FILE} is missing or wrong: it makes them ${expected}`,
    {
      code: 'BLOB_LAYOUT_INVALID',
      context: { blobId: id, path: join(layout.rootPath, ...parts), expected, found: sizes },
    },
  );
}

/** Path components of the file whose folders' names and own name make up `id`. Enters only folders that may hold it. */
async function findBlobFile(path: string, rest: string): Promise<string[] | undefined> {
  let directory;
  try {
    directory = await opendir(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined; // removed since it was listed
    throw error;
  }
  const folders: string[] = [];
  for await (const entry of directory) {
    if (entry.isFile() && entry.name === rest + BLOB_FILE_SUFFIX) return [entry.name];
    if (entry.isDirectory() && rest.startsWith(entry.name)) folders.push(entry.name);
  }
  for (const folder of folders) {
    const found = await findBlobFile(join(path, folder), rest.slice(folder.length));
    if (found !== undefined) return [folder, ...found];
  }
  return undefined;
}
