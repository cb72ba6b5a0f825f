// Mark, move, drop and delete together, over simulated days.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MaintainedRepository } from '../../test/harness/maintained-repository.ts';

const noise = (seed: string, kilobytes = 64): string => {
  let text = '';
  for (let i = 0; text.length < kilobytes << 10; i++) text += `${seed} ${i} ${Math.imul(i + 1, 0x9e37_79b1) >>> 0}\n`;
  return text;
};

test('the bytes of a deleted snapshot are back within days, and what it shares stays', async (t) => {
  const repository = await MaintainedRepository.create(t);
  const kept = await repository.store({ shared: noise('shared'), 'only-kept': noise('kept') });
  const beforeBytes = await repository.packBytes();
  const gone = await repository.store({ shared: noise('shared'), 'only-gone': noise('gone', 512) });
  const fullBytes = await repository.packBytes();
  await repository.delete(gone);
  const sizes: number[] = [];
  for (let day = 1; day <= 8; day++) {
    repository.passHours(24.1);
    await repository.maintain();
    assert.deepEqual(await repository.verify(), [kept]);
    sizes.push(await repository.packBytes());
  }
  t.diagnostic(`${beforeBytes} → ${fullBytes} → ${sizes.join(' ')}`);
  assert.ok((sizes.at(-1) ?? Infinity) < beforeBytes * 1.2);
  assert.ok((sizes[0] ?? 0) >= fullBytes);
});

test('without safety, what nobody needs is gone at once', async (t) => {
  const repository = await MaintainedRepository.create(t);
  const kept = await repository.store({ shared: noise('shared'), 'only-kept': noise('kept') });
  const beforeBytes = await repository.packBytes();
  const gone = await repository.store({ shared: noise('shared'), 'only-gone': noise('gone', 512) });
  await repository.delete(gone);
  await repository.maintain({ safety: 'none' });
  assert.deepEqual(await repository.verify(), [kept]);
  assert.ok((await repository.packBytes()) < beforeBytes * 1.2, `${beforeBytes} → ${await repository.packBytes()}`);
});
