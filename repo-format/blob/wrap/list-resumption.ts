// Lets a list that broke off go on: it is made again from the start, and what was told already is left out. Each blob that
// stands in the store all the while is told exactly once.
//
// Names are remembered up to a bound, so that memory does not grow with the store. Past it the order has to tell: object
// stores list by name (S3, Azure and Google Cloud Storage promise it for the buckets we know), so everything up to the last
// name was told. A long list without such an order cannot go on: better a failed list than one with holes.
import { WindlassError } from '../../../base/errors.ts';
import type { BlobId } from '../storage.ts';

// Names of some 60 bytes: a megabyte or two.
const REMEMBERED_NAMES = 10_000;

export class ListResumption {
  readonly #limit: number;
  /** Everything told so far, as long as it is little. */
  #told: Set<BlobId> | undefined = new Set();
  /** The greatest name told. */
  #last = '';
  /** The name before, in the list as it comes, told or not. */
  #previous = '';
  /** Whether the list under way has come in ascending order so far. */
  #isOrdered = true;
  #isRestarted = false;
  #failure: unknown;

  constructor(limit: number = REMEMBERED_NAMES) {
    this.#limit = limit;
  }

  /** The next name of the list: whether it was not told before. It is from now on. */
  isNew(id: BlobId): boolean {
    if (id <= this.#previous) this.#isOrdered = false;
    this.#previous = id;
    if (this.#told !== undefined) return this.#isNewAmongTold(this.#told, id);
    if (this.#isRestarted) this.#assertOrdered();
    if (this.#isRestarted && id <= this.#last) return false;
    if (id > this.#last) this.#last = id;
    return true;
  }

  /** The list is made again, after `failure`. Throws `BLOB_LIST_UNORDERED` when it cannot be told what is new in it. */
  startAgain(failure: unknown): void {
    this.#isRestarted = true;
    this.#failure = failure;
    this.#previous = '';
    if (this.#told === undefined) this.#assertOrdered();
    else this.#isOrdered = true;
  }

  #isNewAmongTold(told: Set<BlobId>, id: BlobId): boolean {
    if (told.has(id)) return false;
    told.add(id);
    if (id > this.#last) this.#last = id;
    if (told.size > this.#limit) {
      // From here on the order speaks for the names, if this list has come in order and has told all up to here.
      if (id !== this.#last) this.#isOrdered = false;
      this.#told = undefined;
    }
    return true;
  }

  #assertOrdered(): void {
    if (this.#isOrdered) return;
    throw new WindlassError('a long list broke off, and the store lists in no order: it cannot be gone on with', {
      code: 'BLOB_LIST_UNORDERED',
      cause: this.#failure,
    });
  }
}
