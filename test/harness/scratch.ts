// Temporary folders for tests: in memory where the machine offers it, removed when the test ends.
import { accessSync, chmodSync, constants, lstatSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Anything with an `after` hook: a test context, or the runner of a suite that is not `node:test`. */
export interface CleanUp {
  after(hook: () => void): void;
}

/** The fastest place for scratch data: a memory file system when there is one, else the system's temporary folder. */
export function scratchRoot(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    // No memory file system here (macOS, small containers): an ordinary folder serves.
    return realpathSync(tmpdir());
  }
}

/** A fresh folder under the system's temporary folder, removed after the test. */
export function scratchFolder(t: CleanUp, name = 'test'): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), `windlass-${name}-`));
  t.after(() => removeTree(folder));
  return folder;
}

/** The same in memory, for suites that write much. */
export function memoryFolder(t: CleanUp, name = 'test'): string {
  const folder = mkdtempSync(join(scratchRoot(), `windlass-${name}-`));
  t.after(() => removeTree(folder));
  return folder;
}

/** Removes a tree even when folders in it deny writing. */
export function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    makeRemovable(path);
    rmSync(path, { recursive: true, force: true });
  }
}

function makeRemovable(path: string): void {
  if (!lstatSync(path).isDirectory()) return;
  chmodSync(path, 0o700);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) makeRemovable(join(path, entry.name));
  }
}
