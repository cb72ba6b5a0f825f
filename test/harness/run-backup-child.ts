// Starts backup-child.ts and reads what it says, for tests that kill a backup, limit it or run it as somebody else.
import { fileURLToPath } from 'node:url';

import type { BackupOptions } from '../../mover/upload/backup.ts';

export interface ChildOutcome {
  readonly id?: string;
  readonly rootObjectId?: string;
  readonly numFailed?: number;
  readonly errors?: readonly { readonly path: string; readonly error: string; readonly code: string }[];
  readonly resumedPacks?: number;
  readonly consistency?: unknown;
  /** Descriptors open after the backup that were not before. */
  readonly leaked?: number;
  readonly failure?: { readonly code: string; readonly message: string };
}

/** Its command line, for `runCommand`; `folder` is that of a fixture. `remote`: on a store that has no local files; `held`: one that stops answering after the first pack. */
export function childCommand(
  folder: string,
  tree: string,
  options: Partial<BackupOptions> = {},
  store: 'local' | 'remote' | 'held' = 'local',
): string[] {
  const script = fileURLToPath(new URL('./backup-child.ts', import.meta.url));
  return [process.execPath, script, folder, tree, JSON.stringify(options), store];
}

/** The outcome on the last line of what the child printed. */
export function childOutcome(stdout: string): ChildOutcome {
  // Written by backup-child.ts.
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as ChildOutcome;
}
