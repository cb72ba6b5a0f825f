// Progress on standard error: one live line on a terminal, a plain line every few seconds elsewhere, nothing with --json or --quiet.
import type { Clock } from '../../base/clock.ts';
import { countOf, formatDuration, formatRate, formatSize } from './format.ts';
import { createStatusLine } from './status-line.ts';

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

export interface ProgressOptions {
  readonly verb: string;
  readonly enabled: boolean;
}

export function createProgressView(
  stream: NodeJS.WriteStream,
  clock: Pick<Clock, 'monotonicMs'>,
  { verb, enabled }: ProgressOptions,
): ProgressView {
  const line = createStatusLine(stream, clock, enabled);
  const startedMs = clock.monotonicMs();
  return {
    update: (state) => line.update((nowMs) => progressText(verb, state, nowMs - startedMs)),
    finish: () => line.finish(),
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
