// Binds the logging port to pino on standard error. pino is loaded with the first line that is really written: most runs log nothing.
import { createRequire } from 'node:module';
import type { Logger as PinoLogger, LoggerOptions } from 'pino';
import type { LogFields, Logger } from '../base/logger.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

type Pino = ((options: LoggerOptions, stream: unknown) => PinoLogger) & { destination(options: object): unknown };

export function createLogger(level: LogLevel): Logger {
  const threshold = LOG_LEVELS.indexOf(level);
  let target: PinoLogger | undefined;
  const open = (): PinoLogger => {
    // A synchronous load: a log line must not wait for, or get lost behind, an import.
    const pino = createRequire(import.meta.url)('pino') as Pino;
    // Synchronous writes: the last lines before a crash are the ones that matter.
    return pino(
      { level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` },
      pino.destination({ fd: 2, sync: true }),
    );
  };
  const write = (name: Exclude<LogLevel, 'silent'>) => {
    if (LOG_LEVELS.indexOf(name) < threshold) return () => undefined;
    return (message: string, fields?: LogFields) => {
      target ??= open();
      target[name](fields ?? {}, message);
    };
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
