// What of a repository was verified when, pack by pack: local state, so that one run after the other goes on where the last
// one stopped. Losing it costs reading again, so a damaged line is left out and a damaged file is no file.
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasCode } from '../../base/errors.ts';

// A header, then a line for each pack: Unix seconds, a blank, the name of the blob.
const HEADER = 'windlass-verified 1';
const LINE = /^(\d{1,12}) ([pq][0-9a-f-]+s?[0-9a-f]*)$/;

export class VerifyLedger {
  readonly #path: string;
  readonly #seconds = new Map<string, number>();
  #isChanged = false;

  private constructor(path: string) {
    this.#path = path;
  }

  static open(path: string): VerifyLedger {
    const ledger = new VerifyLedger(path);
    for (const line of readLines(path)) {
      const [, seconds = '', packId = ''] = LINE.exec(line) ?? [];
      if (packId !== '') ledger.#seconds.set(packId, Number(seconds));
    }
    return ledger;
  }

  /** Unix seconds; −1 for never. */
  verifiedAt(packId: string): number {
    return this.#seconds.get(packId) ?? -1;
  }

  note(packId: string, seconds: number): void {
    this.#seconds.set(packId, seconds);
    this.#isChanged = true;
  }

  /** A damaged pack counts as never verified. */
  forget(packId: string): void {
    if (this.#seconds.delete(packId)) this.#isChanged = true;
  }

  /** Written beside its place and renamed; packs that are no longer there are left out. */
  save(isThere: (packId: string) => boolean): void {
    if (!this.#isChanged) return;
    const lines = [HEADER];
    for (const [packId, seconds] of this.#seconds) if (isThere(packId)) lines.push(`${seconds} ${packId}`);
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const temporary = `${this.#path}.new`;
    const fd = openSync(temporary, 'w', 0o600);
    try {
      writeSync(fd, `${lines.join('\n')}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, this.#path);
    this.#isChanged = false;
  }
}

function readLines(path: string): string[] {
  try {
    const [header, ...lines] = readFileSync(path, 'latin1').split('\n');
    return header === HEADER ? lines : [];
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}
