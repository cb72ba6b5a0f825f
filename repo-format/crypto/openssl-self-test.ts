// The known answers that the direct OpenSSL calls must give before they are used (vectors of repository format §11.1).
import { toHex } from '../../base/hex.ts';
import { NONCE_BYTES, TAG_BYTES } from './direct-crypto.ts';
import type { AeadName, DirectAead, DirectOpenSsl, MacName } from './direct-crypto.ts';

const ascending = (start: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => start + i);
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

const HELLO = new Uint8Array(Buffer.from('hello'));
/** KDS of the vectors: HKDF of the master key 40..5f. */
const ROOT_KEY = fromHex('efffeb0407ce08e6fca4220165c06bf4508d6ee17538f6a69f8df8149a6067d2');
const IV = fromHex('0951cc974d65734e6ba033ea452f8464');

const SEALED_HELLO: Readonly<Record<AeadName, string>> = {
  'aes-256-gcm': '000102030405060708090a0bf0b8904559d0287ceac46695e9ab1ae13df0624c38',
  'chacha20-poly1305': '000102030405060708090a0b4a3369f978c259352141e3b8dfc91ba2951b63c6a3',
};
const MAC_OF_HELLO: Readonly<Record<MacName, string>> = {
  'HMAC-SHA224': '88c22ef523491702777aebcf0f7d4e78053b0879c2ff62866bc199b8',
  'HMAC-SHA256': '1aec074502f2463912a191ca4d93c770524367c8afd40af8766cf0a96888bd8c',
  'HMAC-SHA3-224': 'de832416e760f94cd94ccdfc2c3ca7444b3404b4bb2619051980ba70',
  'HMAC-SHA3-256': '506ba3517bb9c1e929489abd44965dad0db2a7aaa9730fc788c3319f6ef8b0ed',
  'BLAKE2B-256': '0951cc974d65734e6ba033ea452f84644cf0b1bb235a252261441647e9e67382',
  'BLAKE2S-128': 'dd6d830c2ab357614bd6b009af21dd36',
  'BLAKE2S-256': 'fab1b1fe4ad6b97a57ecf81841f840bb25ffc0f607bf8afff91539b235202315',
};

/** True when every MAC and cipher computes its vector, twice over (the second time on a used context), and a false tag is refused. */
export function verifyDirectCalls(direct: DirectOpenSsl): boolean {
  return (
    Object.entries(MAC_OF_HELLO).every(([name, expected]) => macComputes(direct, name as MacName, expected)) &&
    Object.entries(SEALED_HELLO).every(([name, expected]) => aeadComputes(direct, name as AeadName, expected))
  );
}

function macComputes(direct: DirectOpenSsl, name: MacName, expected: string): boolean {
  const mac = direct.createMac(name, ascending(0x20, 32));
  const out = new Uint8Array(mac.sizeBytes);
  for (let round = 0; round < 2; round++) {
    mac.begin();
    mac.update(HELLO);
    mac.finishInto(out.fill(0), 0, mac.sizeBytes);
    if (toHex(out) !== expected) return false;
  }
  return true;
}

function aeadComputes(direct: DirectOpenSsl, name: AeadName, expected: string): boolean {
  const aead = direct.createAead(name, ROOT_KEY);
  const sealed = new Uint8Array(HELLO.length + 28);
  const opened = new Uint8Array(HELLO.length);
  for (let round = 0; round < 2; round++) {
    aead.sealInto(IV, ascending(0, 12), HELLO, sealed.fill(0), 0);
    if (toHex(sealed) !== expected || !sealsInPieces(aead, expected)) return false;
    if (!aead.openInto(IV, sealed, opened.fill(0)) || toHex(opened) !== toHex(HELLO)) return false;
    const last = sealed.length - 1;
    sealed[last] = (sealed[last] ?? 0) ^ 1;
    if (aead.openInto(IV, sealed, opened)) return false;
  }
  return true;
}

function sealsInPieces(aead: DirectAead, expected: string): boolean {
  const sealed = new Uint8Array(HELLO.length + TAG_BYTES);
  aead.beginSeal(IV, ascending(0, NONCE_BYTES));
  aead.sealPiece(HELLO.subarray(0, 2), sealed, 0);
  aead.sealPiece(HELLO.subarray(2), sealed, 2);
  aead.finishSeal(sealed, HELLO.length);
  return toHex(sealed) === expected.slice(NONCE_BYTES * 2);
}
