// Headers of a tar archive: POSIX ustar, with a pax header before each entry whose name, link or size does not fit.
import type { DirectoryEntry } from '../../../repo-format/snapshot/directory-entry.ts';

const BLOCK = 512;
const NAME_BYTES = 100;
const MAX_OCTAL_SIZE = 0o77777777777;

type Bytes = Uint8Array<ArrayBuffer>;

export function tarHeader(entry: DirectoryEntry, path: string, linkTarget: string): Bytes {
  const encoder = new TextEncoder();
  const name = entry.type === 'd' ? `${path}/` : path;
  const type = entry.type === 'd' ? '5' : entry.type === 's' ? '2' : '0';
  const size = entry.type === 'f' ? entry.size : 0;
  const records: string[] = [];
  if (encoder.encode(name).length > NAME_BYTES) records.push(paxRecord('path', name));
  if (encoder.encode(linkTarget).length > NAME_BYTES) records.push(paxRecord('linkpath', linkTarget));
  if (size > MAX_OCTAL_SIZE) records.push(paxRecord('size', String(size)));
  const head = ustar({ name, type, size, linkTarget, entry });
  if (records.length === 0) return head;
  const pax = encoder.encode(records.join(''));
  const before = ustar({ name: 'pax', type: 'x', size: pax.length, linkTarget: '', entry });
  return joined([before, pax, tarPadding(pax.length), head]);
}

export function tarPadding(size: number): Bytes {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}

export function endOfTar(): Bytes {
  return new Uint8Array(2 * BLOCK);
}

interface Header {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly linkTarget: string;
  readonly entry: DirectoryEntry;
}

function ustar({ name, type, size, linkTarget, entry }: Header): Bytes {
  const header = new Uint8Array(BLOCK);
  const put = (text: string, at: number, room: number): void => {
    header.set(new TextEncoder().encode(text).subarray(0, room), at);
  };
  const octal = (value: number, at: number, digits: number): void => {
    put(
      Math.min(Math.max(0, Math.floor(value)), 8 ** digits - 1)
        .toString(8)
        .padStart(digits, '0'),
      at,
      digits,
    );
  };
  put(name, 0, NAME_BYTES);
  octal(entry.mode & 0o7777, 100, 7);
  octal(entry.uid, 108, 7);
  octal(entry.gid, 116, 7);
  octal(size, 124, 11);
  octal(entry.mtimeSeconds, 136, 11);
  put('        ', 148, 8);
  put(type, 156, 1);
  put(linkTarget, 157, NAME_BYTES);
  put('ustar\0' + '00', 257, 8);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8);
  return header;
}

/** `LENGTH KEY=VALUE\n`, the length counting itself. */
function paxRecord(key: string, value: string): string {
  const rest = new TextEncoder().encode(` ${key}=${value}\n`).length;
  let length = rest + 1;
  while (String(length).length + rest !== length) length = String(length).length + rest;
  return `${length} ${key}=${value}\n`;
}

function joined(parts: readonly Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
