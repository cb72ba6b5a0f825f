// Directory objects and manifests with other object ids in them, and every other member as it was written, known or not: for
// copies into a repository whose ids differ.
import { quoteGoString, splitJsonArray, splitJsonObject } from '../../base/go-json.ts';
import type { ManifestId } from '../manifest/manifest-entry.ts';
import type { ManifestStore } from '../manifest/manifest-store.ts';
import type { ObjectId } from '../object/object-id.ts';
import { corruptDirectory } from './directory-object.ts';

/** `objectIds` are those of the entries, in their order; '' where an entry has none. */
export function rewriteDirectory(bytes: Uint8Array, objectIds: readonly (ObjectId | '')[]): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const members = splitJsonObject(text).map(({ key, raw }) => {
    if (key !== 'entries' || raw === 'null') return `${quoteGoString(key)}:${raw}`;
    const entries = splitJsonArray(raw);
    if (entries.length !== objectIds.length) throw corruptDirectory('its entries are not those that were copied');
    return `"entries":[${entries.map((entry, number) => withObjectId(entry, objectIds[number] ?? '')).join(',')}]`;
  });
  return Buffer.from(`{${members.join(',')}}\n`, 'utf8');
}

/** Puts a snapshot's document into another store: labels, times, tags, pins and what is not known stay. */
export async function copySnapshotManifest(
  from: { readonly manifests: ManifestStore; readonly id: ManifestId },
  to: ManifestStore,
  rootObjectId: ObjectId | '',
  signal: AbortSignal,
): Promise<ManifestId> {
  const { labels, dataJson } = await from.manifests.get(from.id, signal);
  const members = splitJsonObject(dataJson).map(({ key, raw }) => {
    if (key === 'id') return '"id":""';
    return `${quoteGoString(key)}:${key === 'rootEntry' && raw !== 'null' ? withObjectId(raw, rootObjectId) : raw}`;
  });
  return to.put(labels, `{${members.join(',')}}`);
}

function withObjectId(entry: string, objectId: ObjectId | ''): string {
  const members = splitJsonObject(entry).map(
    ({ key, raw }) => `${quoteGoString(key)}:${key === 'obj' ? `"${objectId}"` : raw}`,
  );
  return `{${members.join(',')}}`;
}
