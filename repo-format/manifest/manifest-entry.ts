// One labelled JSON document of the manifest store, as it stands in an `m` content (snapshots §4.1).
import { WindlassError } from '../../base/errors.ts';
import { encodeStringMap, quoteGoString, splitJsonObject } from '../../base/go-json.ts';
import { formatTimestampNs, parseTimestampNs } from '../../base/go-time.ts';

declare const manifestIdBrand: unique symbol;
/** 32 lower-case hex digits when we made it; any text when another writer did. */
export type ManifestId = string & { readonly [manifestIdBrand]: true };

export type Labels = Readonly<Record<string, string>>;

export interface ManifestMetadata {
  readonly id: ManifestId;
  readonly labels: Labels;
  readonly modifiedNs: bigint;
  /** Characters of the document's JSON. */
  readonly length: number;
}

export interface ManifestEntry {
  readonly id: ManifestId;
  /** Null in tombstones. */
  readonly labels: Labels | null;
  readonly modifiedNs: bigint;
  /** A tombstone: the document is gone. */
  readonly deleted: boolean;
  /** The document as its writer wrote it, so that compaction changes none of its bytes. */
  readonly dataJson: string;
}

export function encodeManifestEntry(entry: ManifestEntry): string {
  const deleted = entry.deleted ? ',"deleted":true' : '';
  return (
    `{"id":${quoteGoString(entry.id)},"labels":${encodeStringMap(entry.labels)},` +
    `"modified":"${formatTimestampNs(entry.modifiedNs)}"${deleted},"data":${entry.dataJson}}`
  );
}

/** `MANIFEST_CORRUPT` for what kopia's decoder would refuse as well. */
export function parseManifestEntry(text: string): ManifestEntry {
  const members = new Map(splitJsonObject(text).map(({ key, raw }) => [key.toLowerCase(), raw]));
  const id: unknown = JSON.parse(members.get('id') ?? '""');
  const modified: unknown = JSON.parse(members.get('modified') ?? '"0001-01-01T00:00:00Z"');
  const deleted: unknown = JSON.parse(members.get('deleted') ?? 'false');
  const labels = parseLabels(JSON.parse(members.get('labels') ?? 'null'));
  const modifiedNs = typeof modified === 'string' ? parseTimestampNs(modified) : undefined;
  if (typeof id !== 'string') throw corruptManifest('an entry has no id');
  if (modifiedNs === undefined) throw corruptManifest(`entry ${id} has no time`);
  if (labels === undefined) throw corruptManifest(`entry ${id} has malformed labels`);
  return {
    id: id as ManifestId,
    labels,
    modifiedNs,
    deleted: deleted === true,
    dataJson: members.get('data') ?? 'null',
  };
}

function parseLabels(value: unknown): Labels | null | undefined {
  if (value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value)) return undefined;
  return Object.values(value).every((label) => typeof label === 'string') ? (value as Labels) : undefined;
}

export function corruptManifest(reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`manifest content cannot be used: ${reason}`, { code: 'MANIFEST_CORRUPT', cause });
}

/** True when `labels` has all the pairs of `wanted`. */
export function matchesLabels(labels: Labels | null, wanted: Labels): boolean {
  return Object.entries(wanted).every(
    ([key, value]) => labels !== null && Object.hasOwn(labels, key) && labels[key] === value,
  );
}

/**
 * The document to use when several claim to be the only one of their kind: the latest, the greatest id among equals.
 * Kopia's own choice depends on the order in which it meets them (snapshots §4.3); this is one of its possible answers.
 */
export function pickLatest<T extends Pick<ManifestMetadata, 'id' | 'modifiedNs'>>(
  entries: readonly T[],
): T | undefined {
  let best: T | undefined;
  for (const entry of entries) {
    const isLater =
      best === undefined ||
      entry.modifiedNs > best.modifiedNs ||
      (entry.modifiedNs === best.modifiedNs && entry.id > best.id);
    if (isLater) best = entry;
  }
  return best;
}
