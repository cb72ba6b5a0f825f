/** What a client's cache may take, from the configuration in a BackupRepository (node-agent §6.2); undefined for the default. */
export function cacheLimitBytes(config: Readonly<Record<string, string>> | null | undefined): number | undefined {
  const { cacheLimitMB: text = '' } = config ?? {};
  const mebibytes = Number(text);
  return text !== '' && Number.isInteger(mebibytes) && mebibytes >= 0 ? mebibytes * 2 ** 20 : undefined;
}
