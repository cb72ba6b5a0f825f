// Looks through a snapshot before its restore and says what will be wanted of which pack, in the order of the plan. Where packs
// are no local files, each can then be fetched once, ahead of the lanes, and be removed after its last use. What the scout
// cannot read it leaves to the planner, which reports it; what the planner does not want after all costs only bytes.
import { setImmediate } from 'node:timers/promises';
import { isAbortError } from '../../base/errors.ts';
import {
  type BlobId,
  type DirectoryEntry,
  type ExpectedPack,
  joinSpans,
  type ObjectId,
  parseDirectory,
  type Span,
} from '../../repo-format/index.ts';
import { isDirect, type LocatedPiece, locateDirect, locatePieces } from './content-pieces.ts';
import type { RunContext } from './run-context.ts';

/** So many spans of a pack are joined where they nearly touch; that loses little of what the plan needs to know. */
const SPANS_HELD = 2048;
const JOINED_GAP_BYTES = 16 << 10;
/** The main thread hears signals and fetches at least this often. */
const YIELD_MS = 20;

interface WantedPack {
  spans: Span[];
  uses: number;
}

/** What a restore of `root` into nothing will read, pack by pack. */
export async function scoutPacks(run: RunContext, root: DirectoryEntry, signal: AbortSignal): Promise<ExpectedPack[]> {
  return new PackScout(run, signal).look(root);
}

class PackScout {
  readonly #run: RunContext;
  readonly #signal: AbortSignal;
  readonly #packs = new Map<string, WantedPack>();
  readonly #links = new Set<string>();
  #yieldedAtMs = 0;

  constructor(run: RunContext, signal: AbortSignal) {
    this.#run = run;
    this.#signal = signal;
  }

  async look(root: DirectoryEntry): Promise<ExpectedPack[]> {
    const stack: DirectoryEntry[][] = [[root]];
    for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
      const entry = level.pop();
      if (entry === undefined) stack.pop();
      else if (entry.type !== 'd') await this.#file(entry);
      else stack.push(await this.#directory(entry));
      if (this.#run.clock.monotonicMs() - this.#yieldedAtMs > YIELD_MS) await this.#yield();
    }
    return [...this.#packs].map(([packId, { spans, uses }]) => ({ packId: packId as BlobId, wanted: spans, uses }));
  }

  /** Notes what is in a directory; returns the directories in it, the first one last. */
  async #directory({ objectId }: DirectoryEntry): Promise<DirectoryEntry[]> {
    if (objectId === '') return [];
    try {
      const { entries } = parseDirectory(await this.#run.readSmallObject(objectId, this.#signal));
      const children: DirectoryEntry[] = [];
      for (const entry of entries) {
        if (entry.type === 'd') children.push(entry);
        else await this.#file(entry);
        // Their packs come while others are looked at.
        if (entry.type === 'd' && entry.objectId !== '') this.#run.wantSoon(entry.objectId);
      }
      return children.reverse();
    } catch (error) {
      this.#passOn(error);
      return [];
    }
  }

  async #file({ objectId, size, extra }: DirectoryEntry): Promise<void> {
    if (objectId === '') return;
    if (extra?.link !== undefined) {
      // Others of its group are linked to the first.
      const key = `${extra.link}\0${objectId}`;
      if (this.#links.has(key)) return;
      this.#links.add(key);
    }
    try {
      if (isDirect(objectId as ObjectId)) {
        const piece = locateDirect(this.#run.finder, objectId, size);
        if (piece.objectLength > 0) this.#note(piece);
        return;
      }
      for (const piece of await locatePieces(this.#run.finder, objectId, this.#signal)) this.#note(piece);
    } catch (error) {
      this.#passOn(error);
    }
  }

  #note({ packId, packOffset, packedLength }: LocatedPiece): void {
    let pack = this.#packs.get(packId);
    if (pack === undefined) this.#packs.set(packId, (pack = { spans: [], uses: 0 }));
    pack.uses++;
    const end = packOffset + packedLength;
    const last = pack.spans.at(-1);
    if (last !== undefined && packOffset >= last.start && packOffset <= last.end) {
      pack.spans[pack.spans.length - 1] = { start: last.start, end: Math.max(last.end, end) };
      return;
    }
    pack.spans.push({ start: packOffset, end });
    if (pack.spans.length > SPANS_HELD) pack.spans = joinSpans(pack.spans, JOINED_GAP_BYTES);
  }

  #passOn(error: unknown): void {
    this.#signal.throwIfAborted();
    if (isAbortError(error)) throw error;
  }

  async #yield(): Promise<void> {
    await setImmediate();
    this.#signal.throwIfAborted();
    this.#yieldedAtMs = this.#run.clock.monotonicMs();
  }
}
