// A volume held open: found by names below the kubelet's folder without following a link, known by device, inode and mount from
// then on. What lies at the path later may be another volume, or the empty folder it was mounted on.
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { errorCode, WindlassError } from '../../base/errors.ts';
import type { VolumePlace } from '../datapath/job.ts';

export interface VolumeRoot {
  readonly fd: number;
  /** Permission bits when it was opened. */
  readonly mode: number;
  /** `VOLUME_REPLACED` unless the path still leads to what is held, `VOLUME_IO_ERROR` where that cannot be read any more. */
  requireSame(): void;
  close(): void;
}

interface Identity {
  readonly device: number;
  readonly inode: bigint;
  readonly mountId: string;
}

const OPEN_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** `VOLUME_NOT_FOUND`, or `VOLUME_NOT_MOUNTED` where the kind of volume is a mount and nothing is mounted there. */
export function openVolume(place: VolumePlace): VolumeRoot {
  const { fd, isMountRoot } = walk(place);
  if (place.isMount && !isMountRoot) {
    closeSync(fd);
    throw new WindlassError(`nothing is mounted at ${pathOf(place)}: the volume is not there`, {
      code: 'VOLUME_NOT_MOUNTED',
      context: { path: pathOf(place) },
    });
  }
  const held = identityOf(fd);
  return {
    fd,
    mode: fstatSync(fd).mode & 0o7777,
    requireSame: () => requireSame(place, fd, held),
    close: () => closeSync(fd),
  };
}

/** For messages; nothing is opened by it. */
export function pathOf({ root, names }: Pick<VolumePlace, 'root' | 'names'>): string {
  return [root, ...names].join('/');
}

function walk(place: VolumePlace): { readonly fd: number; readonly isMountRoot: boolean } {
  let fd = openDirectory(place.root, place);
  let isMountRoot = false;
  for (const name of place.names) {
    const parent = fd;
    try {
      if (name === '' || name === '.' || name === '..' || name.includes('/'))
        throw notFound(place, `${name} is no name`);
      fd = openDirectory(`/proc/self/fd/${parent}/${name}`, place);
      isMountRoot = mountIdOf(fd) !== mountIdOf(parent);
    } finally {
      closeSync(parent);
    }
  }
  return { fd, isMountRoot };
}

function openDirectory(path: string, place: VolumePlace): number {
  try {
    return openSync(path, OPEN_FLAGS);
  } catch (cause) {
    throw notFound(place, errorCode(cause) ?? 'unknown', cause);
  }
}

function identityOf(fd: number): Identity {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return { device: Number(dev), inode: ino, mountId: mountIdOf(fd) };
}

function mountIdOf(fd: number): string {
  return /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '';
}

function requireSame(place: VolumePlace, fd: number, held: Identity): void {
  let now: Identity;
  try {
    const found = walk(place);
    try {
      now = identityOf(found.fd);
    } finally {
      closeSync(found.fd);
    }
  } catch (cause) {
    throw replaced(place, 'it is gone', cause);
  }
  if (now.mountId !== held.mountId) throw replaced(place, 'it was unmounted or mounted anew');
  if (now.device !== held.device || now.inode !== held.inode) throw replaced(place, 'another volume is there');
  try {
    readdirSync(`/proc/self/fd/${fd}`);
  } catch (cause) {
    throw new WindlassError(
      `the volume at ${pathOf(place)} cannot be read any more: ${errorCode(cause) ?? 'unknown'}`,
      {
        code: 'VOLUME_IO_ERROR',
        context: { path: pathOf(place) },
        cause,
      },
    );
  }
}

function replaced(place: VolumePlace, reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`the volume at ${pathOf(place)} changed while it was used: ${reason}`, {
    code: 'VOLUME_REPLACED',
    context: { path: pathOf(place) },
    cause,
  });
}

function notFound(place: VolumePlace, reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`the volume's folder ${pathOf(place)} cannot be opened: ${reason}`, {
    code: 'VOLUME_NOT_FOUND',
    context: { path: pathOf(place) },
    cause,
  });
}
