// One maintenance at a time on this machine: an advisory lock on a file among the local state of the repository. The
// system takes it away when its process dies.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { EAGAIN, flock, LOCK_EX, LOCK_NB } from '../../mover/posix/libc.ts';

/** Undefined when another process holds it. */
export async function lockMaintenance(folder: string): Promise<AsyncDisposable | undefined> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fd = openSync(join(folder, 'maintenance.lock'), 'a', 0o600);
  if (flock(fd, LOCK_EX | LOCK_NB) === -EAGAIN) {
    closeSync(fd);
    return undefined;
  }
  return { [Symbol.asyncDispose]: async () => closeSync(fd) };
}
