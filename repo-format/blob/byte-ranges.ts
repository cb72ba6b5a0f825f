// Ranges of bytes of one blob: sorted, apart from each other. Pure.

/** [start, end) */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What is not worth a request of its own is read along: 1 MiB is what comes in the time of one, at 30 ms and 30 MB/s. */
export const GAP_BYTES = 1 << 20;
/** More pieces than this of one pack are not worth it: two requests in the place of one are dear, some megabytes are not. */
const MAX_SPANS = 3;
/** When this share of what lies between first and last byte is wanted, all of it is read in one go. */
const WHOLE_SHARE = 0.5;

/** Sorted, with neighbours joined whose gap is at most `gapBytes`. */
export function joinSpans(spans: readonly Span[], gapBytes: number): Span[] {
  const sorted = [...spans].sort((a, b) => a.start - b.start);
  const joined: Span[] = [];
  for (const { start, end } of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && start <= last.end + gapBytes) {
      joined[joined.length - 1] = { start: last.start, end: Math.max(last.end, end) };
    } else joined.push({ start, end });
  }
  return joined;
}

/** What to ask for so that `wanted` is there: few ranges, or one. */
export function planRequests(wanted: readonly Span[]): Span[] {
  const exact = joinSpans(wanted, 0);
  const [first] = exact;
  const last = exact.at(-1);
  if (first === undefined || last === undefined) return [];
  const all = { start: first.start, end: last.end };
  if (bytesOf(exact) >= WHOLE_SHARE * (all.end - all.start)) return [all];
  let joined = joinSpans(exact, GAP_BYTES);
  while (joined.length > MAX_SPANS) joined = joinSpans(joined, smallestGap(joined));
  return joined;
}

/** The parts of `wanted` that are not in `present`; both sorted and apart. */
export function missingSpans(wanted: readonly Span[], present: readonly Span[]): Span[] {
  const missing: Span[] = [];
  for (const { start, end } of wanted) {
    let at = start;
    for (const have of present) {
      if (have.end <= at) continue;
      if (have.start >= end) break;
      if (have.start > at) missing.push({ start: at, end: have.start });
      at = have.end;
      if (at >= end) break;
    }
    if (at < end) missing.push({ start: at, end });
  }
  return missing;
}

export function bytesOf(spans: readonly Span[]): number {
  return spans.reduce((sum, { start, end }) => sum + end - start, 0);
}

function smallestGap(spans: readonly Span[]): number {
  let smallest = Infinity;
  for (let i = 1; i < spans.length; i++) {
    smallest = Math.min(smallest, (spans[i]?.start ?? 0) - (spans[i - 1]?.end ?? 0));
  }
  return smallest;
}
