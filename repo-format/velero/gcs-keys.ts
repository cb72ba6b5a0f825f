// The keys of velero-plugin-for-gcp.
import { requireKnownKeys, textValue, type LocationConfig } from './config-values.ts';
import type { StorePlace } from './store-place.ts';

export interface GcsStore extends StorePlace {
  readonly kind: 'gcs';
  /** Every object is encrypted with this key of Cloud KMS; reading needs no name. */
  readonly kmsKeyName?: string;
  readonly endpoint?: string;
  readonly universeDomain?: string;
}

const KEYS = [
  'kmsKeyName',
  'serviceAccount', // whose name signs links; a repository has none
  'storeEndpoint',
  'universeDomain',
];

export function gcsStore(config: LocationConfig, place: StorePlace): GcsStore {
  requireKnownKeys(config, KEYS);
  const kmsKeyName = textValue(config, 'kmsKeyName');
  const endpoint = textValue(config, 'storeEndpoint');
  const universeDomain = textValue(config, 'universeDomain');
  return {
    kind: 'gcs',
    ...place,
    ...(kmsKeyName === undefined ? {} : { kmsKeyName }),
    ...(endpoint === undefined ? {} : { endpoint: /^https?:\/\//i.test(endpoint) ? endpoint : `https://${endpoint}` }),
    ...(universeDomain === undefined ? {} : { universeDomain }),
  };
}
