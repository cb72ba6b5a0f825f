// The volumes that are waited for: every folder directly below /restores, looked at together. What is known of each is kept while a
// look is under way, so that a file system that does not answer can be named.
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, lookAtVolume, type VolumeSight } from './marker-folder.ts';

/** More volumes than any pod has; a folder that is longer is not the one we were given. */
const VOLUME_LIMIT = 1024;

export class Volumes {
  readonly #folder: string;
  readonly #restoreUid: string;
  readonly #sights = new Map<string, VolumeSight>();
  readonly #unanswered = new Set<string>();
  #problem: string | undefined = 'not looked at yet';

  constructor(options: { readonly folder: string; readonly restoreUid: string }) {
    this.#folder = options.folder;
    this.#restoreUid = options.restoreUid;
  }

  /** What each volume said last, in the order of their names. */
  get sights(): ReadonlyMap<string, VolumeSight> {
    return new Map([...this.#sights].sort(([left], [right]) => (left < right ? -1 : 1)));
  }

  /** Names of the volumes whose file system has not answered the look under way. */
  get unanswered(): ReadonlySet<string> {
    return this.#unanswered;
  }

  /** Why it is not even known which volumes there are. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Resolves when all volumes have answered. */
  async look(): Promise<void> {
    let names: readonly string[];
    try {
      names = await listFolders(this.#folder);
      this.#problem = names.length === 0 ? `there is no volume below ${this.#folder}` : undefined;
    } catch (error) {
      this.#problem = error instanceof TooManyError ? error.message : `${this.#folder}: ${codeOf(error)}`;
      return;
    }
    for (const known of this.#sights.keys()) if (!names.includes(known)) this.#sights.delete(known);
    await Promise.all(
      names.map(async (name) => {
        this.#unanswered.add(name);
        this.#sights.set(name, await lookAtVolume(join(this.#folder, name), this.#restoreUid));
        this.#unanswered.delete(name);
      }),
    );
  }
}

class TooManyError extends Error {}

/** Links are no volumes, nor are files: the kubelet mounts folders. */
async function listFolders(folder: string): Promise<readonly string[]> {
  const names: string[] = [];
  let entries = 0;
  for await (const entry of await opendir(folder)) {
    if (++entries > VOLUME_LIMIT) throw new TooManyError(`${folder} has more than ${VOLUME_LIMIT} entries`);
    if (entry.isDirectory()) names.push(entry.name);
  }
  return names;
}
