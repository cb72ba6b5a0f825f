// Remembers, on this machine, the packs a session has stored but not yet indexed, so that after a crash the next run
// takes them over instead of storing their contents again. One file a session, one record a pack.
//
//   file    magic line, then records
//   record  u32le payload length, payload, 32 bytes HMAC-SHA-256 over the record's number and its payload
//   payload u16le length of the pack's name, name, f64le blob length, f64le Unix ms, u32le rows, rows
//   record 0 has as payload a JSON header that says which repository, session and process wrote the file
//
// The journal is trusted only as far as its HMAC goes (the key comes from the repository's secrets), because rows map
// content ids to places. A torn or altered record ends the reading; losing the journal costs only time.
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { BlobId } from '../blob/storage.ts';
import type { SessionId } from './session.ts';

const MAGIC = 'windlass-session-journal-1\n';
const MAC_BYTES = 32;
/** A journal larger than this is not ours; also bounds what is read into memory. */
const MAX_JOURNAL_BYTES = 1 << 30;

export interface JournalHeader {
  readonly repositoryId: string;
  readonly sessionId: SessionId;
  /** Name of the session's marker blob, deleted once the adopted packs are indexed. */
  readonly markerId: BlobId;
  /** Tells whether the writing process still lives; opaque here. */
  readonly owner: string;
}

export interface JournalRecord {
  readonly packId: BlobId;
  readonly length: number;
  readonly storedAtMs: number;
  readonly rowCount: number;
  readonly rows: Uint8Array;
}

export interface JournalContents {
  readonly path: string;
  readonly header: JournalHeader;
  readonly records: readonly JournalRecord[];
}

/** @param secret the repository's master key (or hash secret); @param salt its unique id */
export function journalKey(secret: Uint8Array, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, salt, 'windlass session journal', 32));
}

function mac(key: Uint8Array, number: number, payload: Uint8Array): Buffer {
  const counter = Buffer.alloc(4);
  counter.writeUInt32LE(number);
  return createHmac('sha256', key).update(counter).update(payload).digest();
}

/** Appends to one session's journal. A failing journal never fails the backup: callers log and go on without one. */
export class SessionJournal {
  readonly path: string;
  readonly #key: Uint8Array;
  #fd: number;
  #count = 0;

  private constructor(path: string, fd: number, key: Uint8Array) {
    this.path = path;
    this.#fd = fd;
    this.#key = key;
  }

  static create(folder: string, header: JournalHeader, key: Uint8Array): SessionJournal {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, `${header.sessionId}.journal`);
    const fd = openSync(path, 'wx', 0o600);
    writeSync(fd, MAGIC);
    const journal = new SessionJournal(path, fd, key);
    journal.#append(Buffer.from(JSON.stringify(header)));
    return journal;
  }

  append(record: JournalRecord): void {
    const name = Buffer.from(record.packId);
    const head = Buffer.alloc(2 + name.length + 20);
    head.writeUInt16LE(name.length);
    name.copy(head, 2);
    head.writeDoubleLE(record.length, 2 + name.length);
    head.writeDoubleLE(record.storedAtMs, 10 + name.length);
    head.writeUInt32LE(record.rowCount, 18 + name.length);
    this.#append(Buffer.concat([head, record.rows]));
  }

  /** Removes the journal: its packs are indexed now. */
  remove(): void {
    this.close();
    rmSync(this.path, { force: true });
  }

  /** Removes a file that is not needed any more; one that is gone already is fine. */
  static discard(path: string): void {
    rmSync(path, { force: true });
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #append(payload: Uint8Array): void {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(payload.length);
    writeSync(this.#fd, Buffer.concat([length, payload, mac(this.#key, this.#count++, payload)]));
  }
}

/** Reads every journal of the repository in `folder`; unreadable ones are left out. */
export function readJournals(folder: string, repositoryId: string, key: Uint8Array): JournalContents[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.journal'));
  } catch {
    return []; // no folder, nothing to take over
  }
  return names.flatMap((name) => {
    const contents = parseJournal(join(folder, name), key);
    return contents !== undefined && contents.header.repositoryId === repositoryId ? [contents] : [];
  });
}

function parseJournal(path: string, key: Uint8Array): JournalContents | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return undefined; // taken over or removed by another process meanwhile
  }
  if (bytes.length > MAX_JOURNAL_BYTES || !bytes.subarray(0, MAGIC.length).equals(Buffer.from(MAGIC))) return undefined;
  let header: JournalHeader | undefined;
  const records: JournalRecord[] = [];
  let at = MAGIC.length;
  for (let number = 0; at + 4 + MAC_BYTES <= bytes.length; number++) {
    const length = bytes.readUInt32LE(at);
    if (at + 4 + length + MAC_BYTES > bytes.length) break;
    const payload = bytes.subarray(at + 4, at + 4 + length);
    const stored = bytes.subarray(at + 4 + length, at + 4 + length + MAC_BYTES);
    if (!timingSafeEqual(stored, mac(key, number, payload))) break;
    if (number === 0) header = JSON.parse(payload.toString('utf8')) as JournalHeader;
    else records.push(parseRecord(payload));
    at += 4 + length + MAC_BYTES;
  }
  return header === undefined ? undefined : { path, header, records };
}

/** Only called on authenticated payloads, so lengths are as written. */
function parseRecord(payload: Buffer): JournalRecord {
  const nameLength = payload.readUInt16LE(0);
  return {
    packId: payload.toString('utf8', 2, 2 + nameLength) as BlobId,
    length: payload.readDoubleLE(2 + nameLength),
    storedAtMs: payload.readDoubleLE(10 + nameLength),
    rowCount: payload.readUInt32LE(18 + nameLength),
    rows: new Uint8Array(payload.subarray(22 + nameLength)),
  };
}
