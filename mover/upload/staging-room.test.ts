import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { StagingRoom } from './staging-room.ts';

test('a lane waits while too many packs are staged, until one is gone or it is to stop', async () => {
  const room = new StagingRoom();
  for (let packs = 0; packs < 15; packs++) room.enter(() => assert.fail('there is room'));
  let looks = 0;
  room.enter(() => looks++ > 0);
  assert.ok(looks > 1, 'it waited');
  const lane = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads');
     import(workerData.module).then(({ StagingRoom }) => {
       const room = new StagingRoom(workerData.shared);
       parentPort.postMessage('waits');
       room.enter(() => false);
       parentPort.postMessage('goes on');
     });`,
    { eval: true, workerData: { shared: room.shared, module: new URL('./staging-room.ts', import.meta.url).href } },
  );
  const said: string[] = [];
  const over = new Promise<void>((resolve, reject) => {
    lane.on('error', reject);
    lane.on('message', (text: string) => {
      said.push(text);
      // It counts as one of the staged packs itself.
      if (text === 'waits') for (let packs = 0; packs < 3; packs++) room.leave();
      else resolve();
    });
  });
  await over;
  await lane.terminate();
  assert.deepEqual(said, ['waits', 'goes on']);
});
