// Memory for the bench's scratch data that costs both tools the same small amount. Linux only.
//
// Two things outside of any backup tool would else decide the figures. A memory file system of single 4 KiB pages takes longer
// to write than a backup takes to hash, so as root the bench mounts one with large pages. And on virtual machines whose host
// takes freed memory back, a page that was idle for a second costs twenty times as much to write as one just freed:
// `WarmMemory` holds written pages and frees them as the measured command needs some.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { removeTree, scratchRoot } from '../harness/scratch.ts';

export interface Scratch {
  readonly path: string;
  /** For the report. */
  readonly kind: string;
  remove(): void;
}

const MIB = 1 << 20;

/** A folder under `parent`; without one, a memory file system of its own where that can be mounted. */
export function openScratch(parent: string | undefined): Scratch {
  const path = mkdtempSync(join(parent ?? scratchRoot(), 'windlass-bench-'));
  // `within_size` keeps small files small.
  const mount = ['-t', 'tmpfs', '-o', 'huge=within_size,mode=700', 'windlass-bench', path];
  const isMounted = parent === undefined && process.getuid?.() === 0 && spawnSync('mount', mount).status === 0;
  return {
    path,
    kind: isMounted ? 'a memory file system with large pages' : parent === undefined ? 'a memory file system' : parent,
    remove: () => {
      // Lazily: a command that was interrupted may still be ending in there.
      if (isMounted) spawnSync('umount', ['-l', path]);
      removeTree(path);
    },
  };
}

const STEP_MIB = 32;
/** Freed before the command starts; from then on as much as it takes. */
const LEAD_STEPS = 16;

/** Files of written pages in `folder`, `bytes` in all; `sample()` frees as many as were taken by others since. */
export class WarmMemory {
  readonly #folder: string;
  readonly #files: string[] = [];
  readonly #baseMib: number;

  constructor(folder: string, bytes: number) {
    this.#folder = folder;
    mkdirSync(folder);
    const step = Buffer.alloc(STEP_MIB * MIB, 1);
    for (let i = 0; i < Math.ceil(bytes / step.length) + LEAD_STEPS; i++) {
      const file = join(folder, `${i}`);
      writeFileSync(file, step);
      this.#files.push(file);
    }
    this.#free(LEAD_STEPS);
    this.#baseMib = sharedMib();
  }

  /** Call it often while the command runs. */
  sample(): void {
    if (this.#files.length > 0) this.#free(Math.floor((sharedMib() - this.#baseMib) / STEP_MIB));
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #free(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const file = this.#files.pop();
      if (file !== undefined) unlinkSync(file);
    }
  }
}

/** What memory file systems hold. */
function sharedMib(): number {
  return Number(/^Shmem:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1] ?? 0) / 1024;
}
