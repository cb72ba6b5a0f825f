// `windlass debug …`: read-only inspection of a repository's insides, for when it does not open or does not read.
import type { Command } from 'commander';
import type { ContentListOptions } from '../debug/content.ts';
import { withExamples, type Runner } from '../command-runner.ts';
import { collectTag } from '../option-values.ts';

export function defineDebugCommands(program: Command, run: Runner): void {
  const group = program.command('debug').description('inspect blobs, contents, indexes and manifests; changes nothing');
  defineBlob(group, run);
  defineContent(group, run);
  defineIndex(group, run);
  defineManifest(group, run);
}

function defineBlob(debug: Command, run: Runner): void {
  const group = debug.command('blob').description('the files of the repository as they are stored');
  withExamples(
    group
      .command('list')
      .description('list blobs; needs no password')
      .option('--prefix <text>', 'only IDs that begin with this')
      .action(async (options: { prefix?: string }, command: Command) => {
        await run(command, async (context) => (await import('../debug/blob.ts')).listBlobs(context, options));
      }),
    ['windlass debug blob list --prefix xn'],
  );
  withExamples(
    group
      .command('show')
      .description('print the bytes of a blob')
      .argument('<id>', 'blob ID')
      .option('--decrypt', 'decrypt it first (index, session, epoch and log blobs)')
      .action(async (id: string, options: { decrypt?: boolean }, command: Command) => {
        await run(command, async (context) => (await import('../debug/blob.ts')).showBlob(context, id, options));
      }),
    ['windlass debug blob show kopia.repository', 'windlass debug blob show --decrypt s0123-s01 | jq'],
  );
}

function defineContent(debug: Command, run: Runner): void {
  const group = debug.command('content').description('the pieces that blobs are made of');
  withExamples(
    group
      .command('list')
      .description('list contents')
      .option('--prefix <text>', 'only IDs that begin with this')
      .option('--deleted', 'deleted ones, too')
      .action(async (options: ContentListOptions, command: Command) => {
        await run(command, async (context) => (await import('../debug/content.ts')).listContents(context, options));
      }),
    ['windlass debug content list --prefix k', 'windlass debug content list --deleted --json'],
  );
  withExamples(
    group
      .command('show')
      .description('print the plain bytes of a content, or with --json where it is stored')
      .argument('<id>', 'content ID')
      .action(async (id: string, _options: object, command: Command) => {
        await run(command, async (context) => (await import('../debug/content.ts')).showContent(context, id));
      }),
    ['windlass debug content show k2c173ad95382ca1469d792b3f66dec79 | jq'],
  );
}

function defineIndex(debug: Command, run: Runner): void {
  const group = debug.command('index').description('the index blobs, which say where contents are');
  withExamples(
    group
      .command('list')
      .description('list index blobs, and with --check decode each of them')
      .option('--check', 'open and decode every index blob')
      .action(async (options: { check?: boolean }, command: Command) => {
        await run(command, async (context) => (await import('../debug/index-blobs.ts')).listIndexes(context, options));
      }),
    ['windlass debug index list --check'],
  );
  withExamples(
    group
      .command('show')
      .description('list the entries of one index blob')
      .argument('<id>', 'index blob ID')
      .action(async (id: string, _options: object, command: Command) => {
        await run(command, async (context) => (await import('../debug/index-blobs.ts')).showIndex(context, id));
      }),
    ['windlass debug index show xn0_533fc3d4cba01f80ac77f04a749b045e-s00c4931d77f92a30147-c1'],
  );
}

function defineManifest(debug: Command, run: Runner): void {
  const group = debug.command('manifest').description('labelled documents: snapshots, policies, maintenance');
  withExamples(
    group
      .command('list')
      .description('list manifests')
      .option('--label <key:value>', 'only those with this label (may be repeated)', collectTag)
      .action(async (options: { label?: Readonly<Record<string, string>> }, command: Command) => {
        await run(command, async (context) => (await import('../debug/manifest.ts')).listManifests(context, options));
      }),
    ['windlass debug manifest list --label type:policy'],
  );
  withExamples(
    group
      .command('show')
      .description('print a manifest')
      .argument('<id>', 'manifest ID')
      .action(async (id: string, _options: object, command: Command) => {
        await run(command, async (context) => (await import('../debug/manifest.ts')).showManifest(context, id));
      }),
    ['windlass debug manifest show 6ef50231f71eb5e77e86a871edd0e0b5'],
  );
}
