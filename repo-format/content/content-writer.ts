// Stores contents: hash → known already? → compress → seal → append to the open pack. Synchronous and free of shared
// state but for the set of new contents, so every lane (worker thread) has its own, and so has the main thread.
//
// Packs grow in staging files. A full pack is handed out through `onPack`; whoever owns the session then appends the
// trailer, makes it durable and remembers its rows for the index. Nothing written here is visible to anyone before that.
//
// A pack holds one kind of contents: `p` those without a prefix letter (file data), `q` the others (repository format §6.2).
import { closeSync, rmSync } from 'node:fs';
import type { Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';
import type { BlobId } from '../blob/storage.ts';
import { type Compressor, createCompressor } from '../compression/compressor.ts';
import { type CipherSpec, type ContentCipher, createContentCipher, putBytes } from '../crypto/content-cipher.ts';
import { createKeyedHash, type KeyedHash } from '../hash/keyed-hash.ts';
import { PartialHash } from '../hash/partial-hash.ts';
import { contentKey, type ContentId, isKeyPrefix } from '../index/content-id.ts';
import { type IndexEntry, nextTimestampSeconds } from '../index/entry.ts';
import { type IndexSet, LIVE } from '../index/index-set.ts';
import { MAX_CONTENT_BYTES } from './content-codec.ts';
import { GrowingPack, type PackKind, type StagedPack, StagingPlace, type StagingSpec } from './growing-pack.ts';
import type { NewContents } from './new-contents.ts';
import { PACK_PREAMBLE_BYTES } from './pack-trailer.ts';
import type { SessionId } from './session.ts';

export type { StagedPack, StagingSpec } from './growing-pack.ts';

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

export interface ContentWriterStats {
  hashedBytes: number;
  hashedContents: number;
  newContents: number;
  newBytes: number;
  packedBytes: number;
}

export interface ContentWriterDeps {
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly onPack: (pack: StagedPack) => void;
}

const DATA_OUTPUT_SHARE = 0.8;
const PACK_NAME_BYTES = 16;

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
  readonly #place: StagingPlace;
  readonly #compressors = new Map<string, Compressor>();
  readonly #key: Uint8Array;
  readonly #open: { p: GrowingPack | undefined; q: GrowingPack | undefined } = { p: undefined, q: undefined };
  readonly #buffers: { p: Uint8Array | undefined; q: Uint8Array | undefined } = { p: undefined, q: undefined };
  #indexSet: IndexSet;
  #newContents: NewContents;
  #sessionId: SessionId | undefined;
  #failure: unknown;

  constructor(
    spec: ContentWriterSpec,
    known: { indexSet: IndexSet; newContents: NewContents },
    deps: ContentWriterDeps,
  ) {
    this.#spec = spec;
    this.#deps = deps;
    this.#place = new StagingPlace(spec.staging, deps.random);
    this.#indexSet = known.indexSet;
    this.#newContents = known.newContents;
    this.hash = createKeyedHash(spec.hash, spec.secret);
    this.cipher = createContentCipher(spec.cipher);
    this.#key = new Uint8Array(1 + this.hash.sizeBytes);
  }

  /** Replaces what is known to be stored. Another set of new contents only between packs: no pack may be open then. */
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
   * After a failure to store, all further writes fail with the same error: other writers may have relied on the content
   * already, so the session cannot be completed.
   *
   * @param prefix '' for file data, else one letter g–z
   * @param compressor a name of `COMPRESSORS`, or 'none'
   * @param ahead holds the hash of the first bytes of `data`, unless it is empty
   */
  write(prefix: string, data: Uint8Array, compressor: string, ahead?: PartialHash): ContentId {
    if (ahead === undefined || ahead.bytes === 0) this.hash.digestInto(data, this.#key, 1);
    else ahead.finishInto(data, this.#key, 1);
    return this.#writeHashed(prefix, data, compressor);
  }

  /** For `write`: takes contents while they are gathered. */
  createPartialHash(): PartialHash {
    return new PartialHash(createKeyedHash(this.#spec.hash, this.#spec.secret));
  }

  #writeHashed(prefix: string, data: Uint8Array, compressor: string): ContentId {
    if (this.#failure !== undefined) throw this.#failure;
    const key = this.#key;
    key[0] = prefixByte(prefix);
    const stats = this.stats;
    stats.hashedContents++;
    stats.hashedBytes += data.length;
    const id = (prefix + toHex(key.subarray(1))) as ContentId;
    if (this.#indexSet.state(key) === LIVE) return id;
    // What cannot work is found out before others are told that the content is being stored.
    const codec = this.#compressorFor(compressor);
    this.#requireStorable(data);
    // `full` means the set can take no more: the content is then perhaps stored twice, which is harmless (§9.3, I5).
    if (this.#newContents.insert(key) === 'present') return id;
    const now = Math.floor(this.#deps.clock.nowMs() / 1000);
    const timestamp = nextTimestampSeconds(now, this.#indexSet.winnerTimestamp(key));
    try {
      this.#store(prefix === '' ? 'p' : 'q', data, codec, timestamp);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
    stats.newContents++;
    stats.newBytes += data.length;
    return id;
  }

  /**
   * Stores a content that is indexed already once more, live, in a pack of this session, by its sealed bytes: those do not
   * depend on their place. The caller has opened them to see that they are what they should be. False when this session
   * has stored the content already.
   */
  move(entry: IndexEntry, sealed: Uint8Array): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#sessionId === undefined) throw noSession();
    const key = this.#key;
    key.set(contentKey(entry.id));
    if (this.#newContents.insert(key) === 'present') return false;
    const now = Math.floor(this.#deps.clock.nowMs() / 1000);
    const previous = Math.max(entry.timestampSeconds, this.#indexSet.winnerTimestamp(key));
    try {
      const kind = key[0] === 0 ? 'p' : 'q';
      const pack = this.#open[kind] ?? this.#openPack(kind);
      const offset = pack.length;
      putThrough(pack, sealed);
      const { originalLength, compressionId } = entry;
      const timestampSeconds = nextTimestampSeconds(now, previous);
      const packedLength = sealed.length;
      pack.addRow({ key, offset, packedLength, originalLength, compressionId, timestampSeconds });
      this.stats.packedBytes += packedLength;
      if (pack.length >= this.#spec.maxPackSizeBytes) this.#handOut(pack);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
    return true;
  }

  /**
   * Takes the open packs out of the writer, complete in their files; the caller owns them from now on. When it throws
   * they are still in the writer, and it may be called again.
   */
  takeOpenPacks(): StagedPack[] {
    const open = [this.#open.p, this.#open.q].filter((pack) => pack !== undefined);
    for (const pack of open) pack.flush();
    const packs: StagedPack[] = [];
    for (const pack of open) {
      this.#open[pack.kind] = undefined;
      // Without contents it was opened for one that then failed.
      if (pack.rowCount === 0) pack.discard();
      else packs.push(pack.staged());
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
      pack.close();
      paths.push(pack.stagingPath);
    }
    return paths;
  }

  /** Closes and removes a staged pack that will not be stored. */
  static discard(pack: StagedPack): void {
    closeSync(pack.fd);
    rmSync(pack.stagingPath, { force: true });
  }

  #requireStorable(data: Uint8Array): void {
    if (this.#sessionId === undefined) throw noSession();
    if (this.cipher.maxSealedBytes(data.length) > MAX_CONTENT_BYTES) {
      throw new WindlassError(`a content of ${data.length} bytes is too long for an index`, {
        code: 'CONTENT_TOO_LARGE',
        context: { length: data.length, limit: MAX_CONTENT_BYTES },
      });
    }
  }

  #store(kind: PackKind, data: Uint8Array, codec: Compressor | undefined, timestampSeconds: number): void {
    const packed = codec?.compress(data) ?? null;
    const compressed = packed !== null && packed.length < data.length;
    const payload = compressed ? packed : data;
    const pack = this.#open[kind] ?? this.#openPack(kind);
    const offset = pack.length;
    const packedLength = this.#append(pack, payload);
    pack.addRow({
      key: this.#key,
      offset,
      packedLength,
      originalLength: data.length,
      compressionId: compressed && codec !== undefined ? codec.id : 0,
      timestampSeconds,
    });
    this.stats.packedBytes += packedLength;
    if (pack.length >= this.#spec.maxPackSizeBytes) this.#handOut(pack);
  }

  #append(pack: GrowingPack, payload: Uint8Array): number {
    const iv = this.#key.subarray(this.#key.length - 16);
    const most = this.cipher.maxSealedBytes(payload.length);
    if (most > pack.free) return this.#sealThrough(pack, iv, payload);
    const sealedBytes = this.cipher.sealInto(iv, payload, pack.buffer, pack.reserve(most));
    pack.advance(sealedBytes);
    return sealedBytes;
  }

  #sealThrough(pack: GrowingPack, iv: Uint8Array, payload: Uint8Array): number {
    const before = pack.length;
    try {
      return this.cipher.sealThrough(iv, payload, pack);
    } catch (error) {
      pack.rewind(before);
      throw error;
    }
  }

  #openPack(kind: PackKind): GrowingPack {
    const { random } = this.#deps;
    const { formatReplica } = this.#spec;
    const packId = `${kind}${toHex(random.bytes(PACK_NAME_BYTES))}-${this.#sessionId}` as BlobId;
    const head = new Uint8Array(formatReplica.length + PACK_PREAMBLE_BYTES);
    head.set(formatReplica);
    head.set(random.bytes(PACK_PREAMBLE_BYTES), formatReplica.length);
    const deps = { place: this.#place, buffer: this.#outputBuffer(kind), keySize: this.#key.length };
    return (this.#open[kind] = GrowingPack.create(kind, packId, head, deps));
  }

  /** A pack that cannot be completed stays open, so that a later `takeOpenPacks` tries again. */
  #handOut(pack: GrowingPack): void {
    pack.flush();
    this.#open[pack.kind] = undefined;
    this.#deps.onPack(pack.staged());
  }

  #outputBuffer(kind: PackKind): Uint8Array {
    const share = kind === 'p' ? DATA_OUTPUT_SHARE : 1 - DATA_OUTPUT_SHARE;
    return (this.#buffers[kind] ??= new Uint8Array(Math.max(1, Math.floor(this.#spec.outputBufferBytes * share))));
  }

  /** Index version 1 knows no compressed contents (repository format §5.2). */
  #compressorFor(name: string): Compressor | undefined {
    if (name === 'none' || name === '' || this.#spec.indexVersion < 2) return undefined;
    let codec = this.#compressors.get(name);
    if (codec === undefined) this.#compressors.set(name, (codec = createCompressor(name)));
    return codec;
  }
}

function noSession(): WindlassError {
  return new WindlassError('no session for a new content', { code: 'INTERNAL' });
}

/** All of the bytes or, when the file does not take them, none. */
function putThrough(pack: GrowingPack, bytes: Uint8Array): void {
  const before = pack.length;
  try {
    putBytes(pack, bytes);
  } catch (error) {
    pack.rewind(before);
    throw error;
  }
}

function prefixByte(prefix: string): number {
  if (prefix === '') return 0;
  const byte = prefix.length === 1 ? prefix.charCodeAt(0) : -1;
  if (byte !== 0 && isKeyPrefix(byte)) return byte;
  throw new WindlassError(`${JSON.stringify(prefix)} is no prefix of contents`, { code: 'CONTENT_ID_INVALID' });
}
