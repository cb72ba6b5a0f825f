// Which snapshots a damage hurts: each thing is checked once, whoever shares it, so whoever else has it is looked for
// afterwards, and only where something was found. Each directory object is walked once and remembered by what is hurt in it.
import {
  type ContentId,
  contentKey,
  type DirectoryEntry,
  type ObjectId,
  objectIdParts,
  type SnapshotManifest,
} from '../../repo-format/index.ts';
import { isDirect } from '../restore/content-pieces.ts';
import { KeySet } from './key-set.ts';

export interface AffectedSnapshot {
  readonly snapshotId: string;
  /** Files, symlinks and directories that cannot be restored; what is in such a directory is not counted. */
  readonly entries: number;
  /** The first twenty of them; '' for the root. */
  readonly paths: readonly string[];
}

export interface DamageReaderDeps {
  /** Entries of a directory object; undefined when it cannot be had. */
  readonly readDirectory: (id: ObjectId) => Promise<readonly DirectoryEntry[] | undefined>;
  /** Keys of all contents of a file of several, in hex; undefined when they cannot be had. */
  readonly contentsOf: (id: ObjectId) => Promise<readonly string[] | undefined>;
}

const PATHS_LISTED = 20;

interface Hurt {
  readonly entries: number;
  readonly paths: readonly string[];
}

const UNHURT: Hurt = { entries: 0, paths: [] };
const HURT_ITSELF: Hurt = { entries: 1, paths: [''] };

export class DamageReader {
  readonly #deps: DamageReaderDeps;
  readonly #damaged: KeySet;
  /** Directories and lists of contents in which nothing is hurt. */
  readonly #unhurt = new KeySet();
  readonly #hurt = new Map<ObjectId, Hurt>();

  /** `damaged` has ids of objects and keys of contents, in hex. */
  constructor(damaged: KeySet, deps: DamageReaderDeps) {
    this.#damaged = damaged;
    this.#deps = deps;
  }

  /** Undefined when the whole snapshot can be restored. */
  async affected({ id, rootEntry }: SnapshotManifest): Promise<AffectedSnapshot | undefined> {
    const { entries, paths } = rootEntry === null ? HURT_ITSELF : await this.#hurtIn(rootEntry);
    return entries === 0 ? undefined : { snapshotId: id, entries, paths };
  }

  async #hurtIn({ type, objectId }: DirectoryEntry): Promise<Hurt> {
    if (objectId === '' || this.#damaged.has(objectId)) return HURT_ITSELF;
    if (type !== 'd' && isDirect(objectId)) {
      return this.#isContentDamaged(objectIdParts(objectId).contentId) ? HURT_ITSELF : UNHURT;
    }
    if (this.#unhurt.has(objectId)) return UNHURT;
    const known = this.#hurt.get(objectId);
    if (known !== undefined) return known;
    const found = type === 'd' ? await this.#hurtBelow(objectId) : await this.#hurtContents(objectId);
    if (found.entries === 0) this.#unhurt.add(objectId);
    else this.#hurt.set(objectId, found);
    return found;
  }

  async #hurtBelow(objectId: ObjectId): Promise<Hurt> {
    const children = await this.#deps.readDirectory(objectId);
    if (children === undefined) return HURT_ITSELF;
    let entries = 0;
    const paths: string[] = [];
    for (const child of children) {
      const hurt = await this.#hurtIn(child);
      entries += hurt.entries;
      for (const path of hurt.paths.slice(0, PATHS_LISTED - paths.length))
        paths.push(path === '' ? child.name : `${child.name}/${path}`);
    }
    return { entries, paths };
  }

  async #hurtContents(objectId: ObjectId): Promise<Hurt> {
    const keys = await this.#deps.contentsOf(objectId);
    return keys === undefined || keys.some((key) => this.#damaged.has(key)) ? HURT_ITSELF : UNHURT;
  }

  #isContentDamaged(id: ContentId): boolean {
    return this.#damaged.has(contentName(id));
  }
}

/** How a content is called in the set of what is damaged. */
export function contentName(id: ContentId): string {
  const key = contentKey(id);
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('hex');
}
