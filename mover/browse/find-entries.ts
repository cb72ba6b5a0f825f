// Finds entries by pattern over many snapshots. Directories that snapshots share are searched once where only names decide.
import type { ObjectId, Repository, SnapshotManifest } from '../../repo-format/index.ts';
import type { Glob } from './glob.ts';
import { listTree } from './list-tree.ts';
import { rootEntryOf, type ResolvedEntry } from './resolve-path.ts';

export interface FoundEntry extends ResolvedEntry {
  readonly manifest: SnapshotManifest;
}

// Directory ids remembered as holding no match, about 100 bytes each: 10 MB at most.
const MAX_REMEMBERED = 100_000;

/** Every match in every snapshot, snapshot by snapshot; those without a root are left out. */
export async function* findEntries(
  repository: Repository,
  manifests: Iterable<SnapshotManifest>,
  glob: Glob,
  signal: AbortSignal,
): AsyncGenerator<FoundEntry, void, undefined> {
  const barren = new BarrenDirectories(glob.byNameOnly);
  for (const manifest of manifests) {
    if (manifest.rootEntry === null) continue;
    const root: ResolvedEntry = { entry: rootEntryOf(manifest), path: '' };
    if (root.entry.type === 'd' && barren.has(root.entry.objectId)) continue;
    const descend = (directory: ResolvedEntry): boolean => !barren.has(directory.entry.objectId);
    let matches = 0;
    for await (const found of listTree(repository, root, { recursive: true, descend }, signal)) {
      if (root.entry.type !== 'd' ? !glob.matches(root.entry.name) : !glob.matches(found.path)) {
        barren.enter(found);
        continue;
      }
      matches++;
      barren.enter(found);
      barren.spoil(found.path);
      yield { ...found, manifest };
    }
    barren.finish();
    if (matches === 0) barren.add(root.entry.objectId);
  }
}

/** Which directories hold no match below them: those walked to the end without one. */
class BarrenDirectories {
  readonly #enabled: boolean;
  readonly #known = new Set<ObjectId | ''>();
  /** Directories being walked, outermost first. */
  #open: { path: string; objectId: ObjectId | ''; spoiled: boolean }[] = [];

  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  has(objectId: ObjectId | ''): boolean {
    return this.#known.has(objectId);
  }

  add(objectId: ObjectId | ''): void {
    if (this.#enabled && this.#known.size < MAX_REMEMBERED) this.#known.add(objectId);
  }

  /** The walk came to `entry`: directories it is not in are done. */
  enter({ entry, path }: ResolvedEntry): void {
    while (this.#open.length > 0 && !path.startsWith(`${this.#open.at(-1)?.path}/`)) this.#close();
    if (entry.type === 'd' && !this.has(entry.objectId))
      this.#open.push({ path, objectId: entry.objectId, spoiled: false });
  }

  /** `path` matched: no directory around it is barren. */
  spoil(path: string): void {
    for (const directory of this.#open) if (path.startsWith(`${directory.path}/`)) directory.spoiled = true;
  }

  finish(): void {
    while (this.#open.length > 0) this.#close();
  }

  #close(): void {
    const done = this.#open.pop();
    if (done !== undefined && !done.spoiled) this.add(done.objectId);
  }
}
