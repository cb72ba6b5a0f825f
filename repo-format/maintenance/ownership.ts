// Who may maintain: one client, by name (snapshots §7.1). Nothing in the bucket keeps two apart that go by the same name.
import { WindlassError } from '../../base/errors.ts';
import type { MaintenanceParameters } from './parameters.ts';

export interface Client {
  readonly username: string;
  readonly hostname: string;
}

export function clientName({ username, hostname }: Client): string {
  return `${username}@${hostname}`;
}

export function isOwner(parameters: MaintenanceParameters, client: Client): boolean {
  return parameters.owner === clientName(client);
}

/** `MAINTENANCE_NOT_OWNER` unless this client is the owner. */
export function requireOwner(parameters: MaintenanceParameters, client: Client): void {
  if (isOwner(parameters, client)) return;
  const { owner } = parameters;
  throw new WindlassError(
    owner === ''
      ? 'no one is named to maintain this repository: maintenance set --owner names somebody'
      : `this repository is maintained by ${owner}, and this is ${clientName(client)}`,
    { code: 'MAINTENANCE_NOT_OWNER', context: { owner, client: clientName(client) } },
  );
}
