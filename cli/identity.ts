// Who makes a snapshot on this machine: user and host, formed as Kopia forms them, so that both find each other's snapshots.
import { hostname, userInfo } from 'node:os';
import { defaultHostName, type SourceDefaults } from '../repo-format/snapshot/source.ts';

/** The defaults that complete a bare path to `user@host:/path`. */
export function defaultIdentity(environment: NodeJS.ProcessEnv, workingDirectory: string): SourceDefaults {
  return { userName: defaultUserName(environment), host: defaultHostName(hostname()), workingDirectory };
}

function defaultUserName(environment: NodeJS.ProcessEnv): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without an entry in the password database, as containers have: the environment's word, else nobody.
    const { USER, HOME } = environment;
    return USER !== undefined && USER !== '' && HOME !== undefined && HOME !== '' ? USER : 'nobody';
  }
}
