// What a verification says of packs that no index names: a lost index blob takes snapshots off the list, and then there is
// nothing left that would fail to verify.
import type { BlobMetadata, Repository } from '../../repo-format/index.ts';
import { isManifestRow, unindexedPacks } from '../../repo-format/index.ts';

export interface UnindexedReport {
  /** With contents that no index knows. */
  readonly packs: number;
  readonly bytes: number;
  readonly contents: number;
  /** Of these contents, those of snapshots and policies: never left over but by a loss, or a kill at the very end. */
  readonly manifests: number;
  /** Packs whose own index cannot be read. */
  readonly unreadable: number;
}

export async function reportUnindexed(
  repository: Repository,
  listed: Iterable<BlobMetadata>,
  signal: AbortSignal,
): Promise<UnindexedReport> {
  const report = { packs: 0, bytes: 0, contents: 0, manifests: 0, unreadable: 0 };
  for await (const { length, missing, unreadable } of unindexedPacks(listed, unindexedDeps(repository), signal)) {
    if (unreadable !== undefined) report.unreadable++;
    if (missing.length === 0) continue;
    report.packs++;
    report.bytes += length;
    report.contents += missing.length;
    report.manifests += missing.filter(isManifestRow).length;
  }
  return report;
}

export function unindexedDeps(repository: Repository): Parameters<typeof unindexedPacks>[1] {
  return {
    storage: repository.storage,
    cipher: repository.createCipher(),
    indexSet: () => repository.contents.indexSet,
    refresh: (signal) => repository.refresh(signal),
  };
}
