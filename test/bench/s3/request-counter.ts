// Reads the heads of the requests on one connection as their bytes pass, to count them: nothing is held back and nothing
// changed. HTTP/1.1 without TLS, bodies with a length, as the tools send them.
import { verbOf, type Verb } from '../../harness/proxy-faults.ts';

/** What one side asked of a store. Bytes are those on the wire, heads included. */
export interface Traffic {
  readonly requests: Record<Verb, number>;
  /** GETs by the first letter of the object's name: `p` for packs of data, `q` for those of metadata, `x` for indexes. */
  readonly getsByKind: Record<string, number>;
  /** Connections that were opened. */
  connections: number;
  bytesUp: number;
  bytesDown: number;
}

export function noTraffic(): Traffic {
  const requests = { get: 0, head: 0, put: 0, list: 0, delete: 0, other: 0 };
  return { requests, getsByKind: {}, connections: 0, bytesUp: 0, bytesDown: 0 };
}

const HEAD_END = Buffer.from('\r\n\r\n');

export class RequestCounter {
  readonly #traffic: () => Traffic;
  /** What has come of a head that is not whole yet. */
  #head: Buffer = Buffer.alloc(0);
  #bodyLeft = 0;

  /** Counts into what `traffic` answers at that moment. */
  constructor(traffic: () => Traffic) {
    this.#traffic = traffic;
  }

  /** Bytes that a client has sent. Throws on a body without a length: counting would go wrong unseen. */
  pass(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      const skipped = Math.min(this.#bodyLeft, bytes.length - at);
      this.#bodyLeft -= skipped;
      at += skipped;
      if (at < bytes.length) at = this.#passHead(bytes, at);
    }
  }

  /** Answers where the body begins. */
  #passHead(bytes: Buffer, at: number): number {
    const before = this.#head.length;
    const head = before === 0 ? bytes.subarray(at) : Buffer.concat([this.#head, bytes.subarray(at)]);
    const end = head.indexOf(HEAD_END);
    if (end < 0) {
      this.#head = Buffer.from(head);
      return bytes.length;
    }
    this.#head = Buffer.alloc(0);
    this.#count(head.subarray(0, end).toString('latin1'));
    return at + end + HEAD_END.length - before;
  }

  #count(head: string): void {
    if (/^transfer-encoding:/im.test(head)) throw new Error(`a request body without a length:\n${head}`);
    const [method = '', path = ''] = head.split(' ', 2);
    const verb = verbOf(method, path);
    const { requests, getsByKind } = this.#traffic();
    requests[verb]++;
    if (verb === 'get') {
      const kind = /\/([^/?])[^/?]*(?:\?|$)/.exec(path)?.[1] ?? '?';
      getsByKind[kind] = (getsByKind[kind] ?? 0) + 1;
    }
    this.#bodyLeft = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  }
}
