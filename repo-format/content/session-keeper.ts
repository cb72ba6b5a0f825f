// Begins and ends sessions (repository format §9.1): the marker in storage, the journal on this machine, and what dead
// sessions of this machine have left behind.
import type { Clock } from '../../base/clock.ts';
import { hasCode, isAbortError } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import { sealBlob } from '../epoch/encrypted-blob.ts';
import type { OpenFormat } from '../format/open-format.ts';
import type { KeyedHash } from '../hash/keyed-hash.ts';
import { encodeSessionMarker, newSessionId, type SessionId } from './session.ts';
import {
  type JournalContents,
  journalKey,
  type JournalRecord,
  readJournals,
  SessionJournal,
} from './session-journal.ts';
import { removeStagingFiles } from './staging-cleanup.ts';

export interface SessionKeeperOptions {
  readonly username: string;
  readonly hostname: string;
  /** Folder for session journals; without it nothing is taken over after a crash. */
  readonly journalFolder?: string | undefined;
}

export interface SessionKeeperDeps {
  readonly storage: BlobStorage;
  readonly format: OpenFormat;
  readonly cipher: ContentCipher;
  readonly hash: KeyedHash;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  /** Says whether the process that wrote a journal is gone; `owner` of new journals is `self`. */
  readonly processes: { readonly self: string; isGone(owner: string): boolean };
}

export interface Session {
  readonly id: SessionId;
  readonly markerId: BlobId;
  readonly journal: SessionJournal | undefined;
}

/** Best effort at the very end: nobody waits longer for garbage to go. */
const ABANDON_TIMEOUT_MS = 5000;

export class SessionKeeper {
  readonly #options: SessionKeeperOptions;
  readonly #deps: SessionKeeperDeps;
  readonly #repositoryId: string;
  /** Dead sessions whose packs the running session has taken over: theirs go when it is committed. */
  #inherited: { readonly path: string; readonly markerId: BlobId }[] = [];

  constructor(options: SessionKeeperOptions, deps: SessionKeeperDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#repositoryId = toHex(deps.format.uniqueId);
  }

  /**
   * Stores a marker, offers every record of dead sessions to `takeOver`, and opens a journal. Only a failure to store the
   * marker fails it.
   */
  async start(takeOver: (record: JournalRecord) => Promise<void>, signal: AbortSignal): Promise<Session> {
    const { clock, random, storage, cipher, hash } = this.#deps;
    const { username, hostname } = this.#options;
    const id = newSessionId(clock, random);
    const marker = encodeSessionMarker({ id, startTimeMs: clock.nowMs(), username, hostname });
    const sealed = sealBlob({ cipher, hash }, 's', id, marker);
    await storage.putBlob(sealed.id, sealed.bytes, signal);
    try {
      await this.#inherit(takeOver, signal);
      return { id, markerId: sealed.id, journal: this.#openJournal(id, sealed.id) };
    } catch (error) {
      await this.#removeMarker(sealed.id, AbortSignal.timeout(ABANDON_TIMEOUT_MS));
      throw error;
    }
  }

  /** Notes a durable pack. */
  note(session: Session, record: JournalRecord): void {
    try {
      session.journal?.append(record);
    } catch (error) {
      this.#warn('session journal: a pack could not be noted; after a crash it would be stored again', error);
    }
  }

  /** After the commit point: a marker or journal that cannot be removed is garbage, not a failure (§9.3, I3). */
  async end(session: Session, signal: AbortSignal): Promise<void> {
    await this.#removeMarker(session.markerId, signal);
    this.#removeJournal(() => session.journal?.remove());
    for (const { path, markerId } of this.#inherited.splice(0)) {
      await this.#removeMarker(markerId, signal);
      this.#removeJournal(() => SessionJournal.discard(path));
    }
  }

  /** Without a commit: marker and journal stay when there are packs to be taken over, else they go. */
  async abandon(session: Session): Promise<void> {
    session.journal?.close();
    if (session.journal !== undefined && session.journal.recordCount > 0) return;
    this.#removeJournal(() => session.journal?.remove());
    await this.#removeMarker(session.markerId, AbortSignal.timeout(ABANDON_TIMEOUT_MS));
  }

  async #inherit(takeOver: (record: JournalRecord) => Promise<void>, signal: AbortSignal): Promise<void> {
    for (const found of this.#deadSessions()) {
      try {
        for (const record of found.records) await takeOver(record);
        this.#inherited.push({ path: found.path, markerId: found.header.markerId });
        await this.#removeStaging(found.header.sessionId);
      } catch (error) {
        if (isAbortError(error) && signal.aborted) throw error;
        // What was taken over so far is good; the journal stays for another attempt.
        this.#warn('not all packs of a killed run could be taken over', error);
      }
    }
  }

  #deadSessions(): JournalContents[] {
    const { journalFolder } = this.#options;
    if (journalFolder === undefined) return [];
    const isWanted = ({ owner }: { owner: string }): boolean => this.#deps.processes.isGone(owner);
    const known = new Set(this.#inherited.map(({ path }) => path));
    const found = readJournals(journalFolder, { repositoryId: this.#repositoryId, isWanted }, this.#journalKey());
    return found.filter(({ path }) => !known.has(path));
  }

  async #removeStaging(sessionId: SessionId): Promise<void> {
    const layout = this.#deps.storage.localFiles?.layout;
    if (layout !== undefined) await removeStagingFiles(layout, sessionId);
  }

  #openJournal(sessionId: SessionId, markerId: BlobId): SessionJournal | undefined {
    const { journalFolder } = this.#options;
    if (journalFolder === undefined) return undefined;
    const header = { repositoryId: this.#repositoryId, sessionId, markerId, owner: this.#deps.processes.self };
    try {
      return SessionJournal.create(journalFolder, header, this.#journalKey());
    } catch (error) {
      this.#warn('going on without a session journal: a killed run will start again', error);
      return undefined;
    }
  }

  /** From a secret known to everyone who can open the repository, and to nobody else. */
  #journalKey(): Uint8Array {
    const { config, uniqueId } = this.#deps.format;
    return journalKey(config.masterKey.length > 0 ? config.masterKey : config.secret, uniqueId);
  }

  async #removeMarker(id: BlobId, signal: AbortSignal): Promise<void> {
    try {
      await this.#deps.storage.deleteBlob(id, signal);
    } catch (error) {
      this.#warn(`session marker ${id} could not be removed; maintenance will`, error);
    }
  }

  #removeJournal(remove: () => void): void {
    try {
      remove();
    } catch (error) {
      this.#warn('a session journal could not be removed', error);
    }
  }

  #warn(message: string, error: unknown): void {
    const code = hasCode(error, 'ENOSPC') ? 'ENOSPC' : undefined;
    this.#deps.logger.warn(message, { error: String(error), code });
  }
}
