// One maintenance at a time on this machine: an advisory lock on a file among the local state of the repository. The
// system takes it away when its process dies.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { EAGAIN, flock, LOCK_EX, LOCK_NB } from '../../mover/posix/libc.ts';

/**
 * Undefined when another process holds it. Where the folder takes no file (a root file system that is read-only) there is no lock: then only
 * the owner's name keeps maintainers apart, as everywhere else.
 */
export async function lockMaintenance(folder: string, logger: Logger): Promise<AsyncDisposable | undefined> {
  let fd: number;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    fd = openSync(join(folder, 'maintenance.lock'), 'a', 0o600);
  } catch (error) {
    logger.warn('going on without a lock on this machine', { folder, error: String(error) });
    return { [Symbol.asyncDispose]: async () => undefined };
  }
  if (flock(fd, LOCK_EX | LOCK_NB) === -EAGAIN) {
    closeSync(fd);
    return undefined;
  }
  return { [Symbol.asyncDispose]: async () => closeSync(fd) };
}
