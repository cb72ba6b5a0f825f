// What one machine has seen of a repository, kept from run to run (epoch/last-seen.ts).
import type { Logger } from '../base/logger.ts';
import type { RandomSource } from '../base/random.ts';
import type { ContentManager } from './content/content-manager.ts';
import {
  findRollback,
  type LastSeen,
  lastSeenOf,
  readLastSeen,
  type Rollback,
  type Seen,
  writeLastSeen,
} from './epoch/last-seen.ts';
import type { OpenFormat } from './format/open-format.ts';

export interface RepositoryHistoryDeps {
  readonly format: OpenFormat;
  readonly contents: Pick<ContentManager, 'indexSet' | 'epochSnapshot'>;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly onRollback: (what: Rollback) => void;
}

export class RepositoryHistory {
  readonly #path: string;
  readonly #key: Uint8Array;
  readonly #deps: RepositoryHistoryDeps;
  #previous: LastSeen | undefined;
  #isOlder = false;

  constructor(path: string, key: Uint8Array, deps: RepositoryHistoryDeps) {
    this.#path = path;
    this.#key = key;
    this.#deps = deps;
  }

  /** After opening. What is older than before is not remembered: it is said each time, until somebody clears the state. */
  look(): void {
    this.#previous = readLastSeen(this.#path, this.#key);
    const rollback = this.#previous === undefined ? undefined : findRollback(this.#previous, this.#seen());
    if (rollback !== undefined) {
      this.#isOlder = true;
      this.#deps.onRollback(rollback);
    }
    this.remember();
  }

  /** Again when something was written. Best effort. */
  remember(): void {
    if (this.#isOlder) return;
    const now = lastSeenOf(this.#seen(), this.#previous);
    if (JSON.stringify(now) === JSON.stringify(this.#previous)) return;
    try {
      writeLastSeen(this.#path, this.#key, now, this.#deps.random);
      this.#previous = now;
    } catch (error) {
      this.#deps.logger.debug('what was seen of the repository is not remembered', { error: String(error) });
    }
  }

  #seen(): Seen {
    const { format, contents } = this.#deps;
    return {
      formatBlobBytes: format.formatBlobBytes,
      epochs: contents.epochSnapshot,
      indexBlobIds: contents.indexSet.indexes.map(({ blobId }) => blobId),
    };
  }
}
