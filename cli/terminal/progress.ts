// Progress on standard error: one live line on a terminal, a plain line every few seconds elsewhere, nothing with --json or --quiet.
import type { Clock } from '../../base/clock.ts';
import { countOf, formatDuration, formatRate, formatSize } from './format.ts';

export interface ProgressState {
  readonly files: number;
  /** Bytes done by reading. */
  readonly processedBytes: number;
  /** Bytes that needed no reading; undefined where that cannot happen. */
  readonly skippedBytes?: number | undefined;
  readonly uploadedBytes?: number | undefined;
  readonly errors: number;
  readonly expectedBytes?: number | undefined;
}

export interface ProgressView {
  update(state: ProgressState): void;
  /** Takes the live line away, so that what is printed next stands alone. */
  finish(): void;
}

const LIVE_INTERVAL_MS = 200;
const PLAIN_INTERVAL_MS = 5000;
const USUAL_COLUMNS = 80;
const CLEAR_LINE = '\r\u001b[K';

export interface ProgressOptions {
  readonly verb: string;
  readonly enabled: boolean;
}

export function createProgressView(
  stream: NodeJS.WriteStream,
  clock: Pick<Clock, 'monotonicMs'>,
  { verb, enabled }: ProgressOptions,
): ProgressView {
  if (!enabled) return { update: () => undefined, finish: () => undefined };
  const startedMs = clock.monotonicMs();
  const live = stream.isTTY;
  let shownMs = live ? Number.NEGATIVE_INFINITY : startedMs;
  let lineIsThere = false;
  return {
    update(state) {
      const nowMs = clock.monotonicMs();
      if (nowMs - shownMs < (live ? LIVE_INTERVAL_MS : PLAIN_INTERVAL_MS)) return;
      shownMs = nowMs;
      const text = progressText(verb, state, nowMs - startedMs);
      if (!live) stream.write(`${text}\n`);
      else {
        // A longer line would wrap and could not be taken away. Some terminals (recorders, serial lines) say 0.
        const columns = stream.columns > 0 ? stream.columns : USUAL_COLUMNS;
        stream.write(`${CLEAR_LINE}${text.slice(0, Math.max(20, columns - 1))}`);
        lineIsThere = true;
      }
    },
    finish() {
      if (lineIsThere) stream.write(CLEAR_LINE);
      lineIsThere = false;
    },
  };
}

export function progressText(verb: string, state: ProgressState, elapsedMs: number): string {
  const { files, processedBytes, skippedBytes, uploadedBytes, errors, expectedBytes } = state;
  const doneBytes = processedBytes + (skippedBytes ?? 0);
  const parts = [`${verb} ${countOf(files, 'file')}`, formatSize(processedBytes)];
  if (skippedBytes !== undefined && skippedBytes > 0) parts.push(`${formatSize(skippedBytes)} unchanged`);
  if (uploadedBytes !== undefined) parts.push(`${formatSize(uploadedBytes)} uploaded`);
  parts.push(formatRate(processedBytes, elapsedMs));
  if (errors > 0) parts.push(countOf(errors, 'error'));
  const eta = remainingMs(doneBytes, expectedBytes, elapsedMs);
  if (eta !== undefined)
    parts.push(`${Math.floor((doneBytes / (expectedBytes ?? 1)) * 100)} %, ${formatDuration(eta)} left`);
  return parts.join(', ');
}

/** A guess from the bytes so far; undefined before there is ground for one or once the expectation was exceeded. */
function remainingMs(doneBytes: number, expectedBytes: number | undefined, elapsedMs: number): number | undefined {
  if (expectedBytes === undefined || doneBytes <= 0 || doneBytes >= expectedBytes || elapsedMs < 1000) return undefined;
  return (elapsedMs * (expectedBytes - doneBytes)) / doneBytes;
}
