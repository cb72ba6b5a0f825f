// Numbers packs by first appearance in key order and lays their names out back to back, as Kopia's builders do.
import type { BlobId } from '../blob/storage.ts';
import { entryInvalid } from './row-store.ts';

const UNSEEN = 0xffff_ffff;

export class PackNames {
  readonly #packIds: readonly BlobId[];
  readonly #numbers: Uint32Array;
  readonly #order: number[] = [];
  readonly #offsets: Uint32Array;
  #sizeBytes = 0;

  /** `packIds` as the builder numbers them. */
  constructor(packIds: readonly BlobId[]) {
    this.#packIds = packIds;
    this.#numbers = new Uint32Array(packIds.length).fill(UNSEEN);
    this.#offsets = new Uint32Array(packIds.length);
  }

  get count(): number {
    return this.#order.length;
  }

  /** Bytes of all names seen. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  see(pack: number): void {
    if (this.#numbers[pack] !== UNSEEN) return;
    this.#numbers[pack] = this.#order.push(pack) - 1;
    this.#offsets[pack] = this.#sizeBytes;
    this.#sizeBytes += this.nameLength(pack);
  }

  /** HOT. The number this pack has in the index. */
  numberOf(pack: number): number {
    return this.#numbers[pack] ?? 0;
  }

  /** HOT. Where its name starts, from the start of the names. */
  offsetOf(pack: number): number {
    return this.#offsets[pack] ?? 0;
  }

  nameLength(pack: number): number {
    const length = this.#packIds[pack]?.length ?? 0;
    if (length === 0) throw entryInvalid('no such pack', { pack });
    return length;
  }

  /** The builder's pack numbers in index order. */
  inOrder(): readonly number[] {
    return this.#order;
  }

  writeNames(out: Uint8Array, offset: number): void {
    const target = Buffer.from(out.buffer, out.byteOffset, out.byteLength);
    for (const pack of this.#order) {
      target.write(this.#packIds[pack] ?? '', offset + this.offsetOf(pack), 'latin1');
    }
  }
}
