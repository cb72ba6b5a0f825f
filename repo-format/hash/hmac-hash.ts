// HMAC over SHA-2 and SHA-3: OpenSSL's own MAC contexts where they can be called directly, `node:crypto` elsewhere.
import { createHmac } from 'node:crypto';
import type { Hmac } from 'node:crypto';
import type { MacName } from '../crypto/direct-crypto.ts';
import { directOpenSsl } from '../crypto/openssl.ts';
import type { DigestEngine } from './digest-engine.ts';

export type HmacName = Extract<MacName, `HMAC-${string}`>;

const NODE_DIGESTS: Readonly<Record<HmacName, string>> = {
  'HMAC-SHA224': 'sha224',
  'HMAC-SHA256': 'sha256',
  'HMAC-SHA3-224': 'sha3-224',
  'HMAC-SHA3-256': 'sha3-256',
};
/** Direct MAC contexts take a bounded key; nothing real comes near. */
const MAX_DIRECT_KEY_BYTES = 1024;

export function createHmacHash(name: HmacName, secret: Uint8Array, backend?: 'node'): DigestEngine {
  // An absent secret is an HMAC with an empty key, which the direct calls do not take.
  const direct =
    backend === 'node' || secret.length === 0 || secret.length > MAX_DIRECT_KEY_BYTES ? undefined : directOpenSsl();
  return direct?.createMac(name, secret) ?? new NodeHmac(NODE_DIGESTS[name], secret);
}

class NodeHmac implements DigestEngine {
  readonly #digest: string;
  readonly #secret: Uint8Array;
  #hmac: Hmac;

  constructor(digest: string, secret: Uint8Array) {
    this.#digest = digest;
    this.#secret = Uint8Array.from(secret);
    this.#hmac = createHmac(digest, this.#secret);
  }

  begin(): void {
    this.#hmac = createHmac(this.#digest, this.#secret);
  }

  update(data: Uint8Array): void {
    this.#hmac.update(data);
  }

  finishInto(out: Uint8Array, outOffset: number, length: number): void {
    out.set(this.#hmac.digest().subarray(0, length), outOffset);
  }
}
