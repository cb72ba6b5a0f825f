// What every program of the cluster begins and ends with: command line, log, signals, a client, and an exit code that says how it
// ended (docs/operations.md, Exit codes). Together with the `main.ts` that names the program it is the composition root.
import { systemClock, type Clock } from '../base/clock.ts';
import { errorCode, explainError, isAbortError } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/logger.ts';
import { systemRandom, type RandomSource } from '../base/random.ts';
import { connectKube, type ConnectOptions, type KubeClient } from '../kube/index.ts';
import { CommandLineEnd, type ProgramFlags } from './flags.ts';
import { createLogger, type LogLevel } from './logger.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Program<Flags extends ProgramFlags> {
  /** By which the API server's logs and limits know it. */
  readonly userAgent: string;
  /** A service that a signal ends has done its work; a task has not. */
  readonly kind: 'service' | 'task';
  parse(argv: readonly string[], environment: Environment): Flags;
  /** In each line of its log. */
  fields(flags: Flags): LogFields;
  run(flags: Flags, deps: ProgramDeps, signal: AbortSignal): Promise<void>;
  /** Whoever asks the process itself, and not its log, why it has failed. */
  onFailure?(text: string, code: string): void;
}

export interface ProgramDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly environment: Environment;
}

/** What of the process is used. */
export interface Host {
  readonly argv: readonly string[];
  readonly environment: Environment;
  onSignal(name: 'SIGTERM' | 'SIGINT', listener: () => void): void;
  connect(options: ConnectOptions): Promise<KubeClient>;
  createLogger(level: LogLevel, fields: LogFields): Logger;
}

export const EXIT = { done: 0, failed: 1, wrongUsage: 2 } as const;

/** Sets the exit code of the process when the program has ended; the process ends by itself then. */
export async function runProgram<Flags extends ProgramFlags>(program: Program<Flags>): Promise<void> {
  process.exitCode = await exitCodeOf(program, processHost());
}

/** Never rejects: what goes wrong is in the log, with all that caused it. */
export async function exitCodeOf<Flags extends ProgramFlags>(program: Program<Flags>, host: Host): Promise<number> {
  const { environment } = host;
  let logger = host.createLogger('info', {});
  const stopped = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const)
    host.onSignal(name, () => stopped.abort(new DOMException(`stopped by ${name}`, 'AbortError')));
  let client: KubeClient | undefined;
  try {
    const flags = program.parse(host.argv, environment);
    logger = host.createLogger(flags.logLevel, program.fields(flags));
    const { kubeconfig: kubeconfigPath, kubecontext: context } = flags;
    const { userAgent } = program;
    client = await host.connect({ kubeconfigPath, context, userAgent, environment, clock: systemClock });
    await program.run(flags, { client, clock: systemClock, random: systemRandom, logger, environment }, stopped.signal);
    return EXIT.done;
  } catch (error) {
    if (error instanceof CommandLineEnd) return error.isWrong ? EXIT.wrongUsage : EXIT.done;
    if (program.kind === 'service' && stopped.signal.aborted && isAbortError(error)) return EXIT.done;
    const [text, code] = [explainError(error), errorCode(error) ?? 'UNKNOWN'];
    logger.error(text, { code });
    try {
      program.onFailure?.(text, code);
    } catch (failure) {
      logger.warn('nobody but this log can be told', { error: explainError(failure) });
    }
    return EXIT.failed;
  } finally {
    // What is kept open for the next request would keep the process. How the program ended counts, not how its connections did.
    await client
      ?.close()
      .catch((error: unknown) => logger.warn('the connections were not closed', { error: explainError(error) }));
  }
}

function processHost(): Host {
  return {
    argv: process.argv.slice(2),
    // oxlint-disable-next-line node/no-process-env -- of the composition roots
    environment: process.env,
    onSignal: (name, listener) => process.on(name, listener),
    connect: connectKube,
    createLogger,
  };
}
