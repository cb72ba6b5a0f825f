// What the init container of a restored pod waits for: files in `.velero` at the volume's root (docs/design/0009). They are made
// by descriptor: what was restored may have links of its own in that place.
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { hasCode, WindlassError } from '../../base/errors.ts';
import type { VolumeRoot } from './volume-root.ts';

/** The name is Velero's, and nothing in it is data of the volume. */
export const MARKER_FOLDER = '.velero';
const FOLDER_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const FILE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MAX_REASON_LENGTH = 1024;
const MAX_SIGNATURE_BYTES = 4096;
/** In a volume that is full nothing could be said: a block is held from the beginning. */
const ROOM_FOR_AN_END_BYTES = 4096;
/** Of the root, so that a process of another user finds what is below it by name. */
export const SEARCH_BITS = 0o111;

export interface FailureReason {
  readonly message: string;
  readonly code: string;
  readonly podVolumeRestore: string;
}

/** What the init container is asked for; Velero's does not look at it. */
export interface HelperOptions {
  readonly deadlineSeconds: number;
}

/** Which PodVolumeRestore has restored the volume: several of one Restore may be for the same. */
export interface RestoredBy {
  /** `NAMESPACE/NAME`. */
  readonly podVolumeRestore: string;
  readonly uid: string;
}

export interface Marker {
  readonly by: RestoredBy | undefined;
}

/** The file that says that the volume is restored, and by whom. Durable when it returns. */
export function writeDoneMarker(volume: VolumeRoot, restoreUid: string, by: RestoredBy): void {
  writeWithRoom(volume, restoreUid, restoreUid, `${signature(by)}\n`);
  removeMarker(volume, begunName(restoreUid));
}

/**
 * The marker that the volume is restored, if it is there: from then on the volume is the pod's, whose containers may have written to
 * it. `by` is undefined where nobody has signed it: the marker of Velero's agent, or one that was made by hand.
 */
export function readDoneMarker(volume: VolumeRoot, restoreUid: string): Marker | undefined {
  return readMarker(volume, restoreUid);
}

/** Whether {@link prepareMarkers} was here, and for whom: what is in the volume may be of an attempt that was interrupted. */
export function readBegunMarker(volume: VolumeRoot, restoreUid: string): Marker | undefined {
  return readMarker(volume, begunName(restoreUid));
}

/** What our helper ends with; others do not look at it and wait on. */
export function writeFailureMarker(volume: VolumeRoot, restoreUid: string, reason: FailureReason): void {
  const message = reason.message.slice(0, MAX_REASON_LENGTH);
  writeWithRoom(volume, restoreUid, `${restoreUid}.failed`, `${JSON.stringify({ ...reason, message })}\n`);
}

/**
 * Before the data: what an earlier attempt has left is gone, and the folder is there, so that the marker's coming does not change the
 * time of the restored root. A file says whose data may have come in part; another, where it is wanted, what the init container is
 * asked for.
 */
export function prepareMarkers(volume: VolumeRoot, restoreUid: string, by: RestoredBy, options?: HelperOptions): void {
  withFolder(volume, restoreUid, (fd) => {
    for (const name of [restoreUid, `${restoreUid}.failed`, `${restoreUid}.options`])
      ignoring('ENOENT', () => unlinkSync(at(fd, name)));
  });
  if (options !== undefined) writeMarker(volume, restoreUid, `${restoreUid}.options`, `${JSON.stringify(options)}\n`);
  writeMarker(volume, restoreUid, begunName(restoreUid), `${signature(by).padEnd(ROOM_FOR_AN_END_BYTES - 1)}\n`);
}

/** Opens a root that other users may not search, as long as one of them waits for a marker. The bits that it had, if it was closed. */
export function openClosedRoot(volume: VolumeRoot): number | undefined {
  const mode = fstatSync(volume.fd).mode & 0o7777;
  if ((mode & SEARCH_BITS) === SEARCH_BITS) return undefined;
  fchmodSync(volume.fd, mode | SEARCH_BITS);
  return mode;
}

/** Puts back what {@link openClosedRoot} found, unless somebody has changed it meanwhile. */
export function closeRoot(volume: VolumeRoot, mode: number): void {
  const now = fstatSync(volume.fd).mode & 0o7777;
  if (now === (mode | SEARCH_BITS)) fchmodSync(volume.fd, mode);
}

function begunName(restoreUid: string): string {
  return `${restoreUid}.begun`;
}

/** An ordinary file of that name; a link or a folder is none. */
function readMarker(volume: VolumeRoot, name: string): Marker | undefined {
  let text: string | undefined;
  withFolder(volume, undefined, (fd) => {
    ignoring('ENOENT', () => (text = readOrdinaryFile(at(fd, name))));
  });
  return text === undefined ? undefined : { by: parseSignature(text) };
}

function signature({ podVolumeRestore, uid }: RestoredBy): string {
  return JSON.stringify({ podVolumeRestore, uid });
}

function removeMarker(volume: VolumeRoot, name: string): void {
  withFolder(volume, undefined, (fd) => ignoring('ENOENT', () => unlinkSync(at(fd, name))));
}

/** The text of an ordinary file, cut to a length; undefined where something else has its name. */
function readOrdinaryFile(path: string): string | undefined {
  if (!lstatSync(path).isFile()) return undefined;
  const file = openSync(path, READ_FLAGS);
  try {
    const buffer = Buffer.alloc(MAX_SIGNATURE_BYTES);
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, 0));
  } finally {
    closeSync(file);
  }
}

function parseSignature(text: string): RestoredBy | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // nobody's signature, which the caller tells from one
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { podVolumeRestore, uid } = value as Readonly<Record<string, unknown>>;
  return typeof podVolumeRestore === 'string' && typeof uid === 'string' ? { podVolumeRestore, uid } : undefined;
}

/** In a full volume what was kept for this moment is given back first. */
function writeWithRoom(volume: VolumeRoot, restoreUid: string, name: string, text: string): void {
  try {
    writeMarker(volume, restoreUid, name, text);
  } catch (error) {
    if (!isFull(error)) throw error;
    removeMarker(volume, begunName(restoreUid));
    writeMarker(volume, restoreUid, name, text);
  }
}

function isFull(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return hasCode(cause, 'ENOSPC') || hasCode(cause, 'EDQUOT');
}

function writeMarker(volume: VolumeRoot, restoreUid: string, name: string, content: string): void {
  withFolder(volume, restoreUid, (fd) => {
    // No reader meets half a file, and no crash takes back what was said.
    const unfinished = `${name}.new`;
    ignoring('ENOENT', () => unlinkSync(at(fd, unfinished)));
    const file = openSync(at(fd, unfinished), FILE_FLAGS, 0o644);
    try {
      fchmodSync(file, 0o644);
      writeSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(at(fd, unfinished), at(fd, name));
    fsyncSync(fd);
  });
  fsyncSync(volume.fd);
}

/**
 * Nothing is called when there is no folder and none is made: one is for a restore, by its UID. `VOLUME_MARKER` for whatever the file
 * system refuses.
 */
function withFolder(volume: VolumeRoot, makeFor: string | undefined, use: (fd: number) => void): void {
  const path = at(volume.fd, MARKER_FOLDER);
  try {
    if (makeFor !== undefined) makeFolder(path, makeFor);
    const fd = openFolder(path, makeFor !== undefined);
    if (fd === undefined) return;
    try {
      if (makeFor !== undefined) fchmodSync(fd, fstatSync(fd).mode | 0o755);
      use(fd);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new WindlassError(`the markers in ${MARKER_FOLDER} of the volume cannot be read or written`, {
      code: 'VOLUME_MARKER',
      cause,
    });
  }
}

function openFolder(path: string, mustBe: boolean): number | undefined {
  try {
    return openSync(path, FOLDER_FLAGS);
  } catch (error) {
    if (!mustBe && ['ENOENT', 'ELOOP', 'ENOTDIR'].some((code) => hasCode(error, code))) return undefined;
    throw error;
  }
}

/**
 * What is no folder there gives way, as it does to Velero; but it is somebody's, and stays beside it under another name. No snapshot
 * that this restore may write over it has the name.
 */
function makeFolder(path: string, restoreUid: string): void {
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    if (lstatSync(path).isDirectory()) return;
    renameSync(path, freeName(`${path}.saved-${restoreUid}`));
    mkdirSync(path, { mode: 0o755 });
  }
}

function freeName(path: string): string {
  for (let number = 1; ; number++) {
    const name = number === 1 ? path : `${path}-${number}`;
    if (lstatSync(name, { throwIfNoEntry: false }) === undefined) return name;
  }
}

function at(fd: number, name: string): string {
  return `/proc/self/fd/${fd}/${name}`;
}

function ignoring(code: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!hasCode(error, code)) throw error;
  }
}
