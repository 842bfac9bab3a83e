import { afterEach, expect, it, vi } from 'vitest';
import type { EngineSettings } from '../protocol.ts';
import { createSiteSettings, type SiteSettings } from './site-settings.ts';

const base = 'https://a.example/repo/';
const wants = (model: string): EngineSettings => ({
  catalog: `${base}models/catalog.json`,
  evict: false,
  model,
  aliases: {},
  apiKeys: [],
  upstream: null,
  engine: {},
});

const pages: SiteSettings[] = [];
afterEach(() => {
  for (const page of pages.splice(0)) page.close();
});

/** A page that is opened after those before, with or without the engine. */
function open(model: string, isHost: boolean | (() => boolean) = false) {
  vi.setSystemTime(Date.now() + 1);
  const adopted: (string | null)[] = [];
  const settings = createSiteSettings(base, wants(model), async ({ model }) => {
    const hosts = typeof isHost === 'boolean' ? isHost : isHost();
    if (hosts) adopted.push(model);
    return hosts;
  });
  pages.push(settings);
  return { settings, adopted, told: settings.tell() };
}

vi.useFakeTimers({ toFake: ['Date'] });

it('the host goes by what the page says that was opened last, before that page goes on', async () => {
  const host = open('old', true);
  const second = open('new');
  await second.told;
  expect(host.adopted.at(-1)).toBe('new');
  expect([host.settings.overruled, second.settings.overruled]).toEqual([true, false]);
});

it('an earlier page that comes to host later goes by the latest too', async () => {
  const first = open('old');
  const host = open('old', true);
  const last = open('new');
  await last.told;
  await vi.waitUntil(() => first.settings.latest.model === 'new');
  host.settings.close();
  expect(first.settings.latest).toEqual(wants('new'));
});

it('a page that comes back from the back/forward cache learns what was said meanwhile, and overrules nobody', async () => {
  const host = open('old', true);
  const away = open('old');
  await away.told;
  away.settings.close();
  const last = open('new');
  await last.told;
  away.settings.reopen();
  await vi.waitUntil(() => away.settings.latest.model === 'new');
  expect(host.adopted.at(-1)).toBe('new');
});

it('a host that is elected while a page waits tells it', async () => {
  let hosts = false;
  const { settings } = open('old', () => hosts);
  const waiting = open('new');
  await vi.waitUntil(() => settings.latest.model === 'new');
  hosts = true;
  await settings.confirm();
  await waiting.told;
});
