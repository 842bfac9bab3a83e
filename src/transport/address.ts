/** Which URLs are the server's. */

/**
 * The URL as the server's routes know it, or null if it is not ours.
 *
 * Ours is what lies under `/v1/` at the root of the origin, where OpenAI's clients look, or under the base of the site
 * (`https://user.github.io/project/v1/…`), which is cut off. Other paths stay the site's own.
 * @param url absolute.
 * @param base absolute URL of the site's base, with a slash at its end.
 */
export function serverUrl(url: string, base: string): string | null {
  const target = new URL(url);
  const site = new URL(base);
  if (target.origin !== site.origin) return null;
  const underBase = target.pathname.startsWith(site.pathname)
    ? `/${target.pathname.slice(site.pathname.length)}`
    : target.pathname;
  for (const path of [underBase, target.pathname]) {
    if (path.startsWith('/v1/')) return target.origin + path + target.search;
  }
  return null;
}
