// Runs one command line: parses, calls, maps every outcome to an exit code and every failure to one line.
import { CommanderError } from 'commander';
import { isAbortError } from '../base/errors.ts';
import { isUsed } from '../repo-format/blob/wrap/counting.ts';
import { createContext, type CliContext, type Runtime } from './context.ts';
import { codeOf, errorLine, messageOf } from './error-line.ts';
import { EXIT, exitCodeOf, type ExitCode } from './exit-codes.ts';
import { listenForInterrupts } from './interrupt.ts';
import { createProgram } from './program.ts';

/** The shell's number for a writer whose reader went away. */
const BROKEN_PIPE = 141;

export async function runCli(args: readonly string[], version: string): Promise<number> {
  using interrupt = listenForInterrupts(process.stderr);
  // `windlass ls … | head` is no failure worth a message.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(BROKEN_PIPE);
    process.stderr.write(`windlass: standard output cannot be written: ${error.message}\n`);
    process.exit(EXIT.failed);
  });
  const runtime: Runtime = {
    environment: process.env,
    // Asked for where a failure is reported: the folder may have been removed.
    get workingDirectory() {
      return process.cwd();
    },
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    signal: interrupt.signal,
  };
  const exitCode = await runWith(runtime, args, version);
  // A failed write is told a little later; leaving before that would call lost output a success.
  await new Promise((resolve) => process.stdout.write('', resolve));
  return exitCode;
}

async function runWith(runtime: Runtime, args: readonly string[], version: string): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  let context: CliContext | undefined;
  const program = createProgram(version, async (options, work) => {
    context = createContext(runtime, options);
    exitCode = await work(context);
    if (exitCode === EXIT.ok && context.lostManifests.length > 0) exitCode = EXIT.incomplete;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return commanderExit(error, runtime, args);
    reportFailure(error, runtime, context);
    return runtime.signal.aborted ? EXIT.interrupted : exitCodeOf(error);
  } finally {
    if (context !== undefined && isUsed(context.storageStats)) {
      context.logger.debug('requests to the store', { ...context.storageStats });
    }
  }
}

/** Commander has printed its message already; help that was asked for is no error, help shown for want of a command is. */
function commanderExit(error: CommanderError, runtime: Runtime, args: readonly string[]): ExitCode {
  if (error.exitCode === 0) return EXIT.ok;
  // The options were not understood, so the words themselves have to tell.
  if (args.includes('--json')) {
    const message = error.code === 'commander.help' ? 'no command given' : error.message.replace(/^error: /, '');
    runtime.stdout.write(`${JSON.stringify({ error: { code: 'CLI_USAGE', message, context: {} } })}\n`);
  }
  return EXIT.usage;
}

function reportFailure(error: unknown, runtime: Runtime, context: CliContext | undefined): void {
  const interrupted = runtime.signal.aborted || isAbortError(error);
  runtime.stderr.write(interrupted ? 'windlass: interrupted [INTERRUPTED]\n' : `${errorLine(error)}\n`);
  if (context === undefined) return;
  if (context.options.logLevel === 'debug' && error instanceof Error) runtime.stderr.write(`${stackOf(error)}\n`);
  if (context.output.wroteDocument) return;
  const code = interrupted ? 'INTERRUPTED' : codeOf(error);
  context.output.document({
    error: { code, message: messageOf(error), context: contextOf(error) },
  });
}

function contextOf(error: unknown): unknown {
  return error instanceof Error && 'context' in error ? error.context : {};
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by: ${stackOf(error.cause)}` : own;
}
