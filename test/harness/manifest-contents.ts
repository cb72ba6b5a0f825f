// Manifest contents in memory, shared by several clients: what one writes is seen by others after its flush and their refresh.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { WindlassError } from '../../base/errors.ts';
import type { ContentId } from '../../repo-format/index/content-id.ts';
import type { ManifestBackend } from '../../repo-format/manifest/manifest-store.ts';

/** What several clients share: contents become visible to others at a flush. */
export class SharedManifestContents {
  live = new Map<ContentId, Uint8Array>();
  flushes = 0;
}

/** One client's view. */
export class SharedManifestBackend implements ManifestBackend {
  readonly shared: SharedManifestContents;
  #view: Map<ContentId, Uint8Array>;
  #written = new Map<ContentId, Uint8Array>();
  #deleted = new Set<ContentId>();
  #revision = 1;
  /** Contents read so far. */
  reads = 0;

  constructor(shared: SharedManifestContents) {
    this.shared = shared;
    this.#view = new Map(shared.live);
  }

  listManifestContents(): Promise<ContentId[]> {
    return Promise.resolve([...this.#view.keys()]);
  }

  readContent(id: ContentId): Promise<Uint8Array> {
    this.reads++;
    const bytes = this.#written.get(id) ?? this.shared.live.get(id);
    return bytes === undefined
      ? Promise.reject(new WindlassError(`no ${id}`, { code: 'CONTENT_NOT_FOUND' }))
      : Promise.resolve(bytes);
  }

  writeContent(prefix: string, bytes: Uint8Array, compressor: string): Promise<ContentId> {
    assert.equal(prefix, 'm');
    assert.equal(compressor, 'zstd-fastest');
    const id = `m${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}` as ContentId;
    this.#written.set(id, bytes);
    this.#view.set(id, bytes);
    this.#revision++;
    return Promise.resolve(id);
  }

  deleteContent(id: ContentId): Promise<void> {
    this.#view.delete(id);
    this.#deleted.add(id);
    this.#revision++;
    return Promise.resolve();
  }

  flush(): Promise<void> {
    for (const [id, bytes] of this.#written) this.shared.live.set(id, bytes);
    for (const id of this.#deleted) this.shared.live.delete(id);
    this.#written.clear();
    this.#deleted.clear();
    this.shared.flushes++;
    return this.refresh();
  }

  refresh(): Promise<void> {
    this.#view = new Map([...this.shared.live, ...this.#written]);
    this.#revision++;
    return Promise.resolve();
  }

  revision(): number {
    return this.#revision;
  }
}
