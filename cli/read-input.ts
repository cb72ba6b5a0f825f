// Reads a small file that a person names, which may be a pipe: of a shell (`<(…)`) or one whose writer comes later or never. A pipe is
// never waited for in a system call, which no signal would end.
import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from '../base/errors.ts';

const POLL_MS = 20;

/** At most `limit` bytes from its beginning. Rejects with the system's error, or as the signal says. */
export async function readInput(path: string, limit: number, signal: AbortSignal): Promise<Uint8Array> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const isPipe = (await file.stat()).isFIFO();
  const mayHaveNoWriterYet = isPipe && (await hasName(path));
  const bytes = new Uint8Array(limit);
  let length = 0;
  while (length < limit) {
    signal.throwIfAborted();
    const bytesRead = await file.read(bytes, length, limit - length, null).then(
      (read) => read.bytesRead,
      (error: unknown) => {
        if (isPipe && hasCode(error, 'EAGAIN')) return undefined;
        throw error;
      },
    );
    if (bytesRead === undefined || (bytesRead === 0 && mayHaveNoWriterYet && length === 0)) {
      await delay(POLL_MS, undefined, { signal });
      continue;
    }
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

/** A shell's pipe has none, and its writer is there from the start: when it ends without a byte, there is none to wait for. */
async function hasName(path: string): Promise<boolean> {
  return realpath(path).then(
    () => true,
    () => false,
  );
}
