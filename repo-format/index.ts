// The only door into the repository format. What is not exported here is nobody else's business.
export { systemRandom } from '../base/random.ts';
export type { BlobId, BlobMetadata, BlobStorage } from './blob/storage.ts';
export { newStorageStats, type StorageStats } from './blob/wrap/counting.ts';
export { openFilesystemStorage } from './blob/filesystem.ts';
export { deriveFormatKey, type DeriveFormatKey } from './crypto/key-derivation.ts';
export { COMPRESSORS } from './compression/compressor.ts';
export { zstdBackend } from './compression/compressor.ts';
export { contentKey, writeContentKey, type ContentId, parseContentId } from './index/content-id.ts';
export {
  ContentWriter,
  type ContentWriterSpec,
  type ContentWriterStats,
  type StagedPack,
} from './content/content-writer.ts';
export { NewContents, type NewContentsData } from './content/new-contents.ts';
export { readLocalIndex } from './content/pack-recovery.ts';
export type { SessionId } from './content/session.ts';
export { createKeyedHash, type KeyedHash } from './hash/keyed-hash.ts';
export type { PartialHash } from './hash/partial-hash.ts';
export { IndexSet, type IndexSetData } from './index/index-set.ts';
export { RowsByPack } from './index/rows-by-pack.ts';
export type { IndexEntry } from './index/entry.ts';
export { type ManifestId } from './manifest/manifest-entry.ts';
export { ManifestStore } from './manifest/manifest-store.ts';
export type { ChunkSink } from './object/chunk-sink.ts';
export { type IndirectEntry, parseIndirect } from './object/indirect-object.ts';
export { indexObjectId, type ObjectId, objectIdParts } from './object/object-id.ts';
export { ObjectWriter, writeConcatenation, writeObject } from './object/object-writer.ts';
export { decompressObject, objectPieces, type ObjectReader, readObject, walkObject } from './object/object-reader.ts';
export { readObjectSync } from './object/sync-object-reader.ts';
export { dropLost, rebuildIndex, type RebuiltIndex } from './repair/rebuild-index.ts';
export { isManifestRow, type UnindexedPack, unindexedPacks } from './repair/unindexed-packs.ts';
export { Repository, type RepositoryDeps, type RepositoryOptions } from './repository.ts';
export { compressorForFile, metadataCompressor } from './snapshot/compression-choice.ts';
export { copySnapshotManifest, rewriteDirectory } from './snapshot/copied-documents.ts';
export { createEntry, type DirectoryEntry, encodeEntry, type EntryFields } from './snapshot/directory-entry.ts';
export {
  compareNames,
  DIRECTORY_PREFIX,
  directoryTail,
  encodeDirectory,
  parseDirectory,
  type ParsedDirectory,
} from './snapshot/directory-object.ts';
export { type ComposedEntry, type ComposedFields, EntryBuffer } from './snapshot/entry-buffer.ts';
export { loadEffectivePolicy, type EffectivePolicy } from './snapshot/effective-policy.ts';
export type { DirectoryExtra, EntryExtra, ExtendedAttribute, SpecialFile } from './snapshot/extra.ts';
export type { CompressionPolicy, Policy } from './snapshot/policy.ts';
export { loadPolicyTree, PolicyNode, type SourcePolicies } from './snapshot/policy-tree.ts';
export { PreviousDirectory } from './snapshot/previous-directory.ts';
export {
  EMPTY_STATS,
  INCOMPLETE_CANCELED,
  INCOMPLETE_CHECKPOINT,
  type NewSnapshot,
  type SnapshotManifest,
  type SnapshotStats,
} from './snapshot/snapshot-manifest.ts';
export { expiredSnapshots, planExpiry, type SourceExpiry } from './snapshot/expiry.ts';
export { planRetention } from './snapshot/retention.ts';
export { deleteSnapshot, findPrevious, listSnapshots, loadSnapshot, saveSnapshot } from './snapshot/snapshots.ts';
export { formatSource, type SnapshotSource } from './snapshot/source.ts';
export { type DirectorySummary, SummaryBuilder } from './snapshot/summary.ts';
export { createSplitter, type Splitter, SPLITTERS } from './splitter/splitter.ts';
export { LaneReader, type LaneReaderData } from './worker/lane-reader.ts';
export { joinSpans, type Span } from './blob/byte-ranges.ts';
export type { ExpectedPack, PackParts } from './blob/pack-parts.ts';
