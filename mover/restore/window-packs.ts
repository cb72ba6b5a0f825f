// Where packs are no local files: brings what a window wants of them, says so to the lanes, and lets go of each pack as soon
// as no piece of the window needs it any more.
import type { BlobId, PackParts, Span } from '../../repo-format/index.ts';
import type { PlanWindow, WindowBuilder } from './window.ts';
import { NO_PACK } from './window.ts';

/** What a window wants of one pack. */
export interface WantedPack {
  readonly number: number;
  readonly packId: BlobId;
  readonly spans: readonly Span[];
  readonly pieces: number;
}

/** In the order in which lanes come to them: each begins with a stretch of its own, so these take turns. Pure. */
export function wantedPacks(window: PlanWindow, packs: readonly string[], lanes: number): WantedPack[] {
  const spans: Span[][] = packs.map(() => []);
  const pieces = packs.map(() => 0);
  const order: number[] = [];
  const { jobCount } = window;
  const stretch = Math.ceil(jobCount / lanes);
  for (let turn = 0; turn < stretch; turn++) {
    for (let lane = 0; lane < lanes; lane++) {
      const start = Math.floor((jobCount * lane) / lanes);
      const end = Math.floor((jobCount * (lane + 1)) / lanes);
      if (start + turn < end) noteJob(window, start + turn, { spans, pieces, order });
    }
  }
  return order.map((number) => ({
    number,
    packId: packs[number] as BlobId,
    spans: spans[number] ?? [],
    pieces: pieces[number] ?? 0,
  }));
}

function noteJob(
  w: PlanWindow,
  job: number,
  noted: { readonly spans: Span[][]; readonly pieces: number[]; readonly order: number[] },
): void {
  for (let i = w.jobStart[job] ?? 0; i < (w.jobStart[job + 1] ?? 0); i++) {
    const piece = w.order[i] ?? 0;
    const pack = w.piecePack[piece] ?? 0;
    const spans = pack === NO_PACK ? undefined : noted.spans[pack];
    if (spans === undefined) continue;
    const start = w.pieceOffset[piece] ?? 0;
    const end = start + (w.piecePackedBytes[piece] ?? 0);
    const last = spans.at(-1);
    if (noted.pieces[pack] === 0) noted.order.push(pack);
    noted.pieces[pack] = (noted.pieces[pack] ?? 0) + 1;
    // Mostly the one behind the other.
    if (last !== undefined && start >= last.start && start <= last.end) {
      spans[spans.length - 1] = { start: last.start, end: Math.max(last.end, end) };
    } else spans.push({ start, end });
  }
}

/** The packs of one window while it is worked on. */
export class WindowPacks {
  readonly #parts: PackParts;
  readonly #window: PlanWindow;
  readonly #held = new Map<number, WantedPack>();
  readonly #arrivals: Promise<void>[];

  /** @param onError called for what is not the failure of one pack */
  constructor(parts: PackParts, builder: WindowBuilder, lanes: number, onError: (error: unknown) => void) {
    this.#parts = parts;
    const { window, packs } = builder;
    this.#window = window;
    window.packReady.fill(0, 0, packs.length);
    window.packLeft.fill(0, 0, packs.length);
    const wanted = wantedPacks(window, packs, lanes);
    for (const pack of wanted) {
      window.packLeft[pack.number] = pack.pieces;
      this.#held.set(pack.number, pack);
    }
    this.#arrivals = wanted.map(async (pack) => {
      try {
        await parts.acquire(pack.packId, pack.spans);
      } catch (error) {
        onError(error);
      } finally {
        // The window may be over, and another one in its memory.
        if (this.#held.has(pack.number)) this.#ready(pack.number);
      }
    });
  }

  /** Everything is there, or has failed. */
  async all(): Promise<void> {
    await Promise.all(this.#arrivals);
  }

  /** A lane stands still. */
  waits(number: number): void {
    const pack = this.#held.get(number);
    if (pack !== undefined) this.#parts.urge(pack.packId);
  }

  /** No lane needs the pack any more. */
  done(number: number): void {
    const pack = this.#held.get(number);
    if (pack === undefined) return;
    this.#held.delete(number);
    this.#parts.release(pack.packId, pack.pieces);
  }

  /** The window is over, or the run is: nobody waits any more. */
  close(): void {
    for (const number of this.#held.keys()) {
      this.#ready(number);
      this.done(number);
    }
  }

  /** Wakes lanes that wait; they look whether the run is stopped. */
  wakeAll(): void {
    for (const number of this.#held.keys()) this.#ready(number);
  }

  #ready(number: number): void {
    Atomics.store(this.#window.packReady, number, 1);
    Atomics.notify(this.#window.packReady, number);
  }
}
