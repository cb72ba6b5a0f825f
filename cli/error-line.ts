// Renders any failure as one line: what, why, and the code documented in docs/errors.md. Stacks are for `--log-level debug`.
import { errorCode } from '../base/errors.ts';

const MAX_CAUSES = 4;

/** `message: cause: cause [CODE]`, without line breaks or control characters. */
export function errorLine(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < MAX_CAUSES && current !== undefined; depth++) {
    const message = messageOf(current);
    // A wrapper that already quotes its cause says everything once.
    if (message !== '' && !parts.some((part) => part.includes(message))) parts.push(message);
    current = current instanceof Error ? current.cause : undefined;
  }
  return `windlass: ${oneLine(parts.join(': '))} [${codeOf(error)}]`;
}

/** Anything may be thrown; what is not an error shows as JSON. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  return typeof error === 'string' ? error : (JSON.stringify(error) ?? typeof error);
}

/** The stable code of a failure; a system error keeps its own (`ENOSPC`…), anything without a code is a bug of ours. */
export function codeOf(error: unknown): string {
  return errorCode(error) ?? 'INTERNAL';
}

/** Names come from storage and file systems: no control character of theirs reaches a terminal. */
export function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- they are what must go
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
