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
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { BlobId } from '../blob/storage.ts';
import type { SessionId } from './session.ts';

const MAGIC = 'windlass-session-journal-1\n';
const MAC_BYTES = 32;
const JOURNAL_SUFFIX = '.journal';
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
  #written = 0;
  #count = 0;

  private constructor(path: string, fd: number, key: Uint8Array) {
    this.path = path;
    this.#fd = fd;
    this.#key = key;
  }

  /** Nothing is left behind when it fails. */
  static create(folder: string, header: JournalHeader, key: Uint8Array): SessionJournal {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, `${header.sessionId}${JOURNAL_SUFFIX}`);
    const journal = new SessionJournal(path, openSync(path, 'wx', 0o600), key);
    try {
      journal.#write(Buffer.from(MAGIC));
      journal.#append(Buffer.from(JSON.stringify(header)));
      return journal;
    } catch (error) {
      journal.remove();
      throw error;
    }
  }

  /** Packs noted so far. */
  get recordCount(): number {
    return this.#count - 1;
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
    this.#write(Buffer.concat([length, payload, mac(this.#key, this.#count, payload)]));
    this.#count++;
  }

  /** At its own place, so that what follows a failed write replaces it. */
  #write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#written + done);
    }
    this.#written += bytes.length;
  }
}

export interface JournalFilter {
  readonly repositoryId: string;
  /** Says, from the header alone, whether the rest is wanted. */
  readonly isWanted: (header: JournalHeader) => boolean;
}

/** Reads the wanted journals of the repository in `folder`; unreadable ones are left out. */
export function readJournals(folder: string, filter: JournalFilter, key: Uint8Array): JournalContents[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(JOURNAL_SUFFIX));
  } catch {
    return []; // no folder, nothing to take over
  }
  return names.flatMap((name) => parseJournal(join(folder, name), filter, key) ?? []);
}

function parseJournal(path: string, filter: JournalFilter, key: Uint8Array): JournalContents | undefined {
  const bytes = readBounded(path);
  if (bytes === undefined || !bytes.subarray(0, MAGIC.length).equals(Buffer.from(MAGIC))) return undefined;
  const payloads = authenticPayloads(bytes, key);
  const first = payloads.next();
  if (first.done === true) return undefined;
  const header = JSON.parse(first.value.toString('utf8')) as JournalHeader;
  if (header.repositoryId !== filter.repositoryId || !filter.isWanted(header)) return undefined;
  return { path, header, records: Array.from(payloads, parseRecord) };
}

function readBounded(path: string): Buffer | undefined {
  try {
    return statSync(path).size > MAX_JOURNAL_BYTES ? undefined : readFileSync(path);
  } catch {
    return undefined; // taken over or removed by another process meanwhile
  }
}

/** Payloads in order, up to the first record that is torn or not ours. */
function* authenticPayloads(bytes: Buffer, key: Uint8Array): Generator<Buffer, void, void> {
  let at = MAGIC.length;
  for (let number = 0; at + 4 + MAC_BYTES <= bytes.length; number++) {
    const length = bytes.readUInt32LE(at);
    const macAt = at + 4 + length;
    if (macAt + MAC_BYTES > bytes.length) return;
    const payload = bytes.subarray(at + 4, macAt);
    if (!timingSafeEqual(bytes.subarray(macAt, macAt + MAC_BYTES), mac(key, number, payload))) return;
    yield payload;
    at = macAt + MAC_BYTES;
  }
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
