// How fast the splitters, the compressors and error correction are on this machine, one thread: `node
// test/bench/micro/codecs.ts [FILE]`. The sample is 4 MiB out of FILE, by default of the running executable. Figures
// compare within one run only.
import { closeSync, openSync, readSync } from 'node:fs';
import { zstdBackend, createCompressor, decompress, COMPRESSORS } from '../../../repo-format/compression/compressor.ts';
import { createZstdCompress, decompressZstd, type ZstdBackend } from '../../../repo-format/compression/zstd.ts';
import { createErrorCorrection } from '../../../repo-format/ecc/error-correction.ts';
import { createSplitter } from '../../../repo-format/splitter/splitter.ts';

const MIB = 1 << 20;
const SMALL_BYTES = 4096;
const ROUND_MS = 60;
const ROUNDS = 5;

/** Median over rounds of the time of one call, in nanoseconds. */
function timeCall(call: () => void): number {
  call();
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    let calls = 0;
    let elapsed = 0;
    do {
      call();
      calls++;
      elapsed = Number(process.hrtime.bigint() - start);
    } while (elapsed < ROUND_MS * 1e6);
    rounds.push(elapsed / calls);
  }
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;
}

function report(what: string, bytes: number, call: () => void, note = ''): void {
  const ns = timeCall(call);
  const rate = `${((bytes / ns) * 1000).toFixed(0)} MB/s`;
  const each = `${(ns / 1000).toFixed(1)} µs`;
  process.stdout.write(`${what.padEnd(44)}${rate.padStart(12)}${each.padStart(14)}  ${note}\n`);
}

function readSample(path: string): Uint8Array {
  const sample = new Uint8Array(4 * MIB);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, sample, 0, sample.length, 16 * MIB);
  } finally {
    closeSync(fd);
  }
  return sample;
}

function benchSplitters(): void {
  for (const name of ['DYNAMIC-4M-BUZHASH', 'DYNAMIC-4M-RABINKARP']) {
    for (const engine of ['wasm', 'plain'] as const) {
      const splitter = createSplitter(name, 0, engine);
      const { window, minBytes } = splitter;
      // Up to the first cut, or all of the window: the call then searches everything after the shortest length.
      for (let i = 0; i < window.length; i++) window[i] = (i * 167) >> 8;
      const bytes = window.length - 1;
      const length = splitter.findCut(0, bytes, 0) || bytes;
      report(`split ${name} ${engine}, searched bytes`, length - minBytes, () => splitter.findCut(0, length - 1, 0));
    }
  }
}

function benchCompressors(sample: Uint8Array): void {
  for (const { name, id, writable } of COMPRESSORS) {
    if (!writable || name.startsWith('pgzip') || name.startsWith('s2-parallel')) continue;
    const compressor = createCompressor(name);
    for (const data of [sample, sample.subarray(MIB, MIB + SMALL_BYTES)]) {
      const framed = compressor.compress(data);
      const size = data.length === SMALL_BYTES ? '4 KiB' : '4 MiB';
      const ratio = framed === null ? 'does not shrink' : `to ${((100 * framed.length) / data.length).toFixed(1)}%`;
      report(`compress ${name}, ${size}`, data.length, () => compressor.compress(data), ratio);
      if (framed === null) continue;
      const stream = framed.subarray(4);
      report(`decompress ${name}, ${size}`, data.length, () => decompress(id, stream, data.length, 4 * MIB));
    }
  }
}

/** The two ways to zstd, side by side. */
function benchZstdBackends(sample: Uint8Array): void {
  const backends: readonly ZstdBackend[] = zstdBackend() === 'node' ? ['node'] : ['zstd-napi', 'node'];
  for (const data of [sample, sample.subarray(MIB, MIB + SMALL_BYTES)]) {
    const size = data.length === SMALL_BYTES ? '4 KiB' : '4 MiB';
    for (const backend of backends) {
      const compress = createZstdCompress(1, backend);
      const stream = Uint8Array.from(compress(data));
      report(`zstd level 1 by ${backend}, ${size}`, data.length, () => compress(data));
      const decode = (length: number | undefined) => () => decompressZstd(stream, length, 4 * MIB, backend);
      report(`… decompress, length known, ${size}`, data.length, decode(data.length));
      report(`… decompress, length unknown, ${size}`, data.length, decode(undefined));
    }
  }
}

function benchErrorCorrection(sample: Uint8Array): void {
  for (const overheadPercent of [1, 5, 20, 100]) {
    const correction = createErrorCorrection({ algorithm: 'REED-SOLOMON-CRC32', overheadPercent });
    const stored = correction.encode(sample);
    report(`error correction ${overheadPercent}%, encode`, sample.length, () => correction.encode(sample));
    report(`error correction ${overheadPercent}%, decode`, sample.length, () => correction.decode(stored));
  }
}

const sample = readSample(process.argv[2] ?? process.execPath);
benchSplitters();
benchCompressors(sample);
benchZstdBackends(sample);
benchErrorCorrection(sample);
