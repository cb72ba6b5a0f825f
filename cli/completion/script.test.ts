// Completion scripts, run by the shells themselves where they are installed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { createProgram } from '../program.ts';
import { completionScript, type Shell } from './script.ts';

const LINES: readonly [words: readonly string[], expected: readonly string[]][] = [
  [['sn'], ['snapshot']],
  [['-r', '/x', 'snapshot', 're'], ['restore']],
  [
    ['snapshot', 'restore', '--overwrite', ''],
    ['always', 'if-different', 'never'],
  ],
  [['snapshot', 'restore', '--ov'], ['--overwrite']],
  [
    ['completion', ''],
    ['bash', 'fish', 'zsh'],
  ],
  [['debug', 'content', 'l'], ['list']],
  [['--log-level', 'de'], ['debug']],
  [['help', 'sn'], ['snapshot']],
  [['help', 'snapshot', 'cr'], ['create']],
];

function script(t: TestContext, shell: Shell): string {
  const path = join(scratchFolder(t, 'completion'), 'windlass');
  const program = createProgram('0', () => Promise.resolve());
  writeFileSync(path, completionScript(program, shell));
  return path;
}

function run(t: TestContext, program: string, args: readonly string[]): string[] | undefined {
  const result = spawnSync(program, args, { encoding: 'utf8' });
  if (result.error !== undefined) {
    t.skip(`${program} is not installed`);
    return undefined;
  }
  assert.equal(result.stderr, '');
  return result.stdout
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

const quoted = (words: readonly string[]): string => ['windlass', ...words].map((word) => `'${word}'`).join(' ');

for (const [words, expected] of LINES) {
  test(`bash completes ${words.join(' ')}`, (t) => {
    const complete = `source ${script(t, 'bash')}; COMP_WORDS=(${quoted(words)}); COMP_CWORD=${words.length}; _windlass; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const found = run(t, 'bash', ['--norc', '-c', complete]);
    if (found !== undefined) assert.deepEqual(found, expected);
  });

  test(`fish completes ${words.join(' ')}`, (t) => {
    const found = run(t, 'fish', [
      '--no-config',
      '-c',
      `source ${script(t, 'fish')}; complete -C "windlass ${words.join(' ')}"`,
    ]);
    if (found !== undefined)
      assert.deepEqual(
        found.map((line) => line.split('\t')[0]),
        expected,
      );
  });

  test(`zsh completes ${words.join(' ')}`, (t) => {
    // The completion system needs a terminal; its three entry points are replaced by ones that print what they are given.
    const stubs = 'compdef() { : }; compadd() { shift; print -l -- "$@" }; _describe() { print -l -- "${(@P)2}" }';
    const ask = `source ${script(t, 'zsh')}; words=(${quoted(words)}); CURRENT=${words.length + 1}; _windlass`;
    const found = run(t, 'zsh', ['-f', '-c', `${stubs}; ${ask}`]);
    const prefix = words.at(-1) ?? '';
    if (found !== undefined)
      assert.deepEqual(
        found.map((line) => line.split(':')[0]).filter((word) => word?.startsWith(prefix)),
        expected,
      );
  });
}
