// One line on standard error that says what is going on: replaced in place on a terminal, printed every few seconds
// elsewhere, nothing with --json or --quiet.
import type { Clock } from '../../base/clock.ts';

export interface StatusLine {
  /** Shows the text when a new one is due; a function is asked for it only then. */
  update(text: string | ((nowMs: number) => string)): void;
  /** Takes the line away, so that what is printed next stands alone. */
  finish(): void;
}

const LIVE_INTERVAL_MS = 200;
const PLAIN_INTERVAL_MS = 5000;
const USUAL_COLUMNS = 80;
const CLEAR_LINE = '\r\u001b[K';

export function createStatusLine(
  stream: NodeJS.WriteStream,
  clock: Pick<Clock, 'monotonicMs'>,
  enabled: boolean,
): StatusLine {
  if (!enabled) return { update: () => undefined, finish: () => undefined };
  const live = stream.isTTY;
  let shownMs = live ? Number.NEGATIVE_INFINITY : clock.monotonicMs();
  let lineIsThere = false;
  return {
    update(text) {
      const nowMs = clock.monotonicMs();
      if (nowMs - shownMs < (live ? LIVE_INTERVAL_MS : PLAIN_INTERVAL_MS)) return;
      shownMs = nowMs;
      const line = typeof text === 'string' ? text : text(nowMs);
      if (!live) {
        stream.write(`${line}\n`);
        return;
      }
      // A longer line would wrap and could not be taken away. Some terminals (recorders, serial lines) say 0.
      const columns = stream.columns > 0 ? stream.columns : USUAL_COLUMNS;
      stream.write(`${CLEAR_LINE}${line.slice(0, Math.max(20, columns - 1))}`);
      lineIsThere = true;
    },
    finish() {
      if (lineIsThere) stream.write(CLEAR_LINE);
      lineIsThere = false;
    },
  };
}
