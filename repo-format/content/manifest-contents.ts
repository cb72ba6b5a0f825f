// The content layer as the manifest store, which is above it, needs it. Manifests written since the last flush are read
// from memory and count as live.
import type { ContentId } from '../index/content-id.ts';
import type { IndexSet } from '../index/index-set.ts';

const MANIFEST_PREFIX = 'm';

/** See `manifest/manifest-store.ts`. */
export interface ManifestContents {
  listManifestContents(signal: AbortSignal): Promise<readonly ContentId[]>;
  readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array>;
  writeContent(prefix: string, bytes: Uint8Array, compressor: string, signal: AbortSignal): Promise<ContentId>;
  deleteContent(id: ContentId, signal: AbortSignal): Promise<void>;
  flush(signal: AbortSignal): Promise<void>;
  revision(): number;
  refresh(signal: AbortSignal): Promise<void>;
}

/** What it is made from: the content manager. */
export interface ManifestSource {
  readonly indexSet: IndexSet;
  readonly revision: number;
  /** Deleted since the last flush. */
  isPendingDeletion(id: ContentId): boolean;
  readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array>;
  write(prefix: string, bytes: Uint8Array, compressor: string, signal: AbortSignal): Promise<ContentId>;
  delete(id: ContentId, signal: AbortSignal): Promise<void>;
  flush(signal: AbortSignal): Promise<unknown>;
  refresh(signal: AbortSignal): Promise<void>;
}

/** @param unflushed manifests written since the last flush; whoever flushes empties it */
export function manifestContents(source: ManifestSource, unflushed: Map<ContentId, Uint8Array>): ManifestContents {
  return {
    listManifestContents: () => {
      const live = new Set<ContentId>();
      for (const { id, deleted } of source.indexSet.iterate(MANIFEST_PREFIX)) if (!deleted) live.add(id);
      for (const id of live) if (source.isPendingDeletion(id)) live.delete(id);
      for (const id of unflushed.keys()) live.add(id);
      return Promise.resolve([...live]);
    },
    readContent: (id, signal) => {
      const pending = unflushed.get(id);
      return pending === undefined ? source.readContent(id, signal) : Promise.resolve(pending);
    },
    writeContent: async (prefix, bytes, compressor, signal) => {
      const id = await source.write(prefix, bytes, compressor, signal);
      unflushed.set(id, bytes);
      return id;
    },
    deleteContent: async (id, signal) => {
      await source.delete(id, signal);
      unflushed.delete(id);
    },
    flush: async (signal) => {
      await source.flush(signal);
    },
    revision: () => source.revision,
    refresh: (signal) => source.refresh(signal),
  };
}
