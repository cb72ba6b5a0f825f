// Sessions (repository format §9.1): a name shared by the packs and the index blobs of one flush, and the marker that
// keeps maintenance away from packs that no index mentions yet.
import type { Clock } from '../../base/clock.ts';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';

declare const sessionIdBrand: unique symbol;
export type SessionId = string & { readonly [sessionIdBrand]: true };

const EPOCH_2000_MS = Date.UTC(2000, 0, 1);
const THIRTY_DAYS_MS = 30 * 24 * 3600 * 1000;

/** `s`, 16 hex digits of randomness, then the number of 30-day periods since 2000 in hex. */
export function newSessionId(clock: Clock, random: RandomSource): SessionId {
  const period = Math.max(0, Math.floor((clock.nowMs() - EPOCH_2000_MS) / THIRTY_DAYS_MS));
  return `s${toHex(random.bytes(8))}${period.toString(16)}` as SessionId;
}

export interface SessionMarker {
  readonly id: SessionId;
  readonly startTimeMs: number;
  readonly username: string;
  readonly hostname: string;
}

/** The marker's plaintext. It is written once and never refreshed, so both times are the start. */
export function encodeSessionMarker(marker: SessionMarker): Uint8Array {
  const time = new Date(marker.startTimeMs).toISOString().replace(/\.?0+Z$/, 'Z');
  const json = JSON.stringify({
    id: marker.id,
    startTime: time,
    checkpointTime: time,
    username: marker.username,
    hostname: marker.hostname,
  });
  return new TextEncoder().encode(json);
}
