// The BLAKE binding's interface as far as the engine uses it, on a library that runs in a browser.
import { blake2b, blake2s } from '@noble/hashes/blake2.js';
import { blake3 } from '@noble/hashes/blake3.js';

interface Running {
  update(data: Uint8Array): unknown;
  digest(): Uint8Array;
}

class Parameters {
  keyBytes: Uint8Array | undefined;
  lengthBytes = 32;

  key(bytes: Uint8Array): void {
    this.keyBytes = Uint8Array.from(bytes);
  }

  hashLength(bytes: number): void {
    this.lengthBytes = bytes;
  }

  get options(): { dkLen: number; key?: Uint8Array } {
    return { dkLen: this.lengthBytes, ...(this.keyBytes === undefined ? {} : { key: this.keyBytes }) };
  }
}

class Hasher {
  readonly #start: () => Running;
  #running: Running;

  constructor(start: () => Running) {
    this.#start = start;
    this.#running = start();
  }

  update(data: Uint8Array): void {
    this.#running.update(Uint8Array.from(data));
  }

  digest(_format: 'hex'): string {
    return Buffer.from(this.#running.digest()).toString('hex');
  }

  reset(): void {
    this.#running = this.#start();
  }
}

export class Blake2BParam extends Parameters {}
export class Blake2SParam extends Parameters {}

export const Blake2BHasher = {
  withParams: (parameters: Parameters) => new Hasher(() => blake2b.create(parameters.options)),
};

export const Blake2SHasher = {
  withParams: (parameters: Parameters) => new Hasher(() => blake2s.create(parameters.options)),
};

export const Blake3Hasher = {
  newKeyed: (key: Uint8Array) => new Hasher(() => blake3.create({ key: Uint8Array.from(key) })),
  deriveKey: (context: string, material: Uint8Array) =>
    Buffer.from(blake3(Uint8Array.from(material), { context: new TextEncoder().encode(context) })),
};
