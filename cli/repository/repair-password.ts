// `repository repair-password`: finishes a password change that was interrupted between its two blobs.
import { hasCode } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import { type FormatDeps, type OpenFormat, openFormat } from '../../repo-format/format/open-format.ts';
import { finishPasswordChange, repairPasswordChange } from '../../repo-format/format/password-change.ts';
import type { BlobStorage } from '../../repo-format/index.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findPassword } from '../password.ts';
import { openStorage } from '../open-storage.ts';
import { passwordOf } from '../session.ts';

export interface RepairPasswordOptions {
  readonly otherPasswordFile?: string;
  readonly dropRetention?: boolean;
}

interface Repaired {
  readonly format: OpenFormat;
  /** Whose password opens the repository from now on. */
  readonly opener: 'password' | 'other';
}

export async function repairPasswordCommand(context: CliContext, options: RepairPasswordOptions): Promise<ExitCode> {
  const { clock, random, logger, signal, output } = context;
  if (options.dropRetention === true && options.otherPasswordFile !== undefined)
    throw usageError('--drop-retention is for when the other password is not known');
  const deps = { clock, random, logger };
  const storage = await openStorage(context, { readOnly: false });
  try {
    const password = await passwordOf(context, { confirm: false });
    const whole = await openIfWhole(storage, password, deps, signal);
    const isRepaired = whole?.interruptedChange !== undefined || whole === undefined;
    const { format, opener }: Repaired =
      whole === undefined
        ? await repair(storage, { password, otherPassword: await otherPasswordOf(context, options) }, deps, signal)
        : { format: await finishPasswordChange(storage, whole, deps, signal), opener: 'password' };
    output.document({ uniqueIDHex: toHex(format.uniqueId), repaired: isRepaired, opener });
    if (!isRepaired) output.line('nothing to repair: the password opens the repository');
    else if (opener === 'password') output.line('repaired: the password opens the repository again');
    else output.line('repaired: the other password opens the repository');
    return EXIT.ok;
  } finally {
    await storage.close();
  }
}

/** Undefined where the password alone does not do. */
async function openIfWhole(
  storage: BlobStorage,
  password: string,
  deps: FormatDeps,
  signal: AbortSignal,
): Promise<OpenFormat | undefined> {
  try {
    return await openFormat(storage, password, deps, signal);
  } catch (error) {
    if (hasCode(error, 'PASSWORD_CHANGE_INCOMPLETE')) return undefined;
    throw error;
  }
}

/** Undefined when the settings that only it can save are to be given up. */
async function otherPasswordOf(
  { stdin, stderr, signal }: CliContext,
  { otherPasswordFile, dropRetention }: RepairPasswordOptions,
): Promise<string | undefined> {
  if (dropRetention === true) return undefined;
  if (otherPasswordFile === undefined && !stdin.isTTY)
    throw usageError('give --other-password-file, or --drop-retention when it is not known');
  const sources = { file: otherPasswordFile, environment: undefined, input: stdin, prompts: stderr };
  return findPassword(sources, 'The other password of the change', false, signal);
}

/** Whoever was interrupted need not know which of the two passwords had got how far. */
async function repair(
  storage: BlobStorage,
  { password, otherPassword }: { password: string; otherPassword: string | undefined },
  deps: FormatDeps,
  signal: AbortSignal,
): Promise<Repaired> {
  if (otherPassword === undefined)
    return { format: await repairPasswordChange(storage, { password }, deps, signal), opener: 'password' };
  try {
    return {
      format: await repairPasswordChange(storage, { password, otherPassword }, deps, signal),
      opener: 'password',
    };
  } catch (error) {
    if (!hasCode(error, 'PASSWORD_WRONG')) throw error;
    const swapped = { password: otherPassword, otherPassword: password };
    try {
      return { format: await repairPasswordChange(storage, swapped, deps, signal), opener: 'other' };
    } catch (again) {
      throw hasCode(again, 'PASSWORD_WRONG') ? error : again;
    }
  }
}
