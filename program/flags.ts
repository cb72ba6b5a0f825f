// What the command lines of the cluster's programs have in common: values, Velero's names of log levels, and how a wrong line ends.
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseGoDurationMs } from '../base/go-duration.ts';
import { LOG_LEVELS, type LogLevel } from './logger.ts';

/** What every one of the programs is told. */
export interface ProgramFlags {
  readonly logLevel: LogLevel;
  readonly kubeconfig: string | undefined;
  /** Of the kubeconfig; its own choice when undefined. */
  readonly kubecontext?: string | undefined;
}

/** The process is to end because of its command line, about which everything has been said: wrong, or `--help`. */
export class CommandLineEnd extends Error {
  readonly isWrong: boolean;

  constructor(message: string, isWrong: boolean) {
    super(message);
    this.name = 'CommandLineEnd';
    this.isWrong = isWrong;
  }
}

/** Levels that Velero has beside ours. */
const VELERO_LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ['trace', 'debug'],
  ['warning', 'warn'],
  ['fatal', 'error'],
  ['panic', 'error'],
]);

/** A command that ends by throwing {@link CommandLineEnd}, after it has printed why. */
export function programCommand(name: string): Command {
  return new Command(name).exitOverride(({ message, exitCode }) => {
    throw new CommandLineEnd(message, exitCode !== 0);
  });
}

/** Takes Velero's names, too: {@link levelOf}. */
export function logLevelOption(flags: string): Option {
  return new Option(flags).choices([...LOG_LEVELS, ...VELERO_LEVELS.keys()]).default('info');
}

/** The nearest of ours. */
export function levelOf(name: string): LogLevel {
  return LOG_LEVELS.find((level) => level === name) ?? VELERO_LEVELS.get(name) ?? 'info';
}

/** Of an option's text, in milliseconds. */
export function duration(text: string): number {
  const ms = parseGoDurationMs(text);
  if (ms === undefined || ms <= 0) throw new InvalidArgumentError(`not a duration such as 10m or 1h30m: ${text}`);
  return ms;
}
