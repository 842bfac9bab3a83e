/**
 * What the pages of a site say of the one engine that they share. After a deploy an open page may say otherwise than a new one; what
 * the page says that was opened last holds, whichever page runs the engine. Each page knows it, so that whoever is elected next goes
 * by it too.
 */
import type { EngineSettings, SettingsChannel, SettingsMessage } from '../protocol.ts';
import { PROTOCOL_VERSION } from '../transport/locks.ts';

/** Milliseconds that a page waits for the host to go by what it says. A host that is busy will, and one that is gone has no say. */
const ADOPTION_TIMEOUT = 2_000;

export interface SiteSettings {
  /** Those of the page that was opened last, as far as this page knows. */
  readonly latest: EngineSettings;
  /** Whether they are those of a page that was opened after this one. */
  readonly overruled: boolean;
  /** Says what this page wants; resolves once the host goes by it. */
  tell(): Promise<void>;
  /** Has this page's engine, if it runs one, go by the latest settings, and tells those who wait for it. */
  confirm(): Promise<void>;
  /** Stops listening: pages in the back/forward cache must not. */
  close(): void;
  /** Listens again, and asks what was said meanwhile. */
  reopen(): void;
}

/**
 * @param base absolute URL of the site's base.
 * @param adopt has this page's engine go by other settings. @returns false if this page runs none
 */
export function createSiteSettings(
  base: string,
  own: EngineSettings,
  adopt: (settings: EngineSettings) => Promise<boolean>,
): SiteSettings {
  const name: SettingsChannel = `llamatab/${PROTOCOL_VERSION}:settings:${base}`;
  const opened = Date.now();
  let latest = { at: opened, settings: own };
  let channel: BroadcastChannel | null = null;
  let onAdopted = () => {};
  const post = (message: SettingsMessage) => channel?.postMessage(message);
  const say = () => post({ type: 'say', ...latest });

  function listen() {
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data: message }: MessageEvent<SettingsMessage>) => {
      switch (message.type) {
        case 'say':
          if (message.at > latest.at) latest = { at: message.at, settings: message.settings };
          void confirm();
          break;
        case 'adopted':
          if (message.at >= opened) onAdopted();
          break;
        case 'ask':
          say();
          break;
        default:
          message satisfies never;
      }
    };
  }

  async function confirm() {
    const { at, settings } = latest;
    if (!(await adopt(settings))) return;
    onAdopted();
    post({ type: 'adopted', at });
  }

  return {
    get latest() {
      return latest.settings;
    },
    get overruled() {
      return latest.at > opened;
    },
    tell() {
      listen();
      return new Promise((resolve) => {
        onAdopted = resolve;
        setTimeout(resolve, ADOPTION_TIMEOUT);
        say();
      });
    },
    confirm,
    close() {
      channel?.close();
      channel = null;
    },
    reopen() {
      listen();
      post({ type: 'ask' });
    },
  };
}
