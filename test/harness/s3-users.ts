// Users of a real S3 server (versitygw): made, given another secret and removed while it runs, as an administrator does.
import { spawnSync } from 'node:child_process';
import { buildGoProgram } from './go-program.ts';
import type { S3Server } from './s3-server.ts';

export interface S3Users {
  /** May read and write every bucket. */
  create(accessKeyId: string, secret: string): void;
  changeSecret(accessKeyId: string, secret: string): void;
  remove(accessKeyId: string): void;
}

/** The server must have been started with `users`. Each call returns when it is done, so that a test knows what comes after it. */
export function s3Users(server: S3Server): S3Users {
  const program = buildGoProgram('versitygw');
  if ('missing' in program) throw new Error(program.missing);
  const { accessKeyId, secretAccessKey, endpoint } = server;
  const administer = (...args: string[]): void => {
    const root = ['--access', accessKeyId, '--secret', secretAccessKey, '--endpoint-url', endpoint];
    const done = spawnSync(program.path, ['admin', ...root, ...args], { encoding: 'utf8', timeout: 60_000 });
    if (done.status !== 0) throw new Error(`versitygw admin ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  };
  return {
    create: (access, secret) => administer('create-user', '-a', access, '-s', secret, '-r', 'admin'),
    changeSecret: (access, secret) => administer('update-user', '-a', access, '-s', secret),
    remove: (access) => administer('delete-user', '-a', access),
  };
}
