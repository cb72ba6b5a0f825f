import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { openAead, sealAeadInto } from './aead.ts';
import type { AeadName, DirectAead, DirectMac, DirectOpenSsl, MacName } from './direct-crypto.ts';
import { hmacSha256 } from './key-derivation.ts';
import { verifyDirectCalls } from './openssl-self-test.ts';
import { directOpenSsl } from './openssl.ts';

const direct = directOpenSsl();
// Elsewhere the fallback serves, and is tested for itself; here a silent fall would cost all the speed.
const expected = process.platform === 'linux' && (process.versions.openssl ?? '').startsWith('3.');
const AEADS: readonly AeadName[] = ['aes-256-gcm', 'chacha20-poly1305'];
const LENGTHS = [0, 1, 15, 16, 17, 63, 64, 65, 1000, 4095, 4096, 4097, 65_536, 1_048_579];

/** The direct calls where they exist; a test that needs them ends early elsewhere. */
function requireDirect(): DirectOpenSsl {
  assert.ok(direct !== undefined);
  return direct;
}

test('the direct calls work on the Node build the project runs on', { skip: !expected }, () => {
  assert.ok(direct !== undefined, 'contents would be sealed ten times slower');
});

test('sealing and opening equal node:crypto at every length and offset', { skip: direct === undefined }, () => {
  const rootKey = randomBytes(32);
  const window = randomBytes(1_048_579 + 64);
  for (const name of AEADS) {
    const aead = requireDirect().createAead(name, rootKey);
    for (const [i, length] of LENGTHS.entries()) {
      const iv = randomBytes(16 + (i % 17));
      const nonce = randomBytes(12);
      const plain = window.subarray(i, i + length);
      const sealed = new Uint8Array(length + 28 + 40);
      aead.sealInto(iv, nonce, plain, sealed, 7 + i);
      const reference = new Uint8Array(length + 28);
      const key = hmacSha256(rootKey, iv);
      sealAeadInto({ name, key, nonce, aad: iv }, plain, reference, 0);
      assert.deepEqual(sealed.subarray(7 + i, 7 + i + length + 28), reference, `${name} ${length}`);
      assert.ok(
        sealed.subarray(0, 7 + i).every((byte) => byte === 0),
        'nothing is written in front',
      );
      assert.ok(
        sealed.subarray(7 + i + length + 28).every((byte) => byte === 0),
        'nothing is written behind',
      );
      const opened = new Uint8Array(length + 3);
      assert.equal(aead.openInto(iv, reference, opened), true);
      assert.deepEqual(opened.subarray(0, length), new Uint8Array(plain));
      assert.deepEqual(openAead({ name, key, aad: iv }, reference), new Uint8Array(plain));
    }
  }
});

test('MACs equal node:crypto at every length, whole and in pieces', { skip: direct === undefined }, () => {
  const digests: readonly (readonly [MacName, string])[] = [
    ['HMAC-SHA224', 'sha224'],
    ['HMAC-SHA256', 'sha256'],
    ['HMAC-SHA3-224', 'sha3-224'],
    ['HMAC-SHA3-256', 'sha3-256'],
  ];
  const data = randomBytes(70_000);
  for (const [name, digest] of digests) {
    for (const keyLength of [1, 16, 32, 64, 136, 144, 200, 1024]) {
      const key = randomBytes(keyLength);
      const mac = requireDirect().createMac(name, key);
      for (const length of LENGTHS.filter((candidate) => candidate < data.length)) {
        const out = new Uint8Array(mac.sizeBytes);
        mac.begin();
        mac.update(data.subarray(0, length >> 1));
        mac.update(data.subarray(length >> 1, length));
        mac.finishInto(out, 0, out.length);
        const reference = createHmac(digest, key).update(data.subarray(0, length)).digest();
        assert.deepEqual(out, new Uint8Array(reference), `${name}, key of ${keyLength}, ${length} bytes`);
      }
    }
  }
});

test('lengths that would reach foreign memory are refused before the call', { skip: direct === undefined }, () => {
  const aead = requireDirect().createAead('aes-256-gcm', new Uint8Array(32));
  const iv = new Uint8Array(16);
  const nonce = new Uint8Array(12);
  const plain = new Uint8Array(100);
  const refused = (run: () => unknown): void => assert.throws(run, { code: 'INTERNAL' });
  refused(() => aead.sealInto(iv, nonce, plain, new Uint8Array(127), 0));
  refused(() => aead.sealInto(iv, nonce, plain, new Uint8Array(128), 1));
  refused(() => aead.sealInto(iv, nonce, plain, new Uint8Array(200), -1));
  refused(() => aead.sealInto(iv, nonce, plain, new Uint8Array(200), 0.5));
  refused(() => aead.sealInto(iv, nonce, plain, new Uint8Array(200), Number.NaN));
  refused(() => aead.sealInto(iv, new Uint8Array(11), plain, new Uint8Array(128), 0));
  refused(() => aead.sealInto(iv, new Uint8Array(13), plain, new Uint8Array(128), 0));
  refused(() => aead.sealInto(new Uint8Array(0), nonce, plain, new Uint8Array(128), 0));
  refused(() => aead.sealInto(new Uint8Array(65), nonce, plain, new Uint8Array(128), 0));
  refused(() => aead.beginSeal(iv, new Uint8Array(11)));
  aead.beginSeal(iv, nonce);
  for (const offset of [-1, 1, 0.5, Number.NaN]) refused(() => aead.sealPiece(plain, new Uint8Array(100), offset));
  for (const offset of [-1, 1, 0.5, Number.NaN]) refused(() => aead.finishSeal(new Uint8Array(16), offset));
  refused(() => aead.openInto(iv, new Uint8Array(27), new Uint8Array(100)));
  refused(() => aead.openInto(iv, new Uint8Array(128), new Uint8Array(99)));
  refused(() => requireDirect().createMac('BLAKE2B-256', new Uint8Array(65)));
  refused(() => requireDirect().createMac('BLAKE2S-256', new Uint8Array(33)));
  refused(() => requireDirect().createMac('HMAC-SHA256', new Uint8Array(0)));
  const mac = requireDirect().createMac('HMAC-SHA256', iv);
  mac.begin();
  refused(() => mac.finishInto(new Uint8Array(31), 0, 32));
  refused(() => mac.finishInto(new Uint8Array(64), 33, 32));
  refused(() => mac.finishInto(new Uint8Array(64), -1, 32));
  refused(() => mac.finishInto(new Uint8Array(64), 0, 33));
});

/** Views on a WebAssembly memory that grows each time, which detaches every view before. */
function growingMemoryView(): () => Uint8Array {
  interface Memory {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
  // Not in the type libraries this project uses.
  const { WebAssembly } = globalThis as unknown as {
    WebAssembly: { Memory: new (limits: { initial: number; maximum: number }) => Memory };
  };
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 512 });
  return () => {
    memory.grow(1);
    return new Uint8Array(memory.buffer, memory.buffer.byteLength - 40, 40);
  };
}

test('buffers may change, move away or grow between calls', { skip: direct === undefined }, () => {
  const aead = requireDirect().createAead('aes-256-gcm', new Uint8Array(32).fill(9));
  const iv = new Uint8Array(16).fill(1);
  const nonce = new Uint8Array(12).fill(2);
  const views = [
    () => new Uint8Array(new SharedArrayBuffer(64), 8, 40),
    () => new Uint8Array(40),
    () => Buffer.allocUnsafe(40),
    () => new Uint8Array(new ArrayBuffer(64, { maxByteLength: 4096 }), 24, 40),
    growingMemoryView(),
  ];
  const outputs: string[] = [];
  for (let round = 0; round < 200; round++) {
    const plain = views[round % views.length]?.().fill(7) ?? assert.fail();
    const sealed = new Uint8Array(new ArrayBuffer(100), 3, 68);
    aead.sealInto(iv, nonce, plain, sealed, 0);
    const out = views[(round >> 3) % views.length]?.() ?? assert.fail();
    assert.equal(aead.openInto(iv, sealed, out), true);
    assert.ok(out.every((byte) => byte === 7));
    outputs.push(Buffer.from(sealed).toString('hex'));
    // What was used last is gone for good: its address must not be.
    structuredClone(sealed.buffer, { transfer: [sealed.buffer] });
    assert.throws(() => aead.openInto(iv, sealed, out), { code: 'INTERNAL' });
  }
  assert.equal(new Set(outputs).size, 1);
});

test('a false tag leaves zeros, and the next opening works', { skip: direct === undefined }, () => {
  for (const name of AEADS) {
    const aead = requireDirect().createAead(name, new Uint8Array(32));
    const iv = new Uint8Array(16);
    const sealed = new Uint8Array(28 + 50);
    aead.sealInto(iv, new Uint8Array(12), new Uint8Array(50).fill(5), sealed, 0);
    const damaged = sealed.slice();
    damaged[70] = (damaged[70] ?? 0) ^ 0x80;
    const into = new Uint8Array(60).fill(0xee);
    assert.equal(aead.openInto(iv, damaged, into), false);
    assert.deepEqual(into, new Uint8Array(60).fill(0).fill(0xee, 50));
    assert.equal(aead.openInto(iv, sealed, into), true);
    assert.equal(into[49], 5);
  }
});

test('many objects in turn do not disturb each other', { skip: direct === undefined }, () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.uint8Array({ maxLength: 300 })), {
        minLength: 2,
        maxLength: 8,
      }),
      (cases) => {
        const macs = cases.map(([key]) => requireDirect().createMac('HMAC-SHA256', key));
        macs.forEach((mac) => mac.begin());
        macs.forEach((mac, i) => mac.update(cases[i]?.[1] ?? new Uint8Array(0)));
        macs.forEach((mac, i) => {
          const out = new Uint8Array(32);
          mac.finishInto(out, 0, 32);
          const [key, data] = cases[i] ?? [new Uint8Array(0), new Uint8Array(0)];
          assert.deepEqual(out, new Uint8Array(createHmac('sha256', key).update(data).digest()));
        });
      },
    ),
    { numRuns: 50 },
  );
});

test('worker threads have their own binding', { skip: direct === undefined }, async () => {
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(({ createContentCipher }) => {
      const cipher = createContentCipher(workerData.spec);
      const iv = new Uint8Array(16).fill(3);
      const out = new Uint8Array(5000);
      let sum = 0;
      for (let i = 0; i < 3000; i++) {
        const length = cipher.sealInto(iv, out.subarray(4000, 4000 + (i % 900)), out, 10);
        sum += cipher.open(iv, out.subarray(10, 10 + length)).length;
      }
      parentPort.postMessage(sum);
    });`;
  const module = new URL('./content-cipher.ts', import.meta.url).href;
  const spec = { encryption: 'AES256-GCM-HMAC-SHA256', masterKey: new Uint8Array(32) };
  const sums = await Promise.all(
    [0, 1].map(async () => {
      const worker = new Worker(source, { eval: true, workerData: { module, spec } });
      return await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    }),
  );
  const total = Array.from({ length: 3000 }, (_, i) => i % 900).reduce((a, b) => a + b, 0);
  assert.deepEqual(sums, [total, total]);
});

const methodsOf = (aead: DirectAead): DirectAead => ({
  sealInto: aead.sealInto.bind(aead),
  openInto: aead.openInto.bind(aead),
  beginSeal: aead.beginSeal.bind(aead),
  sealPiece: aead.sealPiece.bind(aead),
  finishSeal: aead.finishSeal.bind(aead),
});

test(
  'the self-test sees a wrong MAC, a wrong ciphertext and an accepted forgery',
  { skip: direct === undefined },
  () => {
    const good = requireDirect();
    assert.equal(verifyDirectCalls(good), true);
    const wrongMac = (mac: DirectMac): DirectMac => ({
      sizeBytes: mac.sizeBytes,
      begin: () => mac.begin(),
      update: (data) => mac.update(data.subarray(1)),
      finishInto: (out, outOffset, length) => mac.finishInto(out, outOffset, length),
    });
    const names: readonly MacName[] = ['HMAC-SHA224', 'HMAC-SHA3-256', 'BLAKE2B-256', 'BLAKE2S-128'];
    for (const bad of names) {
      const createMac: DirectOpenSsl['createMac'] = (name, key) =>
        name === bad ? wrongMac(good.createMac(name, key)) : good.createMac(name, key);
      assert.equal(verifyDirectCalls({ ...good, createMac }), false, bad);
    }
    const withAead = (change: (aead: DirectAead) => DirectAead): DirectOpenSsl => ({
      ...good,
      createAead: (name, rootKey) => change(good.createAead(name, rootKey)),
    });
    const seals: DirectAead['sealInto'] = (iv, nonce, plain, out, outOffset) => out.set(plain, outOffset + 12);
    assert.equal(verifyDirectCalls(withAead((aead) => ({ ...methodsOf(aead), sealInto: seals }))), false);
    const accepts = withAead((aead) => ({
      ...methodsOf(aead),
      openInto: (iv, sealed, into) => aead.openInto(iv, sealed, into) || true,
    }));
    assert.equal(verifyDirectCalls(accepts), false);
    const wrongPieces = withAead((aead) => ({
      ...methodsOf(aead),
      sealPiece: (plain, out, outOffset) => aead.sealPiece(plain.slice().reverse(), out, outOffset),
    }));
    assert.equal(verifyDirectCalls(wrongPieces), false);
  },
);
