import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { scratchFolder } from '../test/harness/scratch.ts';
import { readInput } from './read-input.ts';

const signal = new AbortController().signal;

test('a file is read up to the limit', async (t) => {
  const path = join(scratchFolder(t), 'file');
  await writeFile(path, 'abcdef');
  assert.equal(Buffer.from(await readInput(path, 100, signal)).toString(), 'abcdef');
  assert.equal(Buffer.from(await readInput(path, 4, signal)).toString(), 'abcd');
  await writeFile(path, '');
  assert.equal((await readInput(path, 4, signal)).length, 0);
});

test('a pipe is read whenever its writer comes', async (t) => {
  const path = join(scratchFolder(t), 'pipe');
  execFileSync('mkfifo', [path]);
  const reading = readInput(path, 100, signal);
  await delay(60);
  await writeFile(path, 'late');
  assert.equal(Buffer.from(await reading).toString(), 'late');
});

test('a pipe without a writer is given up when the signal says so', async (t) => {
  const path = join(scratchFolder(t), 'pipe');
  execFileSync('mkfifo', [path]);
  const controller = new AbortController();
  const reading = readInput(path, 100, controller.signal);
  setTimeout(() => controller.abort(), 60);
  await assert.rejects(reading, { name: 'AbortError' });
});

test('a pipe of a shell that ends without a byte is empty', async () => {
  const script = `import { readInput } from ${JSON.stringify(new URL('./read-input.ts', import.meta.url).href)};
    process.stdout.write(String((await readInput(process.argv[1], 9, new AbortController().signal)).length));`;
  const line = 'exec "$0" --input-type=module-typescript -e "$1" <(exit 1)';
  const said = execFileSync('bash', ['-c', line, process.execPath, script], { timeout: 60_000, encoding: 'utf8' });
  assert.equal(said, '0');
});
