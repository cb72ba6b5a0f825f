import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { readPasswordFile } from './password.ts';

async function fileOf(t: TestContext, content: string | Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'windlass-password-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'password');
  await writeFile(path, content);
  return path;
}

test('a password file is one line of text, without its line break', async (t) => {
  for (const [content, password] of [
    ['secret', 'secret'],
    ['secret\n', 'secret'],
    ['secret\r\n', 'secret'],
    [' spaces kept \n', ' spaces kept '],
    ['ключ\n', 'ключ'],
    ['\ufeffmark\n', '\ufeffmark'],
  ] as const) {
    assert.equal(await readPasswordFile(await fileOf(t, content), t.signal), password);
  }
});

test('bytes that are no text are refused: they would make different passwords equal', async (t) => {
  for (const bytes of [
    [0xff, 0xfe],
    [0xfe, 0xff],
    [0x61, 0xc3],
  ]) {
    await assert.rejects(readPasswordFile(await fileOf(t, Uint8Array.from(bytes)), t.signal), {
      code: 'CLI_PASSWORD_FILE',
    });
  }
});

test('an empty file, a huge one and an endless device are refused', async (t) => {
  const paths = [await fileOf(t, '\n'), await fileOf(t, 'x'.repeat(70_000)), '/dev/zero', '/dev/null', tmpdir()];
  for (const path of paths) await assert.rejects(readPasswordFile(path, t.signal), { code: 'CLI_PASSWORD_FILE' });
});
