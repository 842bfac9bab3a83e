import { type createBrowser, createProfile, removeProfile } from '../browser.mjs';

export type Browser = ReturnType<typeof createBrowser>;

/** Opens a page in a browser of its own, with a new profile, while `run` runs. @param run gets the profile's folder */
export async function visit<T>(browser: Browser, url: string, run: (profile: string) => Promise<T>): Promise<T> {
  const profile = createProfile();
  try {
    return await browser.visit(profile, url, run(profile));
  } finally {
    await removeProfile(profile);
  }
}
