// A repository as a set of files that can be read at any place: a dropped folder, an archive. Finds where the repository
// begins and which blob each file is: names as they are (a copied bucket), or sharded with a suffix (a Kopia folder).
import { WindlassError } from '../../../../base/errors.ts';
import { assertRangeInside, blobNotFound, storageIsReadOnly } from '../../../../repo-format/blob/blob-errors.ts';
import { isBlobId } from '../../../../repo-format/blob/blob-id.ts';
import type { BlobId, BlobMetadata, BlobStorage } from '../../../../repo-format/blob/storage.ts';

export interface BlobFile {
  /** With `/`, no leading one. */
  readonly path: string;
  readonly length: number;
  readonly timestampMs: number;
  read(offset: number, length: number): Promise<Uint8Array>;
}

const FORMAT_BLOB = 'kopia.repository';
const SUFFIX = '.f';

/** Folders that hold a repository, shortest path first; the folder of all files when none shows a format blob. */
export function repositoryRoots(files: readonly BlobFile[]): string[] {
  const roots = new Set<string>();
  for (const { path } of files) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (name === FORMAT_BLOB || name === FORMAT_BLOB + SUFFIX) roots.add(path.slice(0, path.length - name.length));
  }
  if (roots.size > 0) return [...roots].sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return [commonFolder(files)];
}

function commonFolder(files: readonly BlobFile[]): string {
  let common: string | undefined;
  for (const { path } of files) {
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    if (common === undefined) common = folder;
    while (!folder.startsWith(common)) common = common.slice(0, common.lastIndexOf('/', common.length - 2) + 1);
  }
  return common ?? '';
}

/** The blobs below `root`. Files that are none (notes, `.shards`) are left out. */
export function blobsBelow(files: readonly BlobFile[], root: string): Map<BlobId, BlobFile> {
  const inside = files.filter(({ path }) => path.startsWith(root));
  const isSharded = inside.some(({ path }) => path.endsWith(SUFFIX));
  const blobs = new Map<BlobId, BlobFile>();
  for (const file of inside) {
    const rest = file.path.slice(root.length);
    const name = !isSharded ? rest : rest.endsWith(SUFFIX) ? rest.slice(0, -SUFFIX.length).replaceAll('/', '') : '';
    if (name !== '' && isBlobId(name)) blobs.set(name, file);
  }
  return blobs;
}

/** Reads only. `spare` holds blobs that count when the files have none of that name: the kit's copy of the format blob. */
export class BlobFileStorage implements BlobStorage {
  readonly displayName: string;
  readonly #blobs: ReadonlyMap<BlobId, BlobFile>;
  readonly #spare: ReadonlyMap<BlobId, Uint8Array>;

  constructor(displayName: string, blobs: ReadonlyMap<BlobId, BlobFile>, spare: ReadonlyMap<BlobId, Uint8Array>) {
    this.displayName = displayName;
    this.#blobs = blobs;
    this.#spare = spare;
  }

  async getBlob(id: BlobId, range: { offset: number; length: number } | undefined): Promise<Uint8Array> {
    const file = this.#blobs.get(id);
    const length = file?.length ?? this.#spare.get(id)?.length;
    if (length === undefined) throw blobNotFound(id);
    const { offset, length: wanted } = range ?? { offset: 0, length };
    assertRangeInside(id, { offset, length: wanted }, length);
    if (file === undefined) return Uint8Array.from(this.#spare.get(id) ?? []).subarray(offset, offset + wanted);
    const bytes = await file.read(offset, wanted);
    if (bytes.length === wanted) return bytes;
    throw new WindlassError(`file ${file.path} gave ${bytes.length} bytes of ${wanted} at ${offset}`, {
      code: 'BLOB_TRUNCATED',
      context: { blobId: id, offset, length: wanted },
    });
  }

  async getMetadata(id: BlobId): Promise<BlobMetadata> {
    const file = this.#blobs.get(id);
    const spare = this.#spare.get(id);
    if (file !== undefined) return { id, length: file.length, timestampMs: file.timestampMs };
    if (spare !== undefined) return { id, length: spare.length, timestampMs: 0 };
    throw blobNotFound(id);
  }

  async *listBlobs(prefix: string): AsyncIterable<BlobMetadata> {
    for (const [id, { length, timestampMs }] of this.#blobs)
      if (id.startsWith(prefix)) yield { id, length, timestampMs };
  }

  putBlob(): Promise<never> {
    return Promise.reject(readsOnly());
  }

  deleteBlob(): Promise<never> {
    return Promise.reject(readsOnly());
  }

  async freeBytes(): Promise<undefined> {
    return undefined;
  }

  async close(): Promise<void> {}
}

export function readsOnly(): WindlassError {
  return storageIsReadOnly('write', 'a recovery kit');
}
