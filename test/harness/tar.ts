// Unpacks a gzipped tar archive (POSIX ustar, with the GNU and pax forms of long names): folders and plain files are
// all that fixtures hold, anything else is refused.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { gunzipSync } from 'node:zlib';

const BLOCK_BYTES = 512;

export interface ArchivedFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The plain files of the archive, in order. */
export function readTarGz(archivePath: string): ArchivedFile[] {
  const archive = gunzipSync(readFileSync(archivePath));
  const files: ArchivedFile[] = [];
  let longName: string | undefined;
  for (let at = 0; at + BLOCK_BYTES <= archive.length;) {
    const header = archive.subarray(at, at + BLOCK_BYTES);
    if (header[0] === 0) break;
    const size = Number.parseInt(text(header, 124, 12), 8);
    const body = archive.subarray(at + BLOCK_BYTES, at + BLOCK_BYTES + size);
    at += BLOCK_BYTES + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    const type = String.fromCharCode(header[156] ?? 0);
    if (type === 'L') longName = text(body, 0, body.length);
    else if (type === 'x') longName = paxPath(body) ?? longName;
    else {
      if (type === '0' || type === '\0') files.push({ path: longName ?? headerPath(header), bytes: body });
      else if (type !== '5') throw new Error(`${archivePath}: unexpected entry type ${type}`);
      longName = undefined;
    }
  }
  return files;
}

/** Writes the archive's files below `target`; answers how many. */
export function unpackTarGz(archivePath: string, target: string): number {
  const files = readTarGz(archivePath);
  for (const file of files) {
    const path = normalize(file.path);
    if (path.startsWith('..') || path.startsWith('/')) throw new Error(`${archivePath}: ${path} leaves the target`);
    mkdirSync(dirname(join(target, path)), { recursive: true });
    writeFileSync(join(target, path), file.bytes);
  }
  return files.length;
}

function headerPath(header: Uint8Array): string {
  const prefix = text(header, 257, 5) === 'ustar' && header[262] === 0 ? text(header, 345, 155) : '';
  const name = text(header, 0, 100);
  return prefix === '' ? name : `${prefix}/${name}`;
}

function paxPath(body: Uint8Array): string | undefined {
  return /^\d+ path=(.*)$/m.exec(text(body, 0, body.length))?.[1];
}

/** The text up to the first NUL. */
function text(bytes: Uint8Array, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString('utf8');
}
