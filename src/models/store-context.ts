/** What the files of the store share: its database, the network, and the names that things are stored under. */
import type { UseStore } from 'idb-keyval';
import type { AccessTokens } from './access-tokens.ts';
import type { Housekeeping } from './housekeeping.ts';
import type { FetchLike, Network } from './http.ts';
import type { CatalogModel } from './models.ts';
import type { PartStorage } from './part-storage.ts';
import type { PartsLayout } from './parts-layout.ts';
import type { Records, ValidatorStorage } from './records.ts';
import type { Tabs } from './tabs.ts';

export interface StoreContext {
  database: UseStore;
  parts: PartStorage;
  records: Records;
  validators: ValidatorStorage;
  housekeeping: Housekeeping;
  tabs: Tabs;
  fetch: FetchLike;
  network: Network;
  tokens: AccessTokens;
  /** See `transfer.ts`. */
  retryDelays: readonly number[];
  stallTimeout: number;
  now: () => number;
  /** The key of the model's record, and of its locks and messages among the tabs. */
  keyOf: (model: CatalogModel) => string;
  layoutOf: (model: CatalogModel) => PartsLayout;
}
