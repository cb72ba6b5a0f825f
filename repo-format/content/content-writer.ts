// Stores contents: hash → known already? → compress → seal → append to the open pack. Synchronous and free of shared
// state but for the set of new contents, so every lane (worker thread) has its own, and so has the main thread.
//
// Packs grow in staging files. A full pack is handed out through `onPack`; whoever owns the session then appends the
// trailer, makes it durable and remembers its rows for the index. Nothing written here is visible to anyone before that.
//
// A pack holds one kind of contents: `p` those without a prefix letter (file data), `q` the others (repository format §6.2).
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';
import { translateFileError } from '../blob/blob-errors.ts';
import { blobPath } from '../blob/filesystem-layout.ts';
import type { BlobId, LocalLayout } from '../blob/storage.ts';
import { type Compressor, createCompressor } from '../compression/compressor.ts';
import { type CipherSpec, type ContentCipher, createContentCipher } from '../crypto/content-cipher.ts';
import { createKeyedHash, type KeyedHash } from '../hash/keyed-hash.ts';
import type { ContentId } from '../index/content-id.ts';
import { nextTimestampSeconds } from '../index/entry.ts';
import { rowSize } from '../index/index-builder.ts';
import { type IndexSet, LIVE } from '../index/index-set.ts';
import type { NewContents } from './new-contents.ts';
import { PACK_PREAMBLE_BYTES } from './pack-trailer.ts';
import type { SessionId } from './session.ts';

/** Where packs grow: beside their final place, or in a folder of their own when the store is not a local one. */
export type StagingSpec =
  { readonly kind: 'layout'; readonly layout: LocalLayout } | { readonly kind: 'folder'; readonly path: string };

/** All a thread needs to write contents; structured-cloneable. */
export interface ContentWriterSpec {
  readonly hash: string;
  readonly secret: Uint8Array;
  readonly cipher: CipherSpec;
  readonly indexVersion: 1 | 2;
  readonly maxPackSizeBytes: number;
  readonly staging: StagingSpec;
  /** Bytes before the preamble of each pack (repository format §2.8); empty when the password can be changed. */
  readonly formatReplica: Uint8Array;
  /** Sealed bytes gathered before a write to the staging file. */
  readonly outputBufferBytes: number;
}

/** A pack whose contents are complete but whose trailer is not written yet. The receiver owns `fd` and the file. */
export interface StagedPack {
  readonly packId: BlobId;
  readonly stagingPath: string;
  readonly fd: number;
  readonly length: number;
  /** Index rows in the layout of `IndexBuilder.addRows`, in order of arrival. */
  readonly rows: Uint8Array;
  readonly rowCount: number;
}

export interface ContentWriterStats {
  hashedBytes: number;
  hashedContents: number;
  newContents: number;
  newBytes: number;
  packedBytes: number;
}

interface OpenPack {
  readonly kind: 'p' | 'q';
  readonly packId: BlobId;
  readonly stagingPath: string;
  readonly fd: number;
  length: number;
  buffered: number;
  rows: Uint8Array;
  rowBytes: number;
  rowCount: number;
}

export interface ContentWriterDeps {
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly onPack: (pack: StagedPack) => void;
}

const DATA_OUTPUT_SHARE = 0.8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Free bytes around a chunk in a buffer the writer may scribble on, so that it is sealed where it lies. */
export interface InPlaceRoom {
  readonly buffer: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

export class ContentWriter {
  readonly hash: KeyedHash;
  readonly cipher: ContentCipher;
  readonly stats: ContentWriterStats = {
    hashedBytes: 0,
    hashedContents: 0,
    newContents: 0,
    newBytes: 0,
    packedBytes: 0,
  };
  readonly #spec: ContentWriterSpec;
  readonly #deps: ContentWriterDeps;
  readonly #compressors = new Map<string, Compressor>();
  readonly #key: Uint8Array;
  /** Views of the key, made once: there are as many contents as files. */
  readonly #hashBytes: Buffer;
  readonly #iv: Uint8Array;
  readonly #rowSize: number;
  readonly #open: { p: OpenPack | undefined; q: OpenPack | undefined } = { p: undefined, q: undefined };
  readonly #buffers: { p: Uint8Array | undefined; q: Uint8Array | undefined } = { p: undefined, q: undefined };
  #indexSet: IndexSet;
  #newContents: NewContents;
  #sessionId: SessionId | undefined;

  constructor(
    spec: ContentWriterSpec,
    known: { indexSet: IndexSet; newContents: NewContents },
    deps: ContentWriterDeps,
  ) {
    this.#spec = spec;
    this.#deps = deps;
    this.#indexSet = known.indexSet;
    this.#newContents = known.newContents;
    this.hash = createKeyedHash(spec.hash, spec.secret);
    this.cipher = createContentCipher(spec.cipher);
    this.#key = new Uint8Array(1 + this.hash.sizeBytes);
    this.#hashBytes = Buffer.from(this.#key.buffer, 1);
    this.#iv = this.#key.subarray(this.#key.length - 16);
    this.#rowSize = rowSize(this.#key.length);
  }

  /** Replaces what is known to be stored, after a flush made it so. Only between packs: no pack may be open. */
  setKnown(known: { indexSet: IndexSet; newContents: NewContents }): void {
    this.#indexSet = known.indexSet;
    this.#newContents = known.newContents;
  }

  /** The session that packs opened from now on belong to. Its marker must be stored before the first pack is. */
  setSession(sessionId: SessionId): void {
    this.#sessionId = sessionId;
  }

  /**
   * Stores `data` under its hash unless it is stored already, and returns its content ID either way.
   *
   * @param prefix '' for file data, else one letter g–z
   * @param compressor a name of `COMPRESSORS`, or 'none'
   * @param room when given, `data` lies at `room.offset` of `room.buffer` and 12 bytes before it may be overwritten;
   *   `data` itself is destroyed. Saves a copy of large chunks.
   */
  write(prefix: string, data: Uint8Array, compressor: string, room?: InPlaceRoom): ContentId {
    this.hash.digestInto(data, this.#key, 1);
    return this.writeHashed(prefix, data, compressor, room);
  }

  /** As {@link write}, when the digest of `data` was computed by the caller through `begin`/`update` of `this.hash`. */
  writeStreamHashed(prefix: string, data: Uint8Array, compressor: string, room?: InPlaceRoom): ContentId {
    this.hash.finishInto(this.#key, 1);
    return this.writeHashed(prefix, data, compressor, room);
  }

  private writeHashed(prefix: string, data: Uint8Array, compressor: string, room: InPlaceRoom | undefined): ContentId {
    const key = this.#key;
    key[0] = prefix === '' ? 0 : prefix.charCodeAt(0);
    const stats = this.stats;
    stats.hashedContents++;
    stats.hashedBytes += data.length;
    const id = (prefix + this.#hashBytes.toString('hex')) as ContentId;
    const state = this.#indexSet.state(key);
    if (state === LIVE) return id;
    // `full` means the set can take no more: the content is then perhaps stored twice, which is harmless (§9.3, I5).
    if (this.#newContents.insert(key) === 'present') return id;
    const now = Math.floor(this.#deps.clock.nowMs() / 1000);
    const timestamp = nextTimestampSeconds(now, this.#indexSet.winnerTimestamp(key));
    this.#store(prefix === '' ? 'p' : 'q', data, compressor, timestamp, room);
    stats.newContents++;
    stats.newBytes += data.length;
    return id;
  }

  /** Takes the open packs out of the writer, complete in their files; the caller owns them from now on. */
  takeOpenPacks(): StagedPack[] {
    const packs: StagedPack[] = [];
    for (const kind of ['p', 'q'] as const) {
      const pack = this.#open[kind];
      if (pack !== undefined) packs.push(this.#take(pack));
    }
    return packs;
  }

  /** Closes staging files without handing them out; they are left for the owner of the staging place to remove. */
  abandon(): string[] {
    const paths: string[] = [];
    for (const kind of ['p', 'q'] as const) {
      const pack = this.#open[kind];
      if (pack === undefined) continue;
      this.#open[kind] = undefined;
      closeSync(pack.fd);
      paths.push(pack.stagingPath);
    }
    return paths;
  }

  /** Closes and removes a staged pack that will not be stored. */
  static discard(pack: StagedPack): void {
    closeSync(pack.fd);
    rmSync(pack.stagingPath, { force: true });
  }

  #store(
    kind: 'p' | 'q',
    data: Uint8Array,
    compressor: string,
    timestamp: number,
    room: InPlaceRoom | undefined,
  ): void {
    let payload = data;
    let compressionId = 0;
    if (compressor !== 'none' && compressor !== '' && this.#spec.indexVersion >= 2) {
      const codec = this.#compressor(compressor);
      const packed = codec.compress(data);
      if (packed !== null && packed.length < data.length) {
        payload = packed;
        compressionId = codec.id;
      }
    }
    const pack = this.#open[kind] ?? this.#openPack(kind);
    const offset = pack.length;
    const sealedBytes = this.#append(pack, this.#iv, payload, payload === data ? room : undefined);
    this.#addRow(pack, offset, sealedBytes, data.length, compressionId, timestamp);
    this.stats.packedBytes += sealedBytes;
    if (pack.length >= this.#spec.maxPackSizeBytes) this.#deps.onPack(this.#take(pack));
  }

  #append(pack: OpenPack, iv: Uint8Array, payload: Uint8Array, room: InPlaceRoom | undefined): number {
    const buffer = this.#outputBuffer(pack.kind);
    const most = this.cipher.maxSealedBytes(payload.length);
    let sealedBytes: number;
    if (most <= buffer.length) {
      if (pack.buffered + most > buffer.length) this.#flushBuffer(pack);
      sealedBytes = this.cipher.sealInto(iv, payload, buffer, pack.buffered);
      pack.buffered += sealedBytes;
    } else if (room !== undefined && this.#fitsInPlace(room, most)) {
      this.#flushBuffer(pack);
      sealedBytes = this.#sealInPlace(pack, iv, payload, room);
    } else {
      this.#flushBuffer(pack);
      const sealed = new Uint8Array(most);
      sealedBytes = this.cipher.sealInto(iv, payload, sealed, 0);
      writeFully(pack, sealed, 0, sealedBytes);
    }
    pack.length += sealedBytes;
    return sealedBytes;
  }

  #fitsInPlace(room: InPlaceRoom, sealedBytes: number): boolean {
    return (
      this.#spec.cipher.ecc === undefined &&
      sealedBytes === room.length + NONCE_BYTES + TAG_BYTES &&
      room.offset >= NONCE_BYTES &&
      room.offset + room.length + TAG_BYTES <= room.buffer.length
    );
  }

  /** The nonce goes before the chunk, the tag behind it; what lay behind it is put back after the write. */
  #sealInPlace(pack: OpenPack, iv: Uint8Array, payload: Uint8Array, room: InPlaceRoom): number {
    const end = room.offset + room.length;
    const behind = room.buffer.slice(end, end + TAG_BYTES);
    const sealedBytes = this.cipher.sealInto(iv, payload, room.buffer, room.offset - NONCE_BYTES);
    writeFully(pack, room.buffer, room.offset - NONCE_BYTES, sealedBytes);
    room.buffer.set(behind, end);
    return sealedBytes;
  }

  #addRow(
    pack: OpenPack,
    offset: number,
    packed: number,
    original: number,
    compressionId: number,
    timestamp: number,
  ): void {
    if (pack.rowBytes + this.#rowSize > pack.rows.length) {
      const grown = new Uint8Array(pack.rows.length * 2);
      grown.set(pack.rows);
      pack.rows = grown;
    }
    const rows = pack.rows;
    rows.set(this.#key, pack.rowBytes);
    const at = pack.rowBytes + this.#key.length;
    putU32le(rows, at, offset);
    putU32le(rows, at + 4, packed);
    putU32le(rows, at + 8, original);
    putU32le(rows, at + 12, compressionId);
    putU32le(rows, at + 16, timestamp);
    rows[at + 20] = 0;
    pack.rowBytes += this.#rowSize;
    pack.rowCount++;
  }

  #openPack(kind: 'p' | 'q'): OpenPack {
    if (this.#sessionId === undefined) throw new WindlassError('no session for a new pack', { code: 'INTERNAL' });
    const packId = `${kind}${toHex(this.#deps.random.bytes(16))}-${this.#sessionId}` as BlobId;
    const stagingPath = this.#stagingPath(packId);
    const fd = openSync(stagingPath, 'wx+', 0o600);
    const { formatReplica } = this.#spec;
    const head = new Uint8Array(formatReplica.length + PACK_PREAMBLE_BYTES);
    head.set(formatReplica);
    head.set(this.#deps.random.bytes(PACK_PREAMBLE_BYTES), formatReplica.length);
    writeFully({ fd, packId, stagingPath }, head, 0, head.length);
    const pack: OpenPack = {
      kind,
      packId,
      stagingPath,
      fd,
      length: head.length,
      buffered: 0,
      rows: new Uint8Array(this.#rowSize * 64),
      rowBytes: 0,
      rowCount: 0,
    };
    this.#open[kind] = pack;
    return pack;
  }

  #stagingPath(packId: BlobId): string {
    const { staging } = this.#spec;
    if (staging.kind === 'folder') return join(staging.path, packId);
    const path = `${blobPath(staging.layout, packId)}.tmp.${toHex(this.#deps.random.bytes(8))}`;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return path;
  }

  #take(pack: OpenPack): StagedPack {
    this.#open[pack.kind] = undefined;
    this.#flushBuffer(pack);
    return {
      packId: pack.packId,
      stagingPath: pack.stagingPath,
      fd: pack.fd,
      length: pack.length,
      rows: pack.rows.slice(0, pack.rowBytes),
      rowCount: pack.rowCount,
    };
  }

  #flushBuffer(pack: OpenPack): void {
    if (pack.buffered === 0) return;
    writeFully(pack, this.#outputBuffer(pack.kind), 0, pack.buffered);
    pack.buffered = 0;
  }

  #outputBuffer(kind: 'p' | 'q'): Uint8Array {
    const share = kind === 'p' ? DATA_OUTPUT_SHARE : 1 - DATA_OUTPUT_SHARE;
    return (this.#buffers[kind] ??= new Uint8Array(Math.floor(this.#spec.outputBufferBytes * share)));
  }

  #compressor(name: string): Compressor {
    let codec = this.#compressors.get(name);
    if (codec === undefined) this.#compressors.set(name, (codec = createCompressor(name)));
    return codec;
  }
}

function putU32le(out: Uint8Array, at: number, value: number): void {
  out[at] = value;
  out[at + 1] = value >>> 8;
  out[at + 2] = value >>> 16;
  out[at + 3] = value >>> 24;
}

/** Writes all bytes at the file's position; a short write goes on, a full disk is `BLOB_STORE_FULL`. */
function writeFully(pack: { fd: number; packId: BlobId; stagingPath: string }, bytes: Uint8Array, offset: number, length: number): void {
  try {
    for (let done = 0; done < length; ) done += writeSync(pack.fd, bytes, offset + done, length - done);
  } catch (cause) {
    throw translateFileError(cause, 'write', pack.packId, pack.stagingPath);
  }
}
