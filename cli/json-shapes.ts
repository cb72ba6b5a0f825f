// JSON texts of snapshots and entries, in Kopia's members and order, from the very encoders that write them into repositories.
import { encodeEntry, type DirectoryEntry } from '../repo-format/snapshot/directory-entry.ts';
import { encodeSnapshotManifest, type SnapshotManifest } from '../repo-format/snapshot/snapshot-manifest.ts';
import { jsonText } from './terminal/output.ts';

// Stored manifests have an empty id; shown ones have theirs.
const STORED_START = '{"id":""';

/** `{"id":…,"source":…,…}` and then `more`, member by member. */
export function snapshotJson(manifest: SnapshotManifest, more: Readonly<Record<string, unknown>> = {}): string {
  const stored = encodeSnapshotManifest(manifest);
  return `{"id":${JSON.stringify(manifest.id)}${withMembers(stored.slice(STORED_START.length), more)}`;
}

/** An entry of a directory, with its path in front. */
export function entryJson(path: string, entry: DirectoryEntry): string {
  return `{"path":${JSON.stringify(path)},${encodeEntry(entry).slice(1)}`;
}

function withMembers(objectText: string, more: Readonly<Record<string, unknown>>): string {
  const members = Object.entries(more).filter(([, value]) => value !== undefined);
  const added = members.map(([key, value]) => `,${JSON.stringify(key)}:${jsonText(value)}`);
  return `${objectText.slice(0, -1)}${added.join('')}}`;
}
