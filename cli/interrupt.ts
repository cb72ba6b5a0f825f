// SIGINT and SIGTERM: the first asks the running command to stop and keep what is safe, and ends the process after a second
// whatever the command does; the second ends it at once. Nothing is lost by that: the repository survives kill -9.
import { EXIT } from './exit-codes.ts';

// A little under the promised second, which ends with the process gone.
const GRACE_MS = 800;

export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
}

export function listenForInterrupts(stderr: NodeJS.WritableStream): Interrupt {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    setTimeout(() => {
      stderr.write(`windlass: interrupted by ${name}\n`);
      process.exit(EXIT.interrupted);
    }, GRACE_MS);
    controller.abort(new DOMException(`interrupted by ${name}`, 'AbortError'));
  };
  const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const name of signals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
