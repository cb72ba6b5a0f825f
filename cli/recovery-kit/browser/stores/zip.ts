// Files inside a zip archive (APPNOTE 6.3, zip64 included), stored or deflated, found through the central directory.
import { WindlassError } from '../../../../base/errors.ts';
import type { BlobFile } from './blob-files.ts';

const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const STORED = 0;
const DEFLATED = 8;
const MAX_DIRECTORY_BYTES = 512 << 20;
const IN_ZIP64 = 0xffffffff;

interface Entry {
  readonly path: string;
  readonly method: number;
  readonly packed: number;
  readonly length: number;
  readonly localAt: number;
}

export async function zipFiles(archive: Blob): Promise<BlobFile[]> {
  const { at, bytes } = await findDirectory(archive);
  if (bytes > MAX_DIRECTORY_BYTES || at + bytes > archive.size) throw broken('its directory does not fit');
  const directory = await viewOf(archive, at, bytes);
  const files: BlobFile[] = [];
  for (let position = 0; position + 46 <= bytes;) {
    if (directory.getUint32(position, true) !== CENTRAL) throw broken('its directory is damaged');
    const names = directory.getUint16(position + 28, true);
    const extras = directory.getUint16(position + 30, true);
    const comments = directory.getUint16(position + 32, true);
    const next = position + 46 + names + extras + comments;
    if (next > bytes) throw broken('its directory is damaged');
    const entry = parseEntry(directory, position, names, extras);
    if (!entry.path.endsWith('/')) files.push(fileIn(archive, entry));
    position = next;
  }
  return files;
}

function parseEntry(view: DataView, at: number, names: number, extras: number): Entry {
  const name = new Uint8Array(view.buffer, view.byteOffset + at + 46, names);
  const wide = new Map<'length' | 'packed' | 'localAt', number>();
  const plain = {
    length: view.getUint32(at + 24, true),
    packed: view.getUint32(at + 20, true),
    localAt: view.getUint32(at + 42, true),
  };
  for (let extra = at + 46 + names; extra + 4 <= at + 46 + names + extras;) {
    const size = view.getUint16(extra + 2, true);
    if (view.getUint16(extra, true) === 1) {
      let field = extra + 4;
      for (const key of ['length', 'packed', 'localAt'] as const) {
        if (plain[key] !== IN_ZIP64 || field + 8 > extra + 4 + size) continue;
        wide.set(key, Number(view.getBigUint64(field, true)));
        field += 8;
      }
    }
    extra += 4 + size;
  }
  return {
    path: new TextDecoder().decode(name).replace(/^(\.?\/)+/, ''),
    method: view.getUint16(at + 10, true),
    length: wide.get('length') ?? plain.length,
    packed: wide.get('packed') ?? plain.packed,
    localAt: wide.get('localAt') ?? plain.localAt,
  };
}

function fileIn(archive: Blob, entry: Entry): BlobFile {
  let unpacked: Promise<Blob> | undefined;
  const dataAt = async (): Promise<number> => {
    const local = await viewOf(archive, entry.localAt, 30);
    if (local.getUint32(0, true) !== LOCAL) throw broken(`${entry.path} is not where the directory says`);
    return entry.localAt + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  };
  const content = async (): Promise<Blob> => {
    const start = await dataAt();
    const packed = archive.slice(start, start + entry.packed);
    if (entry.method === STORED) return packed;
    if (entry.method !== DEFLATED) throw broken(`${entry.path} is compressed in a way that is not known here`);
    return new Response(packed.stream().pipeThrough(new DecompressionStream('deflate-raw'))).blob();
  };
  return {
    path: entry.path,
    length: entry.length,
    timestampMs: 0,
    read: async (offset, length) =>
      new Uint8Array(await (await (unpacked ??= content())).slice(offset, offset + length).arrayBuffer()),
  };
}

async function findDirectory(archive: Blob): Promise<{ at: number; bytes: number }> {
  const tailAt = Math.max(0, archive.size - END_BYTES - MAX_COMMENT_BYTES);
  const tail = await viewOf(archive, tailAt, archive.size - tailAt);
  for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END) continue;
    const plain = { bytes: tail.getUint32(at + 12, true), at: tail.getUint32(at + 16, true) };
    if (plain.at !== IN_ZIP64 && plain.bytes !== IN_ZIP64) return plain;
    if (at < 20 || tail.getUint32(at - 20, true) !== LOCATOR64) throw broken('its end is damaged');
    const wide = await viewOf(archive, Number(tail.getBigUint64(at - 12, true)), 56);
    if (wide.getUint32(0, true) !== END64) throw broken('its end is damaged');
    return { bytes: Number(wide.getBigUint64(40, true)), at: Number(wide.getBigUint64(48, true)) };
  }
  throw broken('it has no end record');
}

async function viewOf(archive: Blob, offset: number, length: number): Promise<DataView> {
  const bytes = await archive.slice(offset, offset + length).arrayBuffer();
  if (bytes.byteLength !== length) throw broken('it ends early');
  return new DataView(bytes);
}

function broken(reason: string): WindlassError {
  return new WindlassError(`the archive cannot be read: ${reason}`, { code: 'ARCHIVE_INVALID' });
}
