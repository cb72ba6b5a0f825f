// Copies objects between repositories. Contents are hashed and sealed anew with the target's secrets, so ids differ. Where
// both cut files alike, pieces are taken over one by one and each is read once; else the bytes are cut as the target cuts.
import {
  COMPRESSORS,
  type ContentId,
  createSplitter,
  indexObjectId,
  type IndirectEntry,
  type ObjectId,
  objectIdParts,
  objectPieces,
  ObjectWriter,
  type Repository,
  writeConcatenation,
} from '../../repo-format/index.ts';
import { MainSink } from '../upload/main-sink.ts';
import { KnownObjects } from './known-objects.ts';

const READ_AHEAD_BYTES = 1 << 20;
const READ_BYTES = 4 << 20;
const NO_COMPRESSOR = 'none';

export interface CopyCounts {
  /** Objects of files that were read, and their bytes. */
  objects: number;
  bytes: number;
}

export class ObjectCopier {
  readonly counts: CopyCounts = { objects: 0, bytes: 0 };
  readonly #source: Repository;
  readonly #target: Repository;
  readonly #known = new KnownObjects();
  readonly #sink: MainSink;
  readonly #cutsAlike: boolean;
  /** Made for the first object that is cut anew. */
  #writer: ObjectWriter | undefined;
  /** One object at a time is cut anew: there is one writer. */
  #cutting: Promise<unknown> = Promise.resolve();

  constructor(source: Repository, target: Repository) {
    this.#source = source;
    this.#target = target;
    this.#sink = new MainSink(target.contents, target.format.config);
    // Where contents cannot note their compression the object layer compresses, and a piece is no piece of the file.
    const isPlain = ({ format }: Repository): boolean => format.config.indexVersion >= 2;
    this.#cutsAlike =
      source.format.config.splitter === target.format.config.splitter && isPlain(source) && isPlain(target);
  }

  /** The target's id of a file or symlink. */
  async copy(id: ObjectId, signal: AbortSignal): Promise<ObjectId> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const copied = this.#cutsAlike ? await this.#copyPieces(id, signal) : await this.#cutAnew(id, signal);
    this.counts.objects++;
    this.#known.set(id, copied);
    return copied;
  }

  async #copyPieces(id: ObjectId, signal: AbortSignal): Promise<ObjectId> {
    if (indexObjectId(id) === undefined) return this.#copyDirect(id, signal);
    const pieces: IndirectEntry[] = [];
    for (const piece of await objectPieces(this.#source, id, signal)) {
      // Kopia writes one level of lists; another one is an object as well.
      pieces.push({ ...piece, objectId: await this.#copyPiece(piece.objectId, signal) });
    }
    await this.#target.contents.startSession(signal);
    return writeConcatenation(this.#sink, [pieces]);
  }

  async #copyPiece(id: ObjectId, signal: AbortSignal): Promise<ObjectId> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const copied = await this.#copyPieces(id, signal);
    this.#known.set(id, copied);
    return copied;
  }

  async #copyDirect(id: ObjectId, signal: AbortSignal): Promise<ObjectId> {
    const { contentId, compressed } = objectIdParts(id);
    if (compressed) return this.#cutAnew(id, signal);
    const bytes = await this.#source.readContent(contentId, signal);
    this.counts.bytes += bytes.length;
    const copied = await this.#target.writeContent('', bytes, this.#compressorOf(contentId), signal);
    return copied as string as ObjectId;
  }

  async #cutAnew(id: ObjectId, signal: AbortSignal): Promise<ObjectId> {
    const cutting = this.#cutting.then(() => this.#cut(id, signal));
    this.#cutting = cutting.catch(() => undefined);
    return cutting;
  }

  async #cut(id: ObjectId, signal: AbortSignal): Promise<ObjectId> {
    const { contents, format } = this.#target;
    const writer = (this.#writer ??= new ObjectWriter(
      this.#sink,
      createSplitter(format.config.splitter, READ_AHEAD_BYTES),
    ));
    writer.reset({ compressor: await this.#compressorOfObject(id, signal) });
    const reader = await this.#source.openObject(id, signal);
    for (let offset = 0; offset < reader.length; offset += READ_BYTES) {
      const bytes = await reader.read(offset, READ_BYTES, signal);
      await contents.startSession(signal);
      writer.write(bytes);
      this.counts.bytes += bytes.length;
      await contents.storeFullPacks(signal);
    }
    await contents.startSession(signal);
    return writer.result();
  }

  /** As the first piece: a policy chose it for all of them. */
  async #compressorOfObject(id: ObjectId, signal: AbortSignal): Promise<string> {
    if (indexObjectId(id) === undefined) return this.#compressorOf(objectIdParts(id).contentId);
    const [first] = await objectPieces(this.#source, id, signal);
    return first === undefined ? NO_COMPRESSOR : this.#compressorOfObject(first.objectId, signal);
  }

  #compressorOf(id: ContentId): string {
    const compressionId = this.#source.findContent(id)?.compressionId ?? 0;
    return COMPRESSORS.find(({ id: known, writable }) => known === compressionId && writable)?.name ?? NO_COMPRESSOR;
  }
}
