// Looks at the marker folder of one volume, `<root>/.velero`, and tidies it up. The folder is held by descriptor and its files are
// reached through that, so that no link, here or put here meanwhile, leads anywhere else. Only ordinary files are markers.
import { constants, type FileHandle, lstat, open, rmdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import {
  FALLBACK_OPTIONS,
  MARKER_LIMIT_BYTES,
  parseFailure,
  parseOptions,
  type ParsedOptions,
  type RestoreFailure,
  type RestoreOptions,
} from './marker-text.ts';

export const MARKER_FOLDER = '.velero';

/** Linux, x64 and arm64; not among Node's constants. Needs no permission to list the folder. */
const O_PATH = 0o10000000;
const FOLDER_FLAGS = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** A FIFO in place of a marker must not hold us up. */
const FILE_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

export type VolumeSight =
  | { readonly state: 'done'; readonly options: RestoreOptions; readonly note?: string }
  | { readonly state: 'failed'; readonly failure: RestoreFailure }
  | { readonly state: 'waiting'; readonly options: RestoreOptions; readonly note?: string };

/** Says what the volume's markers say. `note` is what stands in the way of seeing more. Never throws for what it meets there. */
export async function lookAtVolume(root: string, restoreUid: string): Promise<VolumeSight> {
  let folder: FileHandle;
  try {
    folder = await open(join(root, MARKER_FOLDER), FOLDER_FLAGS);
  } catch (error) {
    const note = await whyNoFolder(root, error);
    return { state: 'waiting', options: {}, ...(note === undefined ? {} : { note }) };
  }
  try {
    return await lookInFolder(folder, restoreUid);
  } catch (error) {
    return { state: 'waiting', options: {}, note: `its markers cannot be read: ${codeOf(error)}` };
  } finally {
    await folder.close();
  }
}

/**
 * Removes the restore's own markers, and the folder when nothing else is in it. Answers what was left because it may not be removed.
 * To be called only when the agent writes the markers again on demand: they are what lets this container run a second time.
 */
export async function tidyVolume(root: string, restoreUid: string): Promise<string | undefined> {
  const folder = await open(join(root, MARKER_FOLDER), FOLDER_FLAGS);
  try {
    for (const suffix of ['.failed', '.options', '']) await removeIfThere(inFolder(folder, `${restoreUid}${suffix}`));
    await rmdir(join(root, MARKER_FOLDER));
  } catch (error) {
    return codeOf(error);
  } finally {
    await folder.close();
  }
  return undefined;
}

async function lookInFolder(folder: FileHandle, restoreUid: string): Promise<VolumeSight> {
  const asked = await readMarker(folder, `${restoreUid}.options`);
  const { options, complaint } = optionsOf(asked);
  const notes = complaint === undefined ? [] : [complaint];
  const done = await kindOf(folder, restoreUid);
  if (done === 'file') return { state: 'done', options, ...noteOf(notes) };
  if (done === 'other') notes.push(`${MARKER_FOLDER}/${restoreUid} is not an ordinary file, so it is no marker`);
  const failed = await kindOf(folder, `${restoreUid}.failed`);
  if (failed === 'file') {
    const { bytes, note } = await readMarker(folder, `${restoreUid}.failed`);
    if (bytes !== undefined) return { state: 'failed', failure: parseFailure(bytes) };
    return { state: 'failed', failure: { message: `no reason given: ${note ?? 'the failure marker is gone again'}` } };
  }
  if (failed === 'other')
    notes.push(`${MARKER_FOLDER}/${restoreUid}.failed is not an ordinary file, so it is no marker`);
  return { state: 'waiting', options, ...noteOf(notes) };
}

function optionsOf({ bytes, note }: { bytes?: Uint8Array; note?: string }): ParsedOptions {
  if (bytes !== undefined) return parseOptions(bytes);
  return note === undefined ? { options: {} } : { options: FALLBACK_OPTIONS, complaint: note };
}

const noteOf = (notes: readonly string[]): { note?: string } => (notes.length === 0 ? {} : { note: notes.join('; ') });

async function kindOf(folder: FileHandle, name: string): Promise<'file' | 'other' | undefined> {
  try {
    return (await lstat(inFolder(folder, name))).isFile() ? 'file' : 'other';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function readMarker(folder: FileHandle, name: string): Promise<{ bytes?: Uint8Array; note?: string }> {
  const unusable = (why: string): { note: string } => ({ note: `${MARKER_FOLDER}/${name} is not used: ${why}` });
  let file: FileHandle;
  try {
    file = await open(inFolder(folder, name), FILE_FLAGS);
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? {} : unusable(codeOf(error));
  }
  try {
    if (!(await file.stat()).isFile()) return unusable('not an ordinary file');
    // One byte more than allowed tells a long file, even one that still grows.
    const buffer = Buffer.allocUnsafe(MARKER_LIMIT_BYTES + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (length > MARKER_LIMIT_BYTES) return unusable(`longer than ${MARKER_LIMIT_BYTES} bytes`);
      if (bytesRead === 0) return { bytes: buffer.subarray(0, length) };
    }
  } catch (error) {
    return unusable(codeOf(error));
  } finally {
    await file.close();
  }
}

async function whyNoFolder(root: string, error: unknown): Promise<string | undefined> {
  const code = codeOf(error);
  if (code === 'ENOENT') return undefined; // nothing yet: the ordinary wait
  if (code === 'ENOTDIR' || code === 'ELOOP') return `${MARKER_FOLDER} is not a folder`;
  if (code !== 'EACCES') return `its markers cannot be seen: ${code}`;
  try {
    const { mode, uid, gid } = await stat(root);
    const bits = (mode & 0o7777).toString(8).padStart(4, '0');
    const who = `user ${process.getuid?.()}, group ${process.getgid?.()}`;
    return `its markers cannot be seen: the volume's root (mode ${bits}, owner ${uid}:${gid}) or ${MARKER_FOLDER} is closed to this container (${who})`;
  } catch (failed) {
    return `its markers cannot be seen: ${code}, ${codeOf(failed)}`;
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** A path that goes through the descriptor, as openat() would. */
const inFolder = (folder: FileHandle, name: string): string => `/proc/self/fd/${folder.fd}/${name}`;

export function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : String(error);
}
