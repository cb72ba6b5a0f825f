// What people see: numbers, tables, progress, the password prompt, and the one JSON document.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { ReadStream } from 'node:tty';
import {
  countOf,
  formatCount,
  formatDuration,
  formatMode,
  formatRate,
  formatSize,
  formatTime,
  table,
} from './format.ts';
import { createOutput } from './output.ts';
import { createProgressView, progressText } from './progress.ts';
import { promptPassword } from './prompt.ts';

test('numbers are written for people', () => {
  assert.deepEqual([0, 1023, 1024, 1536, 150 * 2 ** 20, 2 ** 60].map(formatSize), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '150 MiB',
    '1024 PiB',
  ]);
  assert.equal(formatCount(1_234_567), '1,234,567');
  assert.deepEqual(
    [countOf(0, 'file'), countOf(1, 'file'), countOf(1200, 'file'), countOf(2, 'entry', 'entries')],
    ['0 files', '1 file', '1,200 files', '2 entries'],
  );
  assert.deepEqual([50, 12_340, 125_000, 7_260_000].map(formatDuration), [
    '0.05 s',
    '12.3 s',
    '2 min 5 s',
    '2 h 1 min',
  ]);
  assert.equal(formatRate(2 ** 20, 500), '2.0 MiB/s');
  assert.equal(formatRate(1, 0), '-');
  assert.equal(formatTime('2026-01-02T03:04:05.678Z'), '2026-01-02 03:04:05 UTC');
  assert.deepEqual(
    [formatMode('d', 0o1777), formatMode('f', 0o4755), formatMode('s', 0o777), formatMode('f', 0o2640)],
    ['drwxrwxrwt', '-rwsr-xr-x', 'lrwxrwxrwx', '-rw-r-S---'],
  );
});

test('table columns line up', () => {
  assert.deepEqual(
    table(
      [
        ['a', '1', 'x'],
        ['bbb', '22', 'yy'],
      ],
      [1],
    ),
    ['a     1  x', 'bbb  22  yy'],
  );
});

async function written(run: (sink: PassThrough) => Promise<void> | void): Promise<string> {
  const sink = new PassThrough();
  sink.setEncoding('utf8');
  let text = '';
  sink.on('data', (chunk: string) => (text += chunk));
  await run(sink);
  return text;
}

test('with --json there is one document and no line', async () => {
  const text = await written((sink) => {
    const output = createOutput(sink, true);
    output.line('for people');
    assert.equal(output.wroteDocument, false);
    output.document({ big: 9_223_372_036_854_775_807n, text: 'ü' });
    assert.equal(output.wroteDocument, true);
  });
  assert.equal(text, '{"big":9223372036854775807,"text":"ü"}\n');
});

test('a list is one array, also an empty or a long one', async () => {
  const listed = (items: readonly number[]): Promise<string> =>
    written((sink) => createOutput(sink, true).list(items, String, (item) => JSON.stringify({ item })));
  assert.equal(await listed([]), '[]\n');
  const numbers = Array.from({ length: 20_000 }, (_, i) => i);
  assert.deepEqual(
    JSON.parse(await listed(numbers)),
    numbers.map((item) => ({ item })),
  );
  assert.equal(
    await written((sink) => createOutput(sink, false).list([1, 2], (n) => `line ${n}`, String)),
    'line 1\nline 2\n',
  );
});

test('progress names files, bytes, rate, share and time left', () => {
  const state = {
    files: 1200,
    processedBytes: 2 ** 20,
    skippedBytes: 2 ** 20,
    uploadedBytes: 2 ** 19,
    errors: 1,
    expectedBytes: 2 ** 22,
  };
  assert.equal(
    progressText('backing up:', state, 2000),
    'backing up: 1,200 files, 1.0 MiB, 1.0 MiB unchanged, 512 KiB uploaded, 512 KiB/s, 1 error, 50 %, 2.00 s left',
  );
});

test('progress is one live line on a terminal, a line every few seconds elsewhere, and nothing when off', async () => {
  const shown = (isTTY: boolean, enabled: boolean, columns = 40): Promise<string> =>
    written((sink) => {
      let nowMs = 0;
      const stream = Object.assign(sink, { isTTY, columns }) as unknown as NodeJS.WriteStream;
      const view = createProgressView(stream, { monotonicMs: () => nowMs }, { verb: 'v:', enabled });
      for (; nowMs <= 11_000; nowMs += 100) view.update({ files: 1, processedBytes: nowMs, errors: 0 });
      view.finish();
    });
  assert.equal((await shown(false, true)).split('\n').length - 1, 2);
  const live = await shown(true, true);
  assert.ok(live.endsWith('\r\u001b[K') && !live.includes('\n'));
  for (const line of live.split('\r\u001b[K')) assert.ok(line.length < 40);
  const widthUnknown = await shown(true, true, 0);
  assert.match(widthUnknown, /v: 1 file, 10\.\d KiB, [^,]+\/s/, 'a terminal that does not tell its width');
  assert.equal(await shown(true, false), '');
});

class FakeTerminal extends EventEmitter {
  readonly modes: boolean[] = [];
  setRawMode(raw: boolean): void {
    this.modes.push(raw);
  }
  setEncoding(): void {
    // Keys are emitted as text already.
  }
  resume(): void {
    // Nothing flows in a test.
  }
  pause(): void {
    // Nothing flows in a test.
  }
}

async function typed(
  keys: readonly string[],
  signal = new AbortController().signal,
): Promise<{ answer: string; shown: string; modes: boolean[] }> {
  const terminal = new FakeTerminal();
  let answer = '';
  const shown = await written(async (sink) => {
    const asking = promptPassword('Password', terminal as unknown as ReadStream, sink, signal);
    for (const key of keys) terminal.emit('data', key);
    answer = await asking;
  });
  assert.equal(terminal.listenerCount('data'), 0, 'the listener is gone');
  return { answer, shown, modes: terminal.modes };
}

test('a password is read without echo, with corrections, pasted or typed', async () => {
  assert.deepEqual(await typed(['s', 'x', '\u007f', 'écret', '\r']), {
    answer: 'sécret',
    shown: 'Password: \n',
    modes: [true, false],
  });
  assert.equal((await typed(['wrong', '\u0015', 'right\n'])).answer, 'right');
});

test('Ctrl-C and an interrupt end the prompt and give the terminal back', async () => {
  await assert.rejects(typed(['abc', '\u0003']), { name: 'AbortError' });
  const controller = new AbortController();
  controller.abort();
  await assert.rejects(typed([], controller.signal), { name: 'AbortError' });
});
