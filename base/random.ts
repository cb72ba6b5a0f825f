// Randomness as a parameter. Names, session ids and nonces must come from a CSPRNG in production (repository format, pitfall 31).
import { randomFillSync } from 'node:crypto';

export interface RandomSource {
  /** A fresh buffer of `length` random bytes, not from a shared pool. */
  bytes(length: number): Uint8Array;
}

export const systemRandom: RandomSource = {
  bytes: (length) => randomFillSync(new Uint8Array(length)),
};
