// Asks for a password on a terminal, without echo. The bytes typed are never logged and are held no longer than the answer.
import type { ReadStream } from 'node:tty';

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const CTRL_U = '\u0015';
const BACKSPACES = ['\u007f', '\b'];

/** Resolves with the line typed. Ctrl-C and an aborted signal reject with `AbortError`. */
export async function promptPassword(
  question: string,
  input: ReadStream,
  output: NodeJS.WritableStream,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  // First of all: what is typed before the question shows must not echo either.
  input.setRawMode(true);
  input.setEncoding('utf8');
  output.write(`${question}: `);
  let finish = (): void => undefined;
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed = '';
      const interrupted = (): void => reject(new DOMException('interrupted at the password prompt', 'AbortError'));
      const onData = (chunk: string): void => {
        for (const key of chunk) {
          if (key === '\r' || key === '\n' || key === CTRL_D) return resolve(typed);
          if (key === CTRL_C) return interrupted();
          if (key === CTRL_U) typed = '';
          else if (BACKSPACES.includes(key)) typed = Array.from(typed).slice(0, -1).join('');
          else typed += key;
        }
      };
      const onEnd = (): void => resolve(typed);
      input.on('data', onData);
      input.once('end', onEnd);
      signal.addEventListener('abort', interrupted, { once: true });
      finish = () => {
        input.off('data', onData);
        input.off('end', onEnd);
        signal.removeEventListener('abort', interrupted);
      };
      input.resume();
    });
  } finally {
    finish();
    input.setRawMode(false);
    input.pause();
    output.write('\n');
  }
}
