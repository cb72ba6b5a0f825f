// Opens the repositories under test/golden through the ordinary door, each from a fresh copy of its archive.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { openFilesystemStorage, Repository } from '../../repo-format/index.ts';
import { unpackTarGz } from './tar.ts';

export const KOPIA_ALGORITHMS_FOLDER = fileURLToPath(new URL('../golden/kopia-algorithms/', import.meta.url));

/** Names of the repositories by kopia 0.23, one for each hash function and some more. */
export function kopiaAlgorithmNames(): string[] {
  return readdirSync(KOPIA_ALGORITHMS_FOLDER)
    .filter((name) => name.endsWith('.tar.gz'))
    .map((name) => name.slice(0, -'.tar.gz'.length));
}

export function kopiaAlgorithmPassword(name: string): string {
  return name === 'password-changed' ? 'kopia-spec-test-2' : 'kopia-spec-test';
}

export interface OpenGoldenOptions {
  readonly readOnly: boolean;
  /** The archive is unpacked here. */
  readonly folder: string;
}

export async function openKopiaAlgorithm(
  t: TestContext,
  name: string,
  options: OpenGoldenOptions,
): Promise<Repository> {
  unpackTarGz(join(KOPIA_ALGORITHMS_FOLDER, `${name}.tar.gz`), options.folder);
  const deps = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const { readOnly } = options;
  const storage = await openFilesystemStorage({ path: join(options.folder, name), readOnly }, deps);
  const password = kopiaAlgorithmPassword(name);
  const repository = await Repository.open({ storage, password, readOnly }, deps, t.signal);
  t.after(() => repository.close());
  return repository;
}
