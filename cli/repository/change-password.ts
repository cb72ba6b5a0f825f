// `repository change-password`.
import { changePassword } from '../../repo-format/format/password-change.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findPassword } from '../password.ts';
import { withRepository } from '../session.ts';

export interface ChangePasswordOptions {
  readonly newPasswordFile?: string;
}

export async function changePasswordCommand(context: CliContext, options: ChangePasswordOptions): Promise<ExitCode> {
  const { clock, random, signal, stdin, stderr, output } = context;
  return withRepository(context, { readOnly: false }, async (repository) => {
    // Never from WINDLASS_PASSWORD: that is the old one.
    const sources = { file: options.newPasswordFile, environment: undefined, input: stdin, prompts: stderr };
    const newPassword = await findPassword(sources, 'New password', true, signal);
    await changePassword(repository.storage, repository.format, newPassword, { clock, random }, signal);
    output.document({ uniqueIDHex: repository.uniqueIdHex, passwordChanged: true });
    output.line('password changed; running programs keep their connection, new ones need the new password');
    return EXIT.ok;
  });
}
