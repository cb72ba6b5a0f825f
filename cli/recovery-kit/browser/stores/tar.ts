// Files inside a tar archive (POSIX ustar with pax and GNU long names), read where they lie. A gzipped one is unpacked
// once, into memory that the browser manages.
import { WindlassError } from '../../../../base/errors.ts';
import type { BlobFile } from './blob-files.ts';

const BLOCK = 512;
const MAX_HEADER_BYTES = 1 << 20;

export async function tarFiles(archive: Blob, isGzipped: boolean): Promise<BlobFile[]> {
  const tar = isGzipped
    ? await new Response(archive.stream().pipeThrough(new DecompressionStream('gzip'))).blob()
    : archive;
  const files: BlobFile[] = [];
  let next: { path?: string; size?: number } = {};
  for (let at = 0; at + BLOCK <= tar.size;) {
    const header = await bytesAt(tar, at, BLOCK);
    if (header.every((byte) => byte === 0)) break;
    if (text(header, 257, 5) !== 'ustar') throw broken('it has a header that is none', at);
    const size = next.size ?? numberAt(header, 124);
    const type = String.fromCharCode(header[156] ?? 0);
    const dataAt = at + BLOCK;
    if (!Number.isSafeInteger(size) || size < 0 || dataAt + size > tar.size) throw broken('it ends early', at);
    if (type === 'x' || type === 'L') {
      if (size > MAX_HEADER_BYTES) throw broken('a name in it is too long', at);
      const content = await bytesAt(tar, dataAt, size);
      next = type === 'x' ? parsePax(content) : { ...next, path: text(content, 0, content.length) };
    } else {
      const prefix = text(header, 345, 155);
      const name = text(header, 0, 100);
      const path = (next.path ?? (prefix === '' ? name : `${prefix}/${name}`)).replace(/^(\.?\/)+/, '');
      if (type === '0' || type === '\0')
        files.push(fileIn(tar, path, { at: dataAt, size, mtime: numberAt(header, 136) }));
      next = {};
    }
    at = dataAt + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}

function fileIn(tar: Blob, path: string, place: { at: number; size: number; mtime: number }): BlobFile {
  return {
    path,
    length: place.size,
    timestampMs: place.mtime * 1000,
    read: (offset, length) => bytesAt(tar, place.at + offset, length),
  };
}

async function bytesAt(blob: Blob, offset: number, length: number): Promise<Uint8Array> {
  return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
}

function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

/** Octal, or base 256 behind a first byte with the high bit set. */
function numberAt(header: Uint8Array, at: number): number {
  if (((header[at] ?? 0) & 0x80) === 0) return Number.parseInt(text(header, at, 12).trim() || '0', 8);
  let value = 0;
  for (let i = at + 1; i < at + 12; i++) value = value * 256 + (header[i] ?? 0);
  return value;
}

function parsePax(bytes: Uint8Array): { path?: string; size?: number } {
  const found: { path?: string; size?: number } = {};
  for (const [, key, value] of new TextDecoder().decode(bytes).matchAll(/\d+ ([^=\n]+)=([^\n]*)\n/g)) {
    if (key === 'path' && value !== undefined) found.path = value;
    if (key === 'size') found.size = Number(value);
  }
  return found;
}

function broken(reason: string, offset: number): WindlassError {
  return new WindlassError(`the archive cannot be read: ${reason}`, { code: 'ARCHIVE_INVALID', context: { offset } });
}
