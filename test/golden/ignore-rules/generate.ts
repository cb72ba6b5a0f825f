// Asks a real kopia which paths its ignore rules leave out and writes kopia-<version>.json. Run by hand:
//   node test/golden/ignore-rules/generate.ts kopia-0.23.json
// Never edit what it wrote; a new version of kopia gets a new file.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';

const PATHS: readonly string[] = [
  ['a.txt', 'x/a.txt', 'x/y/a.txt', 'ba.txt', 'A.TXT', 'a.txt.d/b', 'z', 'az', 'a/z', 'a/b/z', 'a/b/c/z', 'b/a/z'],
  ['x/y/z', 'x/z', '1', '1a', 'a1', 'x/2', '!x', '#x', 'a*b', 'axb', 'axxb', 'ab', 'ax/b', 'ax/yb', 'abx/byc'],
  ['ax/bxc', 'a-c', 'abc', 'ac', 'ad/c', 'abbc', 'bx', 'cx', 'dx', '-x', 'Az', '1z', '.log', 'b.logs', 'x/b.log'],
  ['y/xa/b', 'xa/b', 'number-1', 'é', 'déa', 'd/éb', 'sp ace', 'back\\s', 'x/x/file', 'y/x/file', '[x]', '.hidden'],
  ['d/.hidden/f'],
].flat();

const CHOSEN: readonly string[] = [
  ['a.txt', '/a.txt', 'x/a.txt', 'x/', '/x/y/', '*.log', 'a*', 'x/*', 'x/*/z', '**/z', 'a/**/z', 'a/**', '**', 'a?c'],
  ['[a-c]x', '[!a-c]x', '[a\\-c]x', '[[:digit:]]*', '[[:upper:][:digit:]]z', '[[:lower:]]*', 'number-[[:digit:]]'],
  ['\\!x', '\\#x', 'a\\*b', '  a.txt  ', 'é*', 'a*b', 'a**b', '**a/b', '[]', 'a*b*c', '[!q]z', 'x/**', '/**', '/*'],
  ['*/', '*', '!a.txt', 'a[!b]c', 'a[/]c', '*[!x]b', '?', '??', '*\\', '[x]', '\\[x\\]', '.*', '**/.hidden', '**/x/**'],
  ['x//a.txt', '/', '//', './a.txt', 'a.txt/', 'sp ace', 'sp\\ ace', 'back\\\\s', '[[:alpha:]]*', '[[:punct:]]x'],
  ['[[:space:]]*', '[]a]z', '[!]z', '[a', 'z\t', '?éa', '[é]', '[d-é]*', '**/', '/**/z', '**z', 'a/', 'x', '**/*'],
  ['*/*/z', '{a,b}*', '[a-]x', '[-a]x', '[--a]x', '^x', '$x', 'a.txt #c', '#x'],
].flat();

/** More of them than anybody would choose, always the same. */
function sampledPatterns(): string[] {
  const pieces = ['*', '**', '?', '/', 'a', 'b', 'x', 'z', '[ab]', '[!x]', '[a-c]', '!', '\\', '.txt', 'é'];
  const piece = fc.constantFrom(...pieces, '[[:alpha:]]', '[[:digit:]x]');
  const pattern = fc.array(piece, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
  return fc.sample(pattern, { numRuns: 260, seed: 42 });
}

function main(output: string): void {
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'windlass-ignore-'));
  try {
    writeFileSync(path.join(import.meta.dirname, output), `${JSON.stringify(ask(scratch))}\n`);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function ask(scratch: string): unknown {
  const env = { ...process.env, KOPIA_PASSWORD: 'golden', KOPIA_CHECK_FOR_UPDATES: 'false' };
  const kopia = (...args: readonly string[]): string =>
    execFileSync('kopia', [`--config-file=${scratch}/config`, `--log-dir=${scratch}/logs`, ...args], {
      env,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  kopia('repository', 'create', 'filesystem', `--path=${scratch}/repo`, `--cache-directory=${scratch}/cache`);
  const listed = (directory: string): Set<string> => {
    const snapshot: unknown = JSON.parse(kopia('snapshot', 'create', '--json', directory));
    const root = (snapshot as { rootEntry: { obj: string } }).rootEntry.obj;
    // Lines are <object>/<path>, directories end in a slash.
    return new Set(
      kopia('ls', '-r', root)
        .split('\n')
        .map((line) => line.slice(line.indexOf('/') + 1)),
    );
  };
  const leftOut = (directory: string, prefix: string): string[] => {
    const kept = listed(directory);
    return PATHS.filter((name) => !kept.has(prefix + name));
  };

  const result = { paths: PATHS, below: {} as Leaves, atRoot: {} as Leaves, invalid: [] as string[] };
  [...new Set([...CHOSEN, ...sampledPatterns()])].forEach((pattern, i) => {
    const directory = `${scratch}/below-${i}`;
    makeTree(`${directory}/sub`);
    writeFileSync(`${directory}/sub/.kopiaignore`, `${pattern}\n`);
    try {
      result.below[pattern] = leftOut(directory, 'sub/');
    } catch {
      // The snapshot of a tree with such a rule fails as a whole.
      result.invalid.push(pattern);
    }
    rmSync(directory, { recursive: true });
  });
  const top = `${scratch}/top`;
  makeTree(top);
  for (const pattern of CHOSEN.filter((chosen) => !result.invalid.includes(chosen))) {
    kopia('policy', 'set', top, '--clear-ignore');
    kopia('policy', 'set', top, `--add-ignore=${pattern}`);
    result.atRoot[pattern] = leftOut(top, '');
  }
  return result;
}

type Leaves = Record<string, string[]>;

function makeTree(directory: string): void {
  for (const name of PATHS) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), '');
  }
}

main(process.argv[2] ?? 'kopia.json');
