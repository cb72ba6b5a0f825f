// Standard input as a stream of bytes, whatever it is.
import { createReadStream, ReadStream } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';

const STDIN_FD = 0;

/**
 * For a block device, a directory or a datagram socket Node's `stdin` is a stand-in that ends at once: a disk piped into
 * a backup would be an empty file and no error. Those are read by their descriptor, which gives their bytes or the error.
 */
export function standardInput(stdin: Readable): AsyncIterable<Uint8Array | string> {
  if (stdin instanceof Socket || stdin instanceof ReadStream) return stdin;
  return createReadStream('', { fd: STDIN_FD, autoClose: false });
}
