// Binds the logging port to pino for the cluster's programs: one JSON line an event on standard error, as cluster log collectors read them.
import { createRequire } from 'node:module';
import type * as Pino from 'pino';
import type { LogFields, Logger } from '../base/logger.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const require = createRequire(import.meta.url);

/**
 * `fields` are in every line: which process and which object it speaks of. pino is loaded with the first line: a data mover that has
 * nothing to say does without it.
 */
export function createLogger(level: LogLevel, fields: LogFields): Logger {
  let target: Pino.Logger | undefined;
  const write = (name: LogLevel) => (message: string, more?: LogFields) => {
    target ??= openLogger(level, fields);
    target[name](more ?? {}, message);
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

function openLogger(level: LogLevel, fields: LogFields): Pino.Logger {
  const { pino } = require('pino') as typeof Pino;
  return pino(
    {
      level,
      base: fields,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'msg',
    },
    // Synchronous writes: the last lines before a crash are the ones that matter.
    pino.destination({ fd: 2, sync: true }),
  );
}
