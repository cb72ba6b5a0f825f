// Session ids: one per flush, part of the names of everything the flush writes (repository format §9.1).
import type { Clock } from '../../base/clock.ts';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';
import type { BlobId } from './storage.ts';

declare const sessionIdBrand: unique symbol;
/** `s`, 16 random hex digits, the number of the 30-day period in hex. Holds no `-`. */
export type SessionId = string & { readonly [sessionIdBrand]: true };

const RANDOM_BYTES = 8;
const PERIOD_MS = 30 * 24 * 3600 * 1000;
const FIRST_PERIOD_MS = Date.UTC(2000, 0, 1);

export function newSessionId(deps: { readonly random: RandomSource; readonly clock: Pick<Clock, 'nowMs'> }): SessionId {
  return `s${toHex(deps.random.bytes(RANDOM_BYTES))}${sessionPeriod(deps.clock.nowMs())}` as SessionId;
}

/** Lower-case hex number of the 30-day period since 2000-01-01. */
export function sessionPeriod(nowMs: number): string {
  return Math.max(0, Math.floor((nowMs - FIRST_PERIOD_MS) / PERIOD_MS)).toString(16);
}

/** The session a blob's name tells: its first `-`-separated part after the first that begins with `s`. */
export function sessionIdOfBlob(id: BlobId): SessionId | undefined {
  const [, ...parts] = id.split('-');
  return parts.find((part) => part.startsWith('s')) as SessionId | undefined;
}
