// Finds a password: `--password-file`, then `WINDLASS_PASSWORD`, then a prompt where there is a terminal to ask on.
import type { ReadStream } from 'node:tty';
import { cliError } from './cli-errors.ts';
import { readInput } from './read-input.ts';
import { promptPassword } from './terminal/prompt.ts';

export interface PasswordSources {
  readonly file: string | undefined;
  readonly environment: string | undefined;
  readonly input: NodeJS.ReadStream;
  readonly prompts: NodeJS.WritableStream;
}

// A password file is a line of text; a device or a huge file given by mistake must not fill memory.
const MAX_FILE_BYTES = 64 * 1024;

/** `confirm` asks twice on a terminal, where a mistyped new password would lock the user out. */
export async function findPassword(
  sources: PasswordSources,
  what: string,
  confirm: boolean,
  signal: AbortSignal,
): Promise<string> {
  if (sources.file !== undefined) return readPasswordFile(sources.file, signal);
  if (sources.environment !== undefined && sources.environment !== '') return sources.environment;
  if (sources.input.isTTY) {
    const input = sources.input as ReadStream; // isTTY says so
    const typed = await promptPassword(what, input, sources.prompts, signal);
    if (typed === '') throw cliError('CLI_PASSWORD_MISSING', 'an empty password was typed');
    if (confirm && (await promptPassword(`${what} again`, input, sources.prompts, signal)) !== typed) {
      throw cliError('CLI_PASSWORD_MISSING', 'the two passwords typed differ');
    }
    return typed;
  }
  throw cliError(
    'CLI_PASSWORD_MISSING',
    'no password: give --password-file or WINDLASS_PASSWORD (there is no terminal to ask on)',
  );
}

/** The file's text without its last line break. */
export async function readPasswordFile(path: string, signal: AbortSignal): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readInput(path, MAX_FILE_BYTES + 1, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw cliError('CLI_PASSWORD_FILE', `password file ${path} cannot be read`, { path }, error);
  }
  if (bytes.length > MAX_FILE_BYTES) {
    throw cliError('CLI_PASSWORD_FILE', `password file ${path} is too large`, { path });
  }
  const password = decodeExactly(bytes, path).replace(/\r?\n$/, '');
  if (password === '') throw cliError('CLI_PASSWORD_FILE', `password file ${path} is empty`, { path });
  return password;
}

/** Bytes that are no text would all become the same stand-in character: different passwords would then be equal. */
function decodeExactly(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw cliError('CLI_PASSWORD_FILE', `password file ${path} is not UTF-8 text`, { path }, error);
  }
}
