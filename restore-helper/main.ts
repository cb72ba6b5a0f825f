#!/usr/local/bin/node
// The init container that Velero puts before a restored pod's own: it holds the pod back until every volume is restored, and says why
// when that will not happen (docs/design/0009-restore-handshake.md). One argument, the Restore's UID; no options, no environment,
// nothing but Node's own modules. Takes the place of `velero-restore-helper`: its image has the bundle under that name, with the first
// line as what starts it.
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Volumes } from './volumes.ts';
import { tidyUp, waitForVolumes } from './wait.ts';

const RESTORES = '/restores';
const TERMINATION_LOG = '/dev/termination-log';
/** What the kubelet keeps. */
const TERMINATION_LOG_BYTES = 4096;
const NAME = 'restore-helper';
const EXIT = { usage: 1, failed: 3, deadline: 4, stopped: 143 } as const;
/** A file system that does not answer would hold the process back after its work. */
const LINGER_MS = 200;

const say = (line: string): void => void process.stdout.write(`${NAME}: ${line}\n`);

/** A UID is a name in a folder and nothing else. Kubernetes makes UUIDs. */
const isUid = (text: string): boolean => /^[0-9A-Za-z][0-9A-Za-z-]{0,127}$/.test(text);

async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const [restoreUid] = args;
  if (args.length !== 1 || restoreUid === undefined || !isUid(restoreUid))
    return fail(EXIT.usage, 'exactly one argument is expected: the UID of the Restore');
  const volumes = new Volumes({ folder: RESTORES, restoreUid });
  const outcome = await waitForVolumes({
    volumes,
    signal,
    log: say,
    elapsedSeconds: () => process.uptime(),
    // Rejects when it is aborted, which only shortens it.
    pause: (ms, enough) =>
      sleep(ms, undefined, { signal: enough === undefined ? signal : AbortSignal.any([signal, enough]) }).catch(
        () => undefined,
      ),
  });
  switch (outcome.kind) {
    case 'done':
      if (outcome.tidy) await tidyUp((volume) => join(RESTORES, volume), outcome.volumes, restoreUid, say);
      say(`all volumes are restored (${outcome.volumes.length})`);
      return 0;
    case 'failed':
      return fail(EXIT.failed, `the restore failed: ${outcome.reason}`);
    case 'deadline':
      return fail(EXIT.deadline, outcome.reason);
    case 'stopped':
      say('stopped by a signal');
      return EXIT.stopped;
  }
}

function fail(code: number, reason: string): number {
  process.stderr.write(`${NAME}: ${reason}\n`);
  try {
    const file = openSync(TERMINATION_LOG, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW);
    writeSync(file, Buffer.from(reason).subarray(0, TERMINATION_LOG_BYTES));
    closeSync(file);
  } catch {
    // There is none, or it may not be written: the reason is on stderr anyway.
  }
  return code;
}

const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
// Nobody may read the log; the outcome is the exit code.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
// Should nothing be left to wait for before there is an outcome, Node would leave with success.
process.exitCode = EXIT.failed;
void run(process.argv.slice(2), stop.signal).then((code) => {
  process.exitCode = code;
  setTimeout(() => process.exit(code), LINGER_MS).unref();
});
