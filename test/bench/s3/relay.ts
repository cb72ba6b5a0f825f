// A TCP relay between a tool and a store: every byte arrives half the latency later, each way, and a new connection takes a
// whole turn before it carries anything. Bytes pass as they are; requests are counted as they go by. Much lighter than a
// proxy which speaks HTTP, since it must not be what the bench measures; `ceiling.ts` says what it can pass.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

import { noTraffic, RequestCounter, type Traffic } from './request-counter.ts';

export interface RelayOptions {
  /** Of the store, on this machine. */
  readonly port: number;
  /** A turn there and back. */
  readonly latencyMs: number;
}

/** So much may be under way on one connection, each way: the line is long and wide, not bounded by a window. */
const UNDER_WAY_BYTES = 32 << 20;

export class Relay {
  readonly #options: RelayOptions;
  readonly #server: Server;
  readonly #line: DelayLine;
  readonly #sockets = new Set<Socket>();
  #traffic = noTraffic();

  private constructor(options: RelayOptions) {
    this.#options = options;
    this.#line = new DelayLine(options.latencyMs / 2);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
    this.#server.on('connection', (client) => this.#accept(client));
  }

  static async start(options: RelayOptions): Promise<Relay> {
    const relay = new Relay(options);
    relay.#server.listen(0, '127.0.0.1');
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port; // it listens on TCP
  }

  /** What passed until now; from here on it begins at zero. */
  takeTraffic(): Traffic {
    const taken = this.#traffic;
    this.#traffic = noTraffic();
    return taken;
  }

  #accept(client: Socket): void {
    this.#traffic.connections++;
    this.#keep(client);
    if (this.#options.latencyMs === 0) this.#join(client);
    else setTimeout(() => this.#join(client), this.#options.latencyMs);
  }

  #join(client: Socket): void {
    const store = connect({ port: this.#options.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.#keep(store);
    const counter = new RequestCounter(() => this.#traffic);
    this.#carry(client, store, (bytes) => {
      this.#traffic.bytesUp += bytes.length;
      counter.pass(bytes);
    });
    this.#carry(store, client, (bytes) => (this.#traffic.bytesDown += bytes.length));
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  }

  #carry(from: Socket, to: Socket, see: (bytes: Buffer) => void): void {
    let underWay = 0;
    const letGo = (bytes: number): void => {
      underWay -= bytes;
      if (from.isPaused() && underWay < UNDER_WAY_BYTES / 2) from.resume();
    };
    from.on('data', (bytes: Buffer) => {
      see(bytes);
      underWay += bytes.length;
      if (underWay > UNDER_WAY_BYTES) from.pause();
      this.#line.later(() => to.write(bytes, () => letGo(bytes.length)));
    });
    from.on('end', () => this.#line.later(() => to.end()));
    from.on('close', () => this.#line.later(() => to.destroySoon()));
    from.resume();
  }
}

/** Does everything the same time later, in order: one queue and one timer for all connections. */
class DelayLine {
  readonly #delayMs: number;
  #waiting: { readonly dueMs: number; readonly act: () => void }[] = [];

  constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  later(act: () => void): void {
    if (this.#delayMs === 0) return act();
    this.#waiting.push({ dueMs: performance.now() + this.#delayMs, act });
    if (this.#waiting.length === 1) this.#arm();
  }

  #arm(): void {
    const [first] = this.#waiting;
    if (first !== undefined) setTimeout(() => this.#release(), Math.max(0, first.dueMs - performance.now()));
  }

  #release(): void {
    const nowMs = performance.now();
    // Half a millisecond early at most: timers are whole milliseconds and would add one to each turn.
    const late = this.#waiting.findIndex(({ dueMs }) => dueMs > nowMs + 0.5);
    const due = this.#waiting.splice(0, late < 0 ? this.#waiting.length : late);
    for (const { act } of due) act();
    this.#arm();
  }
}
