// The folder of one run of one process below a folder that many share: packs that grow, packs and ranges that were fetched.
// Nothing in it is of any use to others, and what a killed process leaves goes with the next run: its owner is in its name.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';

const PREFIX = 'windlass-work-';
const DIRECTORY_MODE = 0o700;
const MAX_NAME_BYTES = 255;

export interface WorkFolderDeps {
  readonly random: RandomSource;
  readonly processes: { readonly self: string; isGone(owner: string): boolean };
}

export class WorkFolder {
  /** Made when something is put into it. */
  readonly path: string;
  readonly #parent: string;
  readonly #deps: WorkFolderDeps;

  constructor(parent: string, deps: WorkFolderDeps) {
    this.#parent = parent;
    this.#deps = deps;
    const name = `${PREFIX}${toHex(deps.random.bytes(12))}.${encodeURIComponent(deps.processes.self)}`;
    // A name that is too long only means that nobody finds out whether its owner is gone.
    this.path = join(parent, name.slice(0, MAX_NAME_BYTES));
  }

  /** A folder inside, there when this returns. */
  make(name: string): string {
    const path = join(this.path, name);
    mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE });
    return path;
  }

  /** Removes what processes that are gone have left behind. What cannot be removed is garbage, not a failure. */
  sweep(): void {
    for (const name of this.#siblings()) {
      const owner = ownerOf(name);
      if (owner === undefined || !this.#deps.processes.isGone(owner) || join(this.#parent, name) === this.path)
        continue;
      try {
        rmSync(join(this.#parent, name), { recursive: true, force: true });
      } catch {
        // Somebody else's, or being removed by another run right now.
      }
    }
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true }).catch(() => undefined); // the next run sweeps
  }

  #siblings(): string[] {
    try {
      return readdirSync(this.#parent).filter((name) => name.startsWith(PREFIX));
    } catch {
      return []; // nothing was ever left there
    }
  }
}

function ownerOf(name: string): string | undefined {
  if (name.length >= MAX_NAME_BYTES) return undefined;
  try {
    return decodeURIComponent(name.slice(name.indexOf('.') + 1));
  } catch {
    return undefined;
  }
}
