// Takes rows of other indexes over into an index builder, without a string for any of them: names of packs are read once for
// each index, and keys stay bytes.
import { nextTimestampSeconds } from './entry.ts';
import type { IndexBuilder } from './index-builder.ts';
import { PackNumbers } from './pack-numbers.ts';
import type { EntryValue, ParsedIndex } from './parsed-index.ts';

export class RowImporter {
  readonly #builder: IndexBuilder;
  readonly #numbers: PackNumbers;
  /** The builder's numbers of packs by ours. */
  readonly #packs: number[] = [];

  /** `numbers` may serve several importers, one after the other. */
  constructor(builder: IndexBuilder, numbers = new PackNumbers()) {
    this.#builder = builder;
    this.#numbers = numbers;
  }

  /** HOT. A row as it is; `key` is its key. Its number in the builder. */
  add(index: ParsedIndex, entry: number, key: Uint8Array): number {
    const value = index.valueAt(entry);
    return this.#add(index, entry, key, value, value.timestampSeconds, value.deleted);
  }

  /** HOT. As {@link add}, but deleted, now or a second after it was written. */
  addDeleted(index: ParsedIndex, entry: number, key: Uint8Array, nowSeconds: number): number {
    const value = index.valueAt(entry);
    return this.#add(index, entry, key, value, nextTimestampSeconds(nowSeconds, value.timestampSeconds), true);
  }

  #add(
    index: ParsedIndex,
    entry: number,
    key: Uint8Array,
    value: EntryValue,
    timestampSeconds: number,
    deleted: boolean,
  ): number {
    const number = this.#numbers.numberOf(index, entry);
    return this.#builder.add(
      key,
      (this.#packs[number] ??= this.#builder.addPack(this.#numbers.nameOf(number))),
      value.packOffset,
      value.packedLength,
      value.originalLength,
      value.compressionId,
      value.formatVersion,
      timestampSeconds,
      deleted,
      value.encryptionKeyId,
    );
  }
}
