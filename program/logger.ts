// Binds the logging port to pino for the cluster's programs: one JSON line an event on standard error, as cluster log collectors read them.
import { pino } from 'pino';
import type { LogFields, Logger } from '../base/logger.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** `fields` are in every line: which process and which object it speaks of. */
export function createLogger(level: LogLevel, fields: LogFields): Logger {
  const target = pino(
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
  const write = (name: LogLevel) => (message: string, more?: LogFields) => target[name](more ?? {}, message);
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
