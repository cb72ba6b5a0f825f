// The keys of velero-plugin-for-microsoft-azure.
import {
  booleanValue,
  invalidValue,
  requireKnownKeys,
  textValue,
  urlValue,
  type LocationConfig,
} from './config-values.ts';
import { locationError } from './location-error.ts';
import type { StorePlace } from './store-place.ts';

export interface AzureStore extends StorePlace {
  readonly kind: 'azure';
  readonly account: string;
  /** Undefined: that of the account in the cloud that the credentials name. */
  readonly endpoint?: string;
  /** Which variable of the credentials file has the account's key. */
  readonly accountKeyVariable?: string;
  /** Identities of Entra ID; where neither this nor a key is given, the key is asked for at Azure's management API. */
  readonly useAad: boolean;
  readonly authority?: string;
  readonly subscriptionId?: string;
  readonly resourceGroup?: string;
  readonly blockSizeBytes?: number;
}

const KEYS = [
  'resourceGroup',
  'storageAccount',
  'storageAccountKeyEnvVar',
  'subscriptionId',
  'storageAccountURI',
  'useAAD',
  'activeDirectoryAuthorityURI',
  'blockSizeInBytes',
];
const MAX_BLOCK_BYTES = 100 << 20;

export function azureStore(config: LocationConfig, place: StorePlace): AzureStore {
  requireKnownKeys(config, KEYS);
  const account = textValue(config, 'storageAccount');
  if (account === undefined) throw locationError('LOCATION_INVALID', 'spec.config.storageAccount is missing');
  if (!/^[a-z0-9]{3,24}$/.test(account)) throw invalidValue('storageAccount', account, 'not the name of an account');
  const endpoint = urlValue(config, 'storageAccountURI');
  const accountKeyVariable = textValue(config, 'storageAccountKeyEnvVar');
  const authority = urlValue(config, 'activeDirectoryAuthorityURI');
  const subscriptionId = textValue(config, 'subscriptionId');
  const resourceGroup = textValue(config, 'resourceGroup');
  const blockSizeBytes = blockSizeOf(config);
  return {
    kind: 'azure',
    ...place,
    account,
    useAad: booleanValue(config, 'useAAD'),
    ...(endpoint === undefined ? {} : { endpoint: withoutSlash(endpoint) }),
    ...(accountKeyVariable === undefined ? {} : { accountKeyVariable }),
    ...(authority === undefined ? {} : { authority: withoutSlash(authority) }),
    ...(subscriptionId === undefined ? {} : { subscriptionId }),
    ...(resourceGroup === undefined ? {} : { resourceGroup }),
    ...(blockSizeBytes === undefined ? {} : { blockSizeBytes }),
  };
}

function withoutSlash(url: URL): string {
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/** As the plugin: what makes no sense is the default, what is too large the largest. */
function blockSizeOf(config: LocationConfig): number | undefined {
  const value = textValue(config, 'blockSizeInBytes');
  const sizeBytes = value !== undefined && /^[+-]?\d+$/.test(value) ? Number(value) : 0;
  return sizeBytes > 0 ? Math.min(sizeBytes, MAX_BLOCK_BYTES) : undefined;
}
