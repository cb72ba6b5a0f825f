// `repository create`.
import type { CreateFormatOptions } from '../../repo-format/format/create-format.ts';
import { Repository } from '../../repo-format/index.ts';
import { putMaintenanceSettings } from '../../repo-format/manifest/maintenance-settings.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { openNewStorage } from '../open-storage.ts';
import { repositoryAddress } from '../repository-url.ts';
import { passwordOf } from '../session.ts';
import { describeRepository } from './status.ts';

export interface CreateOptions {
  readonly hash?: string;
  readonly encryption?: string;
  readonly splitter?: string;
  readonly formatVersion?: '1' | '2' | '3';
  readonly ecc?: string;
  readonly eccOverheadPercent?: number;
}

type FormatOptions = Omit<CreateFormatOptions, 'password'>;

const VERSIONS = { '1': 1, '2': 2, '3': 3 } as const;

export async function createCommand(context: CliContext, options: CreateOptions): Promise<ExitCode> {
  const { clock, random, logger, output, signal } = context;
  // A wrong address is told before a password is asked for.
  repositoryAddress(context.options.repository, context.workingDirectory);
  const password = await passwordOf(context, { confirm: true });
  const storage = await openNewStorage(context, options.formatVersion === '1' ? 'version1' : 'current');
  let repository: Repository;
  try {
    repository = await Repository.create(
      { storage, password, ...formatOptions(options) },
      { clock, random, logger },
      signal,
    );
  } catch (error) {
    await storage.close();
    throw error;
  }
  await using created = repository;
  // As kopia's own command does: it asks who maintains the repository before it frees any space.
  putMaintenanceSettings(created.manifests, `${context.identity.userName}@${context.identity.host}`);
  await created.flush(signal);
  const description = await describeRepository(created, signal);
  output.document(description);
  output.line(`created repository ${description.uniqueIDHex.slice(0, 16)} at ${storage.displayName}`);
  context.note('Keep the password: without it nothing in the repository can be read.');
  return EXIT.ok;
}

function formatOptions({
  hash,
  encryption,
  splitter,
  ecc,
  eccOverheadPercent,
  formatVersion,
}: CreateOptions): FormatOptions {
  return {
    ...(hash === undefined ? {} : { hash }),
    ...(encryption === undefined ? {} : { encryption }),
    ...(splitter === undefined ? {} : { splitter }),
    ...(ecc === undefined ? {} : { ecc }),
    ...(eccOverheadPercent === undefined ? {} : { eccOverheadPercent }),
    ...(formatVersion === undefined ? {} : { version: VERSIONS[formatVersion] }),
  };
}
